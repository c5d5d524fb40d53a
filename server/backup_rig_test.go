package server

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/engine"
	"sluice/consent"
	"sluice/server/config"
)

// nowhere is a ClickHouse that nobody reaches: what is accepted waits.
const nowhere = "http://127.0.0.1:1/sluice"

// installation is a data directory with what configures it. Its sites are
// example.com, which anonymises what was collected when a visitor withdraws,
// and erasing.example, which erases it.
type installation struct {
	t      *testing.T
	dir    string // data_dir
	extra  string // more lines of the configuration
	google string // URL of a stand-in for Google
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	return &installation{t: t, dir: filepath.Join(t.TempDir(), "data"), google: "http://127.0.0.1:1"}
}

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

// file writes the configuration and returns its path.
func (i *installation) file(clickHouse string) string {
	i.t.Helper()
	path := filepath.Join(i.t.TempDir(), "sluice.yaml")
	text := fmt.Sprintf(`
server: {listen: "127.0.0.1:0", metrics_listen: "localhost:0"}
data_dir: %s
clickhouse: {url: %q}
%s
sites:
  - {domain: example.com, services: [{preset: google-analytics, measurement_id: G-TEST123, api_secret: a-secret-of-the-test, endpoint: "%s/mp/collect"}]}
  - {domain: erasing.example, on_withdrawal: erase}
`, i.dir, clickHouse, i.extra, i.google)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

// serve runs the server on it.
func (i *installation) serve(clickHouse string) *running {
	i.t.Helper()
	c, err := config.Load(i.file(clickHouse))
	if err != nil {
		i.t.Fatal(err)
	}
	return startOf(i.t, c, time.Now)
}

// run runs a command line and returns what it printed.
func run(t *testing.T, args ...string) (out, notes string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = Run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	return stdout.String(), stderr.String(), err
}

// mustRun is run where an error ends the test.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, notes, err := run(t, args...)
	if err != nil {
		t.Fatalf("sluice %s: %v\n%s%s", strings.Join(args, " "), err, out, notes)
	}
	return out
}

// rows asks the tables, by command.
func (i *installation) rows(clickHouse, query string) []string {
	i.t.Helper()
	records, err := csv.NewReader(strings.NewReader(mustRun(i.t, "sql", "--config", i.file(clickHouse), "--format", "csv", query))).ReadAll()
	if err != nil {
		i.t.Fatal(err)
	}
	var out []string
	for _, r := range records {
		out = append(out, strings.Join(r, " "))
	}
	return out
}

// visitor is somebody on a site, with the latest token.
type visitor struct {
	site, token string
	consent     consent.ID
}

// agrees is a visitor who accepts everything.
func (r *running) agrees(t *testing.T, site string) *visitor {
	t.Helper()
	v := &visitor{site: site}
	r.decide(t, v, consent.AcceptAll, true)
	return v
}

// decide changes a visitor's choice.
func (r *running) decide(t *testing.T, v *visitor, method consent.Method, yes bool) {
	t.Helper()
	policy, err := r.ledger.Sites.Lookup(v.site)
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.ledger.Decide(t.Context(), policy, consent.Choice{
		Site: v.site, Purposes: map[string]bool{"analytics": yes}, Method: method, Notice: "1",
	}, v.token, consent.Signals{}, "")
	if err != nil {
		t.Fatal(err)
	}
	v.token, v.consent = g.Signed, g.Receipt.ConsentID
}

// erase asks for the erasure of what a visitor left.
func (r *running) erase(t *testing.T, v *visitor) {
	t.Helper()
	policy, err := r.ledger.Sites.Lookup(v.site)
	if err != nil {
		t.Fatal(err)
	}
	token, reason := r.ledger.Authenticate(v.token, policy)
	if reason != consent.Live {
		t.Fatalf("token: %s", reason)
	}
	if err := r.ledger.Erase(t.Context(), policy, token); err != nil {
		t.Fatal(err)
	}
}

// visits sends pageviews of these paths and returns the answer.
func (r *running) visits(t *testing.T, v *visitor, paths ...string) string {
	t.Helper()
	var events []string
	for _, path := range paths {
		events = append(events, fmt.Sprintf(`{"name":"pageview","url":"https://%s%s"}`, v.site, path))
	}
	body := fmt.Sprintf(`{"site":%q,"visitor":"visitor-%s","token":%q,"events":[%s]}`, v.site, v.consent.String()[:8], v.token, strings.Join(events, ","))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.public+"/_s/e", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://"+v.site)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	req.Header.Set("X-Forwarded-For", visitorAddress)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("POST /_s/e: %s %s %v", resp.Status, answer.String(), err)
	}
	return answer.String()
}

// visitorAddress is where visitors of these tests come from.
const visitorAddress = "203.0.113.5"

// mustVisit is visits where every event has to be accepted.
func (r *running) mustVisit(t *testing.T, v *visitor, paths ...string) {
	t.Helper()
	if got, want := r.visits(t, v, paths...), fmt.Sprintf(`{"accepted":%d`, len(paths)); !strings.HasPrefix(got, want) {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// settled waits until everything accepted so far is in the tables.
func (r *running) settled(t *testing.T) {
	t.Helper()
	last := r.state.journal.spool.Stats().Next
	deadline := time.After(30 * time.Second)
	for {
		behind := slices.ContainsFunc(r.state.journal.spool.Stats().Consumers, func(c spool.ConsumerStats) bool {
			return (c.Name == store.WriterName || c.Name == store.TakeBackName) && c.Next < last
		})
		if !behind {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("record %d does not reach the tables: %+v", last-1, r.state.journal.spool.Stats().Consumers)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// remote is a ClickHouse server elsewhere: an engine of its own behind TCP.
type remote struct {
	address string
	gate    sync.RWMutex // held: no INSERT passes
	waiting atomic.Int64 // INSERTs at the gate
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	requireEngine(t)
	library, err := engine.Find("")
	if err != nil {
		t.Fatal(err)
	}
	child, err := engine.Start(engine.Config{Options: engine.Options{Library: library, Dir: filepath.Join(t.TempDir(), "engine")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := child.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := child.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return child.Dial(ctx, addr)
	}}
	c := &remote{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Query().Get("query"), "INSERT") {
			c.waiting.Add(1)
			c.gate.RLock()
			defer c.gate.RUnlock()
			c.waiting.Add(-1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	c.address = front.URL + "/sluice"
	return c
}
