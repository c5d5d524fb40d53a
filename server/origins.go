package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"sluice/server/config"
)

// proxyHeader carries the secret of a proxy without a fixed address.
const proxyHeader = "Sluice-Proxy"

// forwarding is every header by which a proxy speaks for a client. None of
// them reaches a handler.
var forwarding = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Protocol",
	"X-Forwarded-Ssl", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-Ip", "X-Url-Scheme",
	"X-Http-Method-Override", proxyHeader,
}

// origins settles where a request comes from before anything else sees it:
// RemoteAddr becomes the client's address, Host the host that the browser
// asked for, URL.Scheme how it asked ("" where nobody says), and the forwarding
// headers are gone.
type origins struct {
	trusted []netip.Prefix
	proxies []namedProxy
}

type namedProxy struct {
	secret [sha256.Size]byte // of the secret: compared in constant time
	header string            // that holds the client's address
}

func newOrigins(s config.Server) *origins {
	o := &origins{}
	for _, n := range s.TrustedProxies {
		o.trusted = append(o.trusted, n.Prefix)
	}
	for _, p := range s.Proxies {
		header := p.ClientIPHeader
		if header == "" {
			header = "X-Forwarded-For"
		}
		o.proxies = append(o.proxies, namedProxy{sha256.Sum256([]byte(p.Secret.Reveal())), http.CanonicalHeaderKey(header)})
	}
	return o
}

// wrap settles each request before next sees it.
func (o *origins) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = o.noteArrival(r)
		o.settle(r)
		next.ServeHTTP(w, r)
	})
}

func (o *origins) settle(r *http.Request) {
	client, believed := o.client(r)
	if host := lastOf(r.Header["X-Forwarded-Host"]); believed && host != "" {
		r.Host = host
	}
	r.URL.Scheme = "" // a client may name one, in a request with the whole address
	if r.TLS != nil {
		r.URL.Scheme = "https"
	}
	if scheme := lastOf(r.Header["X-Forwarded-Proto"]); believed && (scheme == "http" || scheme == "https") {
		r.URL.Scheme = scheme
	}
	for _, name := range forwarding {
		delete(r.Header, name)
	}
	for _, p := range o.proxies {
		delete(r.Header, p.header)
	}
	r.RemoteAddr = ""
	if client.IsValid() {
		r.RemoteAddr = net.JoinHostPort(client.String(), "0")
	}
}

// client returns the address that the request comes from, and whether the peer
// may speak for others. The address is not valid where nobody named one: a
// peer on a unix socket without a header.
func (o *origins) client(r *http.Request) (addr netip.Addr, believed bool) {
	peer := parseAddr(r.RemoteAddr)
	if p := o.proxyOf(r); p != nil {
		if p.header == "X-Forwarded-For" {
			return o.walk(peer, r.Header[p.header]), true
		}
		if a := parseAddr(lastOf(r.Header[p.header])); a.IsValid() {
			return a, true
		}
		return peer, true
	}
	// A unix socket has no address; who may open it is decided by its mode.
	if peer.IsValid() && !o.trusts(peer) {
		return peer, false
	}
	return o.walk(peer, r.Header["X-Forwarded-For"]), true
}

// walk reads X-Forwarded-For from the right: each hop was written by the one
// after it, so the first address that is not a trusted proxy's is the last one
// that can be believed. Several header lines are one list (RFC 9110, 5.3). At
// an entry that is no address the walk ends with the hop before it.
func (o *origins) walk(peer netip.Addr, lines []string) netip.Addr {
	hops := strings.Split(strings.Join(lines, ","), ",")
	at := peer
	for i := len(hops) - 1; i >= 0; i-- {
		a := parseAddr(strings.TrimSpace(hops[i]))
		if !a.IsValid() {
			return at
		}
		at = a
		if !o.trusts(a) {
			return at
		}
	}
	return at
}

// proxyOf returns the proxy whose secret the request carries.
func (o *origins) proxyOf(r *http.Request) *namedProxy {
	sent := r.Header.Get(proxyHeader)
	if sent == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(sent))
	var found *namedProxy
	for i := range o.proxies {
		if subtle.ConstantTimeCompare(sum[:], o.proxies[i].secret[:]) == 1 {
			found = &o.proxies[i]
		}
	}
	return found
}

func (o *origins) trusts(a netip.Addr) bool {
	for _, p := range o.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without port, brackets and zone.
func parseAddr(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// lastOf returns the last element of a header that may be repeated or listed:
// the nearest proxy's word.
func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		last = last[i+1:]
	}
	return strings.TrimSpace(last)
}
