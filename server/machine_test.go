package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/collector/store/engine"
	"sluice/consent"
	"sluice/server/config"
	"sluice/static"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	os.Exit(m.Run())
}

// running is a machine behind its listeners.
type running struct {
	*machine
	public, private string
	log             *logs
	stop            func() error // ends it and returns what run returned
}

// start runs a machine on dataDir whose ClickHouse is nowhere.
func start(t *testing.T, dataDir string) *running {
	t.Helper()
	c, err := config.Parse(fmt.Appendf(nil, `
server: {listen: "127.0.0.1:0", metrics_listen: "localhost:0"}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
sites: [{domain: example.com, public_url: "https://example.com/mounted/here"}]
`, dataDir), dataDir)
	if err != nil {
		t.Fatal(err)
	}
	return startOf(t, c, time.Now)
}

// logs may be read while the server writes them.
type logs struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// startOf runs the machine of a configuration.
func startOf(t *testing.T, c *config.Config, now func() time.Time) *running {
	t.Helper()
	return startWith(t, c, now, func(*machine) {})
}

// startWith runs the machine once set has changed it.
func startWith(t *testing.T, c *config.Config, now func() time.Time, set func(*machine)) *running {
	t.Helper()
	r := &running{log: &logs{}}
	var err error
	if r.machine, err = assemble(c, slog.New(slog.NewTextHandler(r.log, nil)), now); err != nil {
		t.Fatal(err)
	}
	set(r.machine)
	open := make(chan struct{})
	r.onOpen = func(public, private net.Addr) {
		r.public, r.private = "http://"+public.String(), "http://"+private.String()
		close(open)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	stopped := false
	r.stop = func() error {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if !stopped {
			if err := r.stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	})
	select {
	case <-open:
	case err := <-ended:
		t.Fatalf("ended before the doors opened: %v", err)
	}
	return r
}

// ask sends a request as a page of the site would.
func (r *running) ask(t *testing.T, method, url, body, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://example.com")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	req.Header.Set("X-Forwarded-For", "203.0.113.5")
	if token != "" {
		req.Header.Set(consent.TokenHeader, token)
	}
	return exchange(t, req)
}

// exchange sends a request and reads what comes back.
func exchange(t *testing.T, req *http.Request) (status int, body string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// grant records a visitor's yes and returns the token.
func (r *running) grant(t *testing.T) string {
	t.Helper()
	policy, err := r.ledger.Sites.Lookup("example.com")
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.ledger.Decide(t.Context(), policy, consent.Choice{
		Site: "example.com", Purposes: map[string]bool{"analytics": true}, Method: "accept_all", Notice: "1",
	}, "", consent.Signals{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return g.Signed
}

const oneEvent = `{"site":"example.com","events":[{"name":"pageview","url":"https://example.com/"}]}`

// TestDoorsOpenWithoutClickHouse is the promise that an outage of ClickHouse
// loses nothing and stops nobody; a restart knows what was said before it.
func TestDoorsOpenWithoutClickHouse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dir)
	if status, body := r.ask(t, http.MethodGet, r.private+"/healthz", "", ""); status != 200 {
		t.Errorf("healthz: %d %s", status, body)
	}
	status, body := r.ask(t, http.MethodGet, r.private+"/readyz", "", "")
	if status != 503 || !strings.Contains(body, `"starting"`) {
		t.Errorf("readyz: %d %s, want 503 starting", status, body)
	}
	if status, body := r.ask(t, http.MethodPost, r.public+"/_s/e", oneEvent, ""); status != 202 || !strings.Contains(body, "no_consent") {
		t.Errorf("event without consent: %d %s", status, body)
	}
	token := r.grant(t)
	// The prefix kept, stripped, and the one of the site's own public_url.
	for _, base := range []string{"/_s", "", "/mounted/here"} {
		if status, body := r.ask(t, http.MethodPost, r.public+base+"/e", oneEvent, token); status != 202 || !strings.HasPrefix(body, `{"accepted":1`) {
			t.Errorf("event with consent at %s/e: %d %s", base, status, body)
		}
		if status, _ := r.ask(t, http.MethodGet, r.public+base+"/s.js", "", ""); status != 200 {
			t.Errorf("script at %s/s.js: %d", base, status)
		}
		for _, name := range static.Chunks() {
			if status, _ := r.ask(t, http.MethodGet, r.public+base+"/"+name, "", ""); status != 200 {
				t.Errorf("chunk at %s/%s: %d", base, name, status)
			}
		}
		extras := r.public + base + "/" + static.ExtrasName() + "?site="
		if status, body := r.ask(t, http.MethodGet, extras+"example.com", "", ""); status != 200 || !strings.Contains(body, `"vitals":true`) {
			t.Errorf("extras at %s: %d %s", base, status, body)
		}
		if status, _ := r.ask(t, http.MethodGet, extras+"other.example", "", ""); status != 404 {
			t.Errorf("extras of an unknown site: %d, want 404", status)
		}
	}
	for _, door := range []string{"/.well-known/gpc.json", "/_s/gpc.json", "/_s/b", "/_s/g.js", "/_s/m", "/_s/choices"} {
		if status, body := r.ask(t, http.MethodHead, r.public+door+"?site=example.com", "", ""); status != 200 || body != "" {
			t.Errorf("HEAD %s: %d %q", door, status, body)
		}
	}
	if status, _ := r.ask(t, http.MethodGet, r.public+"/metrics", "", ""); status != 404 {
		t.Errorf("metrics on the public listener: %d, want 404", status)
	}
	if _, body := r.ask(t, http.MethodGet, r.private+"/metrics", "", ""); !strings.Contains(body, `sluice_http_requests_total{door="/_s/e",method="POST",status="202"} 2`) {
		t.Errorf("metrics do not count the door: %s", body)
	}
	begun := time.Now()
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("leaving took %v, want less than 20 s", took)
	}
	if strings.Contains(r.log.String(), "203.0.113.5") {
		t.Errorf("the log names the visitor's address:\n%s", r.log)
	}

	r = start(t, dir)
	if n := r.state.journal.head().N; n != 1 {
		t.Errorf("after the restart the chain has %d receipts, want 1", n)
	}
	if status, body := r.ask(t, http.MethodPost, r.public+"/_s/e", oneEvent, token); status != 202 || !strings.HasPrefix(body, `{"accepted":1`) {
		t.Errorf("event under the old token: %d %s", status, body)
	}
	var answer struct{ Status int }
	_, body = r.ask(t, http.MethodPost, r.public+"/_s/e", `{"site":"example.com","events":`, token)
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != 400 {
		t.Errorf("half a body: %s", body)
	}
}

// TestSecondServerIsRefused starts two machines on one directory.
func TestSecondServerIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	c := *r.config
	if m, err := assemble(&c, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "is in use by process") {
		t.Errorf("got %v, %v; want the holder named", m, err)
	}
}
