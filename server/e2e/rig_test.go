// Package e2e holds the tests of the whole: the real server, engine, browser
// and a site's own web server between them.
package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/collector/ga4/standin"
	"sluice/collector/ga4/standin/standintest"
	"sluice/collector/store/engine"
	"sluice/server"
	"sluice/static/browsertest"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	if os.Getenv(serveVariable) != "" {
		serveAsMain()
	}
	if address := os.Getenv(bareEchoVariable); address != "" {
		bareEcho(address)
	}
	os.Exit(browsertest.Main(m))
}

// The API key of the tests, and its hash as the configuration holds it.
const apiKey = "a key of the tests"

func apiKeyHash() string {
	sum := sha256.Sum256([]byte(apiKey))
	return hex.EncodeToString(sum[:])
}

// The addresses that visitors come from in these tests, of both families.
const (
	visitorV4 = "81.2.69.142"
	visitorV6 = "2001:4860:4860:1b::8888"
)

// A marketer's login.
const (
	user     = "ada@example.com"
	password = "correct horse battery staple"
)

var passwordHash = sync.OnceValue(func() string {
	hash, err := server.HashPassword(password)
	if err != nil {
		panic(err)
	}
	return hash
})

// rig is a running Sluice with a site in front of it and a stand-in for Google
// behind it.
type rig struct {
	t       *testing.T
	dir     string // data_dir
	config  string
	sluice  string // http://127.0.0.1:PORT
	metrics string
	site    *httptest.Server // the site's own web server; reach it as localhost
	google  *standin.Server
	logs    *logs
	stop    func()
	visitor string // what the site's server reports as the visitor's address
}

// logs collects what the server prints.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// prefix says how the site's web server hands /_s on.
type prefix bool

const (
	kept     prefix = false
	stripped prefix = true
)

func newRig(t *testing.T, p prefix) *rig {
	t.Helper()
	requireEngine(t)
	r := &rig{t: t, dir: t.TempDir(), logs: &logs{}, visitor: visitorV4, google: standintest.New(t, standin.Options{OwnHosts: []string{"localhost"}})}
	google := httptest.NewServer(r.google)
	t.Cleanup(google.Close)
	r.sluice, r.metrics = "http://"+freeAddress(t), "http://"+freeAddress(t)
	r.site = httptest.NewServer(r.shop(p))
	t.Cleanup(r.site.Close)
	r.config = filepath.Join(r.dir, "sluice.yaml")
	text := fmt.Sprintf(`
server: {listen: %q, metrics_listen: %q, public_url: %q}
data_dir: %q
geo: {database: %q}
sites:
  - domain: localhost
    public_url: %s/_s
    controller: {name: Example GmbH, contact: privacy@example.com}
    notice: {version: "2025-07", updated: 2025-07-01, policy_url: https://example.com/privacy}
    services:
      - {preset: google-analytics, measurement_id: G-TEST123, api_secret: a-secret-of-the-test, endpoint: %s/mp/collect}
  - {domain: other.example}
  - {domain: shop.localhost, public_url: "http://stats.shop.localhost/_s"}
  - {domain: trackers.localhost, public_url: "http://trackers.localhost/_s", accept: {plausible: true, umami: true, goatcounter: true}}
  - domain: gtag.localhost
    public_url: "http://gtag.localhost/_s"
    accept: {gtag: true}
    services: [{preset: google-analytics, measurement_id: G-RELAY, api_secret: a-secret-of-the-test, endpoint: %s/mp/collect, relay: true}]
api_keys: [{name: test, key_hash: "sha256:%s", sites: [localhost]}]
users: [{email: %q, password_hash: %q, role: admin}]
`, hostPort(r.sluice), hostPort(r.metrics), r.sluice, filepath.Join(r.dir, "data"), countries(t), r.origin(), google.URL, google.URL, apiKeyHash(), user, passwordHash())
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

// start runs `sluice serve` until stop is called.
func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, []string{"serve", "--config", r.config}, strings.NewReader(""), r.logs, r.logs)
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("serve ended with %v", err)
		}
	})
	r.eventually("the server is ready", func() error {
		select {
		case err := <-ended:
			r.t.Fatalf("serve ended early: %v\n%s", err, r.logs)
		default:
		}
		return answers(r.metrics + "/readyz")
	})
}

func answers(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// eventually tries until check succeeds, and fails the test where it never does.
func (r *rig) eventually(what string, check func() error) {
	r.t.Helper()
	if err := try(check); err != nil {
		r.t.Fatalf("%s: %v\n%s", what, err, r.logs)
	}
}

// patience is how long a test waits for what has to come: so long that only
// what is broken needs it, and never a busy machine.
const patience = 5 * time.Minute

// try calls check until it succeeds. When patience is at its end it returns what
// check said last.
func try(check func() error) error {
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-deadline:
			return err
		case <-tick.C:
		}
	}
}

// sql runs one query through the command and returns its cells.
func (r *rig) sql(query string) [][]string {
	r.t.Helper()
	var out, errs bytes.Buffer
	err := server.Run(r.t.Context(), []string{"sql", "--config", r.config, "--format", "csv", query}, strings.NewReader(""), &out, &errs)
	if err != nil {
		r.t.Fatalf("sluice sql %q: %v\n%s", query, err, errs.String())
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		r.t.Fatal(err)
	}
	return rows
}

// wantRows waits until the query returns exactly these cells.
func (r *rig) wantRows(query string, want ...string) {
	r.t.Helper()
	r.eventually(query, func() error {
		var got []string
		for _, row := range r.sql(query) {
			got = append(got, strings.Join(row, ","))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}

// origin is how a browser names the site.
func (r *rig) origin() string {
	return strings.Replace(r.site.URL, "127.0.0.1", "localhost", 1)
}

// shop is the site's own web server: some pages, and everything below /_s
// handed on with the visitor's address, as nginx would.
func (r *rig) shop(p prefix) http.Handler {
	target, err := url.Parse(r.sluice)
	if err != nil {
		r.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(req *httputil.ProxyRequest) {
		req.SetURL(target)
		req.Out.Host = req.In.Host
		if p == stripped {
			req.Out.URL.Path = strings.TrimPrefix(req.In.URL.Path, "/_s")
		}
		req.Out.Header.Set("X-Forwarded-For", r.visitor)
		req.Out.Header.Set("X-Forwarded-Proto", "http")
	}}
	mux := http.NewServeMux()
	mux.Handle("/_s/", proxy)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!doctype html><html lang="en"><head><title>Page `+req.URL.Path[1:]+`</title>
<script async src="/_s/s.js" data-site="localhost"></script></head>
<body><h1>A page</h1><p>With a paragraph.</p><a id="next" href="/next">next</a>
<a id="choices" href="/_s/choices" data-sluice="choices">Cookie choices</a></body></html>`)
	})
	return mux
}

// taken holds every address that freeAddress gave out.
var taken sync.Map

// freeAddress returns an address for a server that comes later, and perhaps
// goes and comes again. It is given out once, and on Linux on a loopback host
// that nobody else listens on: whoever knocks while the server is away must
// not end up at another test's.
func freeAddress(t testing.TB) string {
	t.Helper()
	if runtime.GOOS == "linux" {
		return freeOn(t, "127.0.0.2")
	}
	return freeOn(t, "127.0.0.1")
}

// namedAddress is freeAddress for what a browser reaches by a name below
// localhost, which it takes for 127.0.0.1.
func namedAddress(t testing.TB) string {
	t.Helper()
	return freeOn(t, "127.0.0.1")
}

func freeOn(t testing.TB, host string) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, again := taken.LoadOrStore(address, true); !again {
			return address
		}
	}
}

func hostPort(raw string) string { return strings.TrimPrefix(raw, "http://") }

// requireEngine skips where libchdb is not installed; CI turns that into a
// failure.
func requireEngine(t *testing.T) {
	t.Helper()
	if _, err := engine.Find(""); err != nil {
		if os.Getenv("SLUICE_REQUIRE_ENGINE") != "" {
			t.Fatal(err)
		}
		t.Skip("libchdb is not installed: ", err)
	}
}

// verifyLedger runs `sluice ledger verify`.
func (r *rig) verifyLedger() {
	r.t.Helper()
	var out, errs bytes.Buffer
	if err := server.Run(r.t.Context(), []string{"ledger", "verify", "--config", r.config}, strings.NewReader(""), &out, &errs); err != nil {
		r.t.Errorf("sluice ledger verify: %v\n%s%s", err, out.String(), errs.String())
	}
}

// countries is the default country database, as make installs it.
func countries(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../node_modules/.sluice/GeoLite2-Country.mmdb")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatal("the country database is not installed; run make geo: ", err)
	}
	return path
}
