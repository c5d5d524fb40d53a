package enrich

import (
	"net/netip"
	"strings"
)

// Address is an absolute http or https URL taken apart: no credentials, no
// port, no fragment. Nothing is decoded.
type Address struct {
	Host  string // lower case, without brackets and a trailing dot
	Path  string // starts with "/"
	Query string // without "?"; may hold anything: never stored as it is
}

// ParseAddress takes raw apart. ok is false where raw is not an absolute http
// or https URL. A backslash ends the host, as it does in a browser; a host is
// ASCII (RFC 3986, 3.2.2: other names travel as punycode).
func ParseAddress(raw string) (a Address, ok bool) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return Address{}, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, `/?\`); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if a.Host, ok = parseHost(authority); !ok {
		return Address{}, false
	}
	a.Path, a.Query, _ = strings.Cut(tail, "?")
	if a.Path == "" || a.Path[0] != '/' {
		a.Path = "/" + strings.TrimPrefix(a.Path, `\`)
	}
	return a, true
}

// parseHost reads host[:port] or [v6][:port].
func parseHost(s string) (host string, ok bool) {
	if inner, bracket := strings.CutPrefix(s, "["); bracket {
		v6, port, closed := strings.Cut(inner, "]")
		ip, err := netip.ParseAddr(v6)
		if err != nil || !closed || !ip.Is6() || ip.Zone() != "" || port != "" && !isPort(port) {
			return "", false
		}
		return strings.ToLower(v6), true
	}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		if !isPort(s[i:]) {
			return "", false
		}
		s = s[:i]
	}
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return "", false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !letter(c) && !digit(c) && c != '-' && c != '.' && c != '_' {
			return "", false
		}
	}
	return strings.ToLower(s), true
}

// isPort reports whether s is ":" and at most five digits; a bare ":" is what
// RFC 3986 allows.
func isPort(s string) bool {
	if s[0] != ':' || len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !digit(s[i]) {
			return false
		}
	}
	return true
}
