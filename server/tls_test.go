package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/server/config"
)

// authority is an ACME authority (RFC 8555) that asks for a name's proof at the
// port for plain HTTP. It checks no signature: the client's are not ours.
type authority struct {
	t    *testing.T
	url  string
	key  *ecdsa.PrivateKey
	root *x509.Certificate

	mu     sync.Mutex
	plain  string // where the name leads, port 80
	domain string
	proved bool
	chain  []byte // PEM
	issued int
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var signed struct{ Payload string }
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&signed); err != nil {
			a.t.Errorf("%s: %v", r.URL, err)
		}
	}
	payload, err := base64.RawURLEncoding.DecodeString(signed.Payload)
	if err != nil {
		a.t.Errorf("%s: %v", r.URL, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", fmt.Sprint(time.Now().UnixNano()))
	answer := func(status int, v map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			a.t.Error(err)
		}
	}
	status := map[bool]string{false: "pending", true: "valid"}[a.proved]
	switch r.URL.Path {
	case "/directory":
		answer(200, map[string]any{"newNonce": a.url + "/nonce", "newAccount": a.url + "/account", "newOrder": a.url + "/order"})
	case "/nonce":
	case "/account":
		w.Header().Set("Location", a.url+"/account/1")
		answer(201, map[string]any{"status": "valid"})
	case "/order":
		var in struct{ Identifiers []struct{ Value string } }
		if err := json.Unmarshal(payload, &in); err != nil || len(in.Identifiers) != 1 {
			a.t.Errorf("order %s: %v", payload, err)
			return
		}
		a.domain, a.proved = in.Identifiers[0].Value, false
		w.Header().Set("Location", a.url+"/order/1")
		answer(201, a.order("pending"))
	case "/order/1":
		answer(200, a.order(map[bool]string{false: "pending", true: "ready"}[a.proved]))
	case "/authz":
		answer(200, map[string]any{
			"status": status, "identifier": map[string]string{"type": "dns", "value": a.domain},
			"challenges": []any{map[string]string{"type": "http-01", "url": a.url + "/challenge", "token": "a-token", "status": status}},
		})
	case "/challenge":
		a.proved = a.prove()
		answer(200, map[string]any{"type": "http-01", "url": a.url + "/challenge", "token": "a-token", "status": "processing"})
	case "/finalize":
		a.sign(payload)
		w.Header().Set("Location", a.url+"/order/1")
		answer(200, a.order("valid"))
	case "/certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.chain)
	default:
		a.t.Errorf("the authority has no %s", r.URL)
		http.NotFound(w, r)
	}
}

func (a *authority) order(status string) map[string]any {
	return map[string]any{
		"status": status, "identifiers": []any{map[string]string{"type": "dns", "value": a.domain}},
		"authorizations": []string{a.url + "/authz"}, "finalize": a.url + "/finalize", "certificate": a.url + "/certificate",
	}
}

// prove asks the server for what it was told to show.
func (a *authority) prove() bool {
	req, err := http.NewRequest(http.MethodGet, "http://"+a.plain+"/.well-known/acme-challenge/a-token", nil)
	if err != nil {
		a.t.Error(err)
		return false
	}
	req.Host = a.domain
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Error(err)
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(string(body), "a-token.") {
		a.t.Errorf("the challenge is answered %d %s, %v", resp.StatusCode, body, err)
		return false
	}
	return true
}

func (a *authority) sign(payload []byte) {
	var in struct{ CSR string }
	if err := json.Unmarshal(payload, &in); err != nil {
		a.t.Error(err)
	}
	der, err := base64.RawURLEncoding.DecodeString(in.CSR)
	if err != nil {
		a.t.Error(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.issued++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(int64(a.issued + 1)), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, a.root, csr.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	var b bytes.Buffer
	for _, der := range [][]byte{cert, a.root.Raw} {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			a.t.Error(err)
		}
	}
	a.chain = b.Bytes()
}

// freePort is where nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestCertificates: named domains are served over https with a certificate of the
// authority, which is kept, and plain HTTP leads there.
func TestCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	at := ports{freePort(t), freePort(t)}
	a.plain = at.plain
	serve := func() *running {
		c, err := config.Parse(fmt.Appendf(nil, `
server:
  listen: "127.0.0.1:0"
  metrics_listen: "localhost:0"
  tls: {domains: [Stats.example.com], email: ops@example.com, directory: "%s/directory"}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
sites: [{domain: example.com}]
`, a.url, dir), dir)
		if err != nil {
			t.Fatal(err)
		}
		return startWith(t, c, time.Now, func(m *machine) { m.ports = at })
	}
	r := serve()
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	transport := &http.Transport{
		DialTLSContext: (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "stats.example.com"}}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(url string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "stats.example.com"
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := get("https://" + at.secure + "/s.js"); resp.StatusCode != 200 {
		t.Errorf("over https: %d", resp.StatusCode)
	}
	if resp := get("http://" + at.plain + "/dashboards?x=1"); resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "https://stats.example.com/dashboards?x=1" {
		t.Errorf("over http: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp := get("https://" + at.secure + "/dashboards"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("dashboards: %d, want the login", resp.StatusCode)
	}
	if _, err := tls.Dial("tcp", at.secure, &tls.Config{RootCAs: roots, ServerName: "other.example.com"}); err == nil {
		t.Error("there is a certificate for a name that was not asked for")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	transport.CloseIdleConnections()
	r = serve()
	if resp := get("https://" + at.secure + "/s.js"); resp.StatusCode != 200 {
		t.Errorf("over https after a restart: %d", resp.StatusCode)
	}
	a.mu.Lock()
	if a.issued != 1 {
		t.Errorf("%d certificates were issued, want the one that is kept", a.issued)
	}
	a.mu.Unlock()
	info, err := os.Stat(filepath.Join(dir, certificatesName))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the certificates' keys: %v, %v", info.Mode(), err)
	}
	eventually(t, "the log says that the certificate is there", func() bool { return strings.Contains(r.log.String(), "certificate is there") })
}
