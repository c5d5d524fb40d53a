package forward

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4"
)

// empty is the smallest parcel.
var empty = collector.Parcel{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("{}")}

// let is the pass that lets everything through.
func let(write func() (int, error)) (int, error) { return write() }

func testClient(t *testing.T, endpoint string) *client {
	t.Helper()
	c, err := newClient(collector.Secret(endpoint), 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	tests := []struct {
		endpoint string
		ok       bool
	}{
		{"https://sgtm.example.com/collect?x=1", true},
		{"http://127.0.0.1:8090/mp/collect", true},
		{"http://[::1]:8090/mp/collect", true},
		{"http://sgtm.example.com/collect?secret=" + secret, false},
		{"https://ada:" + secret + "@sgtm.example.com/", false},
		{"ftp://127.0.0.1/" + secret, false},
		{"/mp/collect", false},
		{"://" + secret, false},
	}
	for _, tt := range tests {
		_, err := newClient(collector.Secret(tt.endpoint), 1)
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error tells the secret: %v", tt.endpoint, err)
		}
	}
}

// TestPublic is which addresses a name may lead to.
func TestPublic(t *testing.T) {
	t.Parallel()
	inside := strings.Fields(`127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 0.1.2.3
		192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 ::1 :: fe80::1 fc00::1 fd00::1 ff02::1
		::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2001:db8::1 2002:7f00:1:: fec0::1`)
	for _, s := range inside {
		if ip := netip.MustParseAddr(s).Unmap(); public(ip) {
			t.Errorf("%s passes for public", s)
		}
	}
	for _, s := range []string{"8.8.8.8", "216.58.206.46", "2a00:1450:4001:80b::200e", "::ffff:8.8.8.8"} {
		if ip := netip.MustParseAddr(s).Unmap(); !public(ip) {
			t.Errorf("%s passes for inside", s)
		}
	}
}

// TestGuardAfterDNS refuses by the address that a name has led to, and takes a
// literal address as the permission for itself alone.
func TestGuardAfterDNS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		permitted, address string
		ok                 bool
	}{
		{"", "127.0.0.1:443", false},
		{"", "[::1]:443", false},
		{"", "[::ffff:127.0.0.1]:443", false},
		{"", "[fe80::1%eth0]:443", false},
		{"", "8.8.8.8:443", true},
		{"127.0.0.1", "127.0.0.1:8090", true},
		{"127.0.0.1", "[::ffff:127.0.0.1]:8090", true},
		{"127.0.0.1", "127.0.0.2:8090", false},
		{"127.0.0.1", "10.0.0.1:8090", false},
		{"", "example.com:443", false},
	}
	for _, tt := range tests {
		var permitted netip.Addr
		if tt.permitted != "" {
			permitted = netip.MustParseAddr(tt.permitted)
		}
		if err := guarded(permitted).Control("tcp", tt.address, nil); (err == nil) != tt.ok {
			t.Errorf("permitted %q, dial %s: %v", tt.permitted, tt.address, err)
		}
	}
}

// TestNameLeadsInside uses the one name that every machine resolves to itself.
func TestNameLeadsInside(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }))
	defer web.Close()
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := testClient(t, "https://localhost:"+port+"/mp/collect").post(t.Context(), empty, let)
	var refused *AddressError
	if !errors.As(a.err, &refused) || !refused.Address.IsLoopback() {
		t.Fatalf("err = %v, want the loopback address refused", a.err)
	}
	if a.begun || strings.Contains(a.err.Error(), secret) {
		t.Errorf("begun %t, err %v", a.begun, a.err)
	}
}

// TestWire is what a server sees, to the last header, and that a literal
// address is reached.
func TestWire(t *testing.T) {
	t.Parallel()
	type seen struct {
		Method, URI, Body string
		Header            http.Header
	}
	var got seen
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = seen{r.Method, r.RequestURI, string(body), r.Header}
		http.SetCookie(w, &http.Cookie{Name: "id", Value: "1"})
		w.WriteHeader(http.StatusNoContent)
	}))
	defer web.Close()
	c := testClient(t, web.URL+"/mp/collect?api_secret="+secret+"&measurement_id=G-TEST")
	for range 2 { // the second would bring the cookie
		if a := c.post(t.Context(), empty, let); !a.taken() || a.err != nil {
			t.Fatalf("answer = %+v", a)
		}
	}
	want := seen{"POST", "/mp/collect?api_secret=" + secret + "&measurement_id=G-TEST", "{}", http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"Sluice"}, "Content-Length": {"2"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRedirectNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	web := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer web.Close()
	if a := testClient(t, web.URL).post(t.Context(), empty, let); a.status != http.StatusTemporaryRedirect || a.again() {
		t.Errorf("answer = %+v, want 307 and no second try", a)
	}
}

// TestGateOverTLS stops the request itself, not only the handshake's bytes: on
// a new connection and on one that is kept.
func TestGateOverTLS(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	arrived := 0
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		arrived++
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	defer web.Close()
	c := testClient(t, web.URL)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	c.tls.RootCAs = roots
	stop := errors.New("stop")
	deny := func(func() (int, error)) (int, error) { return 0, stop }
	for i, step := range []struct {
		pass pass
		want int // requests that have arrived after the step
	}{{deny, 0}, {let, 1}, {deny, 1}, {let, 2}} {
		a := c.post(t.Context(), empty, step.pass)
		if denied := errors.Is(a.err, stop); denied == a.begun || denied == a.taken() {
			t.Errorf("step %d: answer = %+v", i, a)
		}
		mu.Lock()
		if arrived != step.want {
			t.Errorf("step %d: %d requests arrived, want %d", i, arrived, step.want)
		}
		mu.Unlock()
	}
}

// TestForeignCertificate does not speak to who cannot prove the name.
func TestForeignCertificate(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	defer web.Close()
	a := testClient(t, web.URL).post(t.Context(), empty, let)
	var unknown *tls.CertificateVerificationError
	if !errors.As(a.err, &unknown) || a.begun {
		t.Errorf("answer = %+v", a)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		in   string
		want time.Duration
	}{
		{"", 0}, {"90", 90 * time.Second}, {"-1", 0}, {"soon", 0}, {"99999999", 24 * time.Hour},
		{"Mon, 23 Nov 2026 12:01:00 GMT", time.Minute}, {"Mon, 23 Nov 2026 11:00:00 GMT", 0},
	} {
		if got := retryAfter(http.Header{"Retry-After": {tt.in}}, now); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

// TestSecretNeverPrints prints the secret in every way that code might.
func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	s := collector.Secret(secret)
	o := ga4.Options{APISecret: s}
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&b, verb+verb+verb+"\n", s, o, &o)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("options", "secret", s, "options", o)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("options", "secret", s, "map", map[string]any{"secret": s})
	if err := json.NewEncoder(&b).Encode(map[string]any{"secret": s}); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), url.QueryEscape(secret)} {
		if strings.Contains(b.String(), form) {
			t.Errorf("%s was printed:\n%s", form, b.String())
		}
	}
}
