package judge

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// forwarding lists the headers that tell where a request came from.
var forwarding = []string{
	"X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
	"Forwarded", "Via", "Cookie", "Referer", "Origin",
}

// secretWords are the words of query keys that carry somebody's identity or
// access.
var secretWords = []string{"email", "mail", "token", "password", "passwd", "pwd", "secret", "auth", "session", "sid", "phone"}

// isSecret reports whether one of a query key's words is a secret one.
func isSecret(key string) bool {
	for word := range strings.FieldsFuncSeq(key, func(c rune) bool { return c == '_' || c == '-' }) {
		if slices.ContainsFunc(secretWords, func(s string) bool { return strings.EqualFold(s, word) }) {
			return true
		}
	}
	return false
}

// foreignHeaders are the headers of a request that must not leave.
func foreignHeaders(req Request) (out []string) {
	for _, h := range forwarding {
		if len(req.Header[http.CanonicalHeaderKey(h)]) > 0 {
			out = append(out, "header "+h)
		}
	}
	return out
}

// violations is rule 22: what Sluice never sends, whatever Google would say.
// body is what was read of the request's.
func violations(req Request, body parsed) []string {
	out := foreignHeaders(req)
	add := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for name, values := range req.Query {
		if name != "api_secret" && isSecret(name) {
			add("query parameter %s", name)
		}
		for _, v := range values {
			for _, p := range personalDecoded(v, req.OwnHosts) {
				add("%s in query parameter %s", p.Kind, name)
			}
		}
	}
	if body.err != nil { // unreadable: look at the bytes
		for _, p := range Personal(string(req.Body), req.OwnHosts...) {
			add("%s in the body", p.Kind)
		}
		return out
	}
	walk(newPath(), &body.root, func(at path, s string, key bool) {
		if key {
			if name := snake(s); name == "ip_override" || name == "user_data" {
				add("%s", name)
			}
		}
		for _, p := range personalDecoded(s, req.OwnHosts) {
			add("%s in %s", p.Kind, at.String())
		}
		if k := secretQuery(s); k != "" {
			add("query parameter %s in %s", k, at.String())
		}
	})
	slices.Sort(out)
	return out
}

// walk calls f with every key, at its own path, and every text.
func walk(at path, v *value, f func(at path, s string, key bool)) {
	if v.kind == text {
		f(at, v.raw, false)
	}
	for i := range v.parts {
		part := &v.parts[i]
		if v.kind == list {
			walk(at.at(i), &part.value, f)
			continue
		}
		here := at.field(part.name)
		f(here, part.name, true)
		walk(here, &part.value, f)
	}
}

// secretQuery returns the first key of the URL s's query that is secret; "":
// none is.
func secretQuery(s string) string {
	_, query, found := strings.Cut(s, "?")
	if !found {
		return ""
	}
	// A fragment may have a query of its own.
	for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == '#' || c == '?' }) {
		key, _, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(key); err == nil && isSecret(k) {
			return k
		}
	}
	return ""
}

// Datum is a personal datum found in a text: its kind, "address" or "e-mail",
// and the bytes [From, To) that hold it.
type Datum struct {
	Kind     string
	From, To int
}

var (
	email  = regexp.MustCompile(`(?i)[\pL\pN._%+-]+(@|%40)[\pL\pN-]+(\.[\pL\pN-]+)*\.\pL{2,}`)
	dotted = regexp.MustCompile(`\d{1,3}(\.\d{1,3}){3}`)
	colons = regexp.MustCompile(`(?i)[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:]*(\d{1,3}(\.\d{1,3}){3})?`)
)

// Personal finds literal addresses and e-mail addresses in s, in order and
// without overlap. An address that is one of ownHosts is nobody's.
//
// Four dotted numbers count as an address even beside letters ("ip10.0.0.7"),
// unless more digits or dots follow; colons only where no word touches them,
// for "std::dead" is none.
func Personal(s string, ownHosts ...string) []Datum {
	var out []Datum
	add := func(kind string, at []int) {
		d := Datum{kind, at[0], at[1]}
		if !slices.ContainsFunc(out, func(f Datum) bool { return d.From < f.To && f.From < d.To }) {
			out = append(out, d)
		}
	}
	// Few texts hold what each form needs, and to look for that costs a hundredth.
	var ats, colonsThere, dots int
	for i := range len(s) {
		switch s[i] {
		case '@':
			ats++
		case '%':
			if strings.HasPrefix(s[i:], "%40") {
				ats++
			}
		case ':':
			colonsThere++
		case '.':
			dots++
		}
	}
	if ats > 0 {
		for _, at := range email.FindAllStringIndex(s, -1) {
			add("e-mail", at)
		}
	}
	if colonsThere >= 2 {
		for _, at := range colons.FindAllStringIndex(s, -1) {
			if !wordAt(s, at[0]-1) && !wordAt(s, at[1]) && foreign(s[at[0]:at[1]], ownHosts) {
				add("address", at)
			}
		}
	}
	if dots >= 3 {
		for _, at := range dotted.FindAllStringIndex(s, -1) {
			if !numberAt(s, at[0]-1, -1) && !numberAt(s, at[1], 1) && foreign(s[at[0]:at[1]], ownHosts) {
				add("address", at)
			}
		}
	}
	slices.SortFunc(out, func(a, b Datum) int { return a.From - b.From })
	return out
}

// personalDecoded is Personal, also of what percent-encoding hides.
func personalDecoded(s string, ownHosts []string) []Datum {
	if found := Personal(s, ownHosts...); found != nil {
		return found
	}
	return hidden(s, ownHosts)
}

// hidden is Personal of what percent-encoding hides.
func hidden(s string, ownHosts []string) []Datum {
	if !strings.Contains(s, "%") {
		return nil
	}
	plain, err := url.PathUnescape(s)
	if err != nil {
		return nil
	}
	return Personal(plain, ownHosts...)
}

// Redact replaces what Personal finds in s with the given word, and takes off
// the query of a URL that carries somebody's access. Where percent-encoding
// hides more, nothing is left of s.
func Redact(s, word string, ownHosts ...string) string {
	if secretQuery(s) != "" {
		s, _, _ = strings.Cut(s, "?")
	}
	found := Personal(s, ownHosts...)
	if found == nil && hidden(s, ownHosts) == nil {
		return s
	}
	var b strings.Builder
	end := 0
	for _, d := range found {
		b.WriteString(s[end:d.From])
		b.WriteString(word)
		end = d.To
	}
	b.WriteString(s[end:])
	if out := b.String(); personalDecoded(out, ownHosts) == nil {
		return out
	}
	return ""
}

// foreign reports whether s is an address, and not one of ownHosts.
func foreign(s string, ownHosts []string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && !ip.IsUnspecified() && !slices.Contains(ownHosts, ip.String())
}

// wordAt reports whether byte i of s belongs to a word.
func wordAt(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	c := s[i]
	return c == '_' || digitAt(s, i) || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
}

// numberAt reports whether byte i of s continues a number: a digit, or a dot
// with a digit behind it in the direction step.
func numberAt(s string, i, step int) bool {
	return digitAt(s, i) || i >= 0 && i < len(s) && s[i] == '.' && digitAt(s, i+step)
}

func digitAt(s string, i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }
