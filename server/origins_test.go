package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"sluice/server/config"
)

// TestClientAddress is the table of facts about proxies: who may say where a
// request comes from, and what happens to everybody else's word.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	o := newOrigins(config.Server{
		TrustedProxies: []config.Network{
			{Prefix: netip.MustParsePrefix("10.0.0.0/8")},
			{Prefix: netip.MustParsePrefix("198.51.100.0/24")}, // a CDN's edge
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		Proxies: []config.Proxy{
			{Name: "edge", Secret: "0123456789abcdef", ClientIPHeader: "CF-Connecting-IP"},
			{Name: "list", Secret: "fedcba9876543210"},
		},
	})
	type h = http.Header
	tests := []struct {
		name     string
		peer     string
		header   h
		want     string // "" : none
		wantHost string
	}{
		{"public client, no header", "203.0.113.5:4000", nil, "203.0.113.5", "site.example"},
		{"public client claims another address", "203.0.113.5:4000", h{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"evil.example"}, "X-Real-Ip": {"1.2.3.4"}}, "203.0.113.5", "site.example"},
		{"trusted proxy", "10.0.0.1:4000", h{"X-Forwarded-For": {"203.0.113.5"}, "X-Forwarded-Host": {"shop.example"}}, "203.0.113.5", "shop.example"},
		{"trusted proxy, client invents a hop", "10.0.0.1:4000", h{"X-Forwarded-For": {"1.2.3.4, 203.0.113.5"}}, "203.0.113.5", "site.example"},
		{"two proxies", "10.0.0.1:4000", h{"X-Forwarded-For": {"1.2.3.4, 203.0.113.5, 10.0.0.2"}}, "203.0.113.5", "site.example"},
		{"two header lines", "10.0.0.1:4000", h{"X-Forwarded-For": {"6.6.6.6", "203.0.113.5"}}, "203.0.113.5", "site.example"},
		{"public CDN edge", "198.51.100.7:4000", h{"X-Forwarded-For": {"6.6.6.6, 203.0.113.5"}}, "203.0.113.5", "site.example"},
		{"address with a port", "10.0.0.1:4000", h{"X-Forwarded-For": {"203.0.113.5:5566"}}, "203.0.113.5", "site.example"},
		{"IPv6 with a port", "[::1]:4000", h{"X-Forwarded-For": {"[2001:db8::9]:5566"}}, "2001:db8::9", "site.example"},
		{"IPv4 mapped into IPv6", "[::ffff:203.0.113.5]:4000", nil, "203.0.113.5", "site.example"},
		{"zone", "[fe80::1%eth0]:4000", nil, "fe80::1", "site.example"},
		{"entry that is no address", "10.0.0.1:4000", h{"X-Forwarded-For": {"203.0.113.5, unknown"}}, "10.0.0.1", "site.example"},
		{"client on a private network that nobody listed", "10.0.0.1:4000", h{"X-Forwarded-For": {"1.2.3.4, 192.168.1.7"}}, "192.168.1.7", "site.example"},
		{"whoever is on a trusted network is believed", "10.0.0.1:4000", h{"X-Forwarded-For": {"203.0.113.5, 10.0.0.9"}}, "203.0.113.5", "site.example"},
		{"an empty entry", "10.0.0.1:4000", h{"X-Forwarded-For": {"203.0.113.5, "}}, "10.0.0.1", "site.example"},
		{"an empty header", "10.0.0.1:4000", h{"X-Forwarded-For": {""}}, "10.0.0.1", "site.example"},
		{"carrier-grade NAT behind a proxy", "10.0.0.1:4000", h{"X-Forwarded-For": {"1.2.3.4, 100.64.0.7"}}, "100.64.0.7", "site.example"},
		{"IPv4 mapped into IPv6 in the list", "10.0.0.1:4000", h{"X-Forwarded-For": {"1.2.3.4, ::ffff:203.0.113.5"}}, "203.0.113.5", "site.example"},
		{"another proxy's real address", "10.0.0.1:4000", h{"X-Real-Ip": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4"}}, "10.0.0.1", "site.example"},
		{"client on a trusted network", "10.0.0.1:4000", h{"X-Forwarded-For": {"10.0.0.9"}}, "10.0.0.9", "site.example"},
		{"trusted proxy without the header", "10.0.0.1:4000", nil, "10.0.0.1", "site.example"},
		{"unix socket", "@", h{"X-Forwarded-For": {"203.0.113.5"}}, "203.0.113.5", "site.example"},
		{"unix socket without the header", "@", nil, "", "site.example"},
		{"private network that nobody listed", "192.168.1.1:4000", h{"X-Forwarded-For": {"1.2.3.4"}}, "192.168.1.1", "site.example"},
		{"carrier-grade NAT that nobody listed", "100.64.0.1:4000", h{"X-Forwarded-For": {"1.2.3.4"}}, "100.64.0.1", "site.example"},
		{"proxy by secret, its own header", "192.0.2.1:4000", h{"Sluice-Proxy": {"0123456789abcdef"}, "Cf-Connecting-Ip": {"203.0.113.5"}, "X-Forwarded-For": {"1.2.3.4"}}, "203.0.113.5", "site.example"},
		{"proxy by secret, X-Forwarded-For", "192.0.2.1:4000", h{"Sluice-Proxy": {"fedcba9876543210"}, "X-Forwarded-For": {"1.2.3.4, 203.0.113.5"}}, "203.0.113.5", "site.example"},
		{"wrong secret", "192.0.2.1:4000", h{"Sluice-Proxy": {"guess"}, "Cf-Connecting-Ip": {"203.0.113.5"}}, "192.0.2.1", "site.example"},
		{"the proxy's header without its secret", "192.0.2.1:4000", h{"Cf-Connecting-Ip": {"203.0.113.5"}}, "192.0.2.1", "site.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "http://site.example/_s/s.js", nil)
			r.RemoteAddr = tt.peer
			for name, values := range tt.header {
				r.Header[name] = values
			}
			o.settle(r)
			got := ""
			if a := parseAddr(r.RemoteAddr); a.IsValid() {
				got = a.String()
			}
			if got != tt.want || r.Host != tt.wantHost {
				t.Errorf("got %q for host %q, want %q for %q", got, r.Host, tt.want, tt.wantHost)
			}
			for name := range tt.header {
				if left := r.Header[name]; len(left) > 0 {
					t.Errorf("%s reaches the handlers: %q", name, left)
				}
			}
		})
	}
}

// TestNobodyElseIsBelieved sends every header by which a proxy speaks from
// peers that nobody listed: none of them moves the address or the host.
func TestNobodyElseIsBelieved(t *testing.T) {
	t.Parallel()
	o := newOrigins(config.Default().Server)
	headers := append([]string{"Cf-Connecting-Ip", "True-Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "Fastly-Client-Ip"}, forwarding...)
	for _, peer := range []string{"203.0.113.5:4000", "10.0.0.1:4000", "192.168.1.1:4000", "100.64.0.1:4000", "169.254.1.1:4000", "[fd00::1]:4000", "[2001:db8::1]:4000"} {
		for _, name := range headers {
			r := httptest.NewRequest(http.MethodGet, "http://site.example/_s/s.js", nil)
			r.RemoteAddr = peer
			r.Header[name] = []string{"127.0.0.1", "1.2.3.4"}
			o.settle(r)
			if got, want := parseAddr(r.RemoteAddr), parseAddr(peer); got != want || r.Host != "site.example" {
				t.Errorf("%s from %s: taken for %v asking %s", name, peer, got, r.Host)
			}
		}
	}
}

// TestScheme: how the browser asked is what a believed proxy says, and nobody
// else.
func TestScheme(t *testing.T) {
	t.Parallel()
	o := newOrigins(config.Default().Server)
	for _, tt := range []struct {
		name, peer, sent string
		tls              bool
		want             string
	}{
		{"proxy over https", "127.0.0.1:4000", "https", false, "https"},
		{"proxy over http", "127.0.0.1:4000", "http", false, "http"},
		{"two proxies", "127.0.0.1:4000", "http, https", false, "https"},
		{"unix socket", "@", "https", false, "https"},
		{"proxy that says nothing", "127.0.0.1:4000", "", false, ""},
		{"proxy that says something else", "127.0.0.1:4000", "gopher", false, ""},
		{"client that claims it", "203.0.113.5:4000", "https", false, ""},
		{"client over TLS", "203.0.113.5:4000", "", true, "https"},
		{"client over TLS that claims the opposite", "203.0.113.5:4000", "http", true, "https"},
		{"proxy over TLS for a client without", "127.0.0.1:4000", "http", true, "http"},
	} {
		r := httptest.NewRequest(http.MethodGet, "https://site.example/_s/b", nil) // a whole address: also the client's word
		if !tt.tls {
			r.TLS = nil
		}
		r.RemoteAddr = tt.peer
		r.Header.Set("X-Forwarded-Proto", tt.sent)
		o.settle(r)
		if r.URL.Scheme != tt.want || r.Header.Get("X-Forwarded-Proto") != "" {
			t.Errorf("%s: got %q, want %q", tt.name, r.URL.Scheme, tt.want)
		}
	}
}

// FuzzForwardedFor holds two rules for whatever is written into the header:
// from a peer that nobody listed it moves nothing, and from a proxy the last
// address that is not a proxy's counts, whatever stands before it.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "1.2.3.4", "1.2.3.4, ::1", "unknown, _hidden, 10.0.0.1:99999", "[::1]:1, ,,", "1.2.3.4%eth0", "203.0.113.5\x00", "::ffff:1.2.3.4"} {
		f.Add(seed, "")
		f.Add("6.6.6.6", seed)
	}
	o := newOrigins(config.Default().Server)
	const visitor = "203.0.113.5"
	f.Fuzz(func(t *testing.T, first, second string) {
		settle := func(peer string, lines ...string) string {
			r := httptest.NewRequest(http.MethodGet, "http://site.example/", nil)
			r.RemoteAddr, r.Header = peer, http.Header{"X-Forwarded-For": lines}
			o.settle(r)
			if len(r.Header) > 0 {
				t.Errorf("left for the handlers: %v", r.Header)
			}
			return parseAddr(r.RemoteAddr).String()
		}
		if got := settle(visitor+":4000", first, second); got != visitor {
			t.Errorf("a visitor is taken for %s", got)
		}
		for _, lines := range [][]string{{first, second, visitor}, {first, second + "," + visitor}, {first, second, visitor + ":55", "127.0.0.2"}} {
			if got := settle("127.0.0.1:4000", lines...); got != visitor {
				t.Errorf("%q through a proxy: a visitor is taken for %s", lines, got)
			}
		}
	})
}
