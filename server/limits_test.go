package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/server/config"
)

// limited starts a machine that lets two requests of a network through, and
// two with events of a site, and no more within the hour. The test's own
// address is a proxy's.
func limited(t *testing.T, limits string) *running {
	t.Helper()
	dir := t.TempDir()
	c, err := config.Parse(fmt.Appendf(nil, `
server: {listen: "127.0.0.1:0", metrics_listen: "localhost:0"}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
limits: %s
sites: [{domain: example.com}, {domain: other.example}]
`, dir, limits), dir)
	if err != nil {
		t.Fatal(err)
	}
	return startOf(t, c, time.Now)
}

// visit sends a request of a visitor at an address.
func (r *running) visit(t *testing.T, from, method, path, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, r.public+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "https://example.com")
	if from != "" {
		req.Header.Set("X-Forwarded-For", from)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

const (
	anEvent     = `{"site":"example.com","events":[{"name":"x","url":"https://example.com/"}]}`
	aWithdrawal = `{"site":"example.com","purposes":{},"method":"reject_all","notice":"1"}`
)

func TestLimitByNetwork(t *testing.T) {
	t.Parallel()
	r := limited(t, "{per_prefix: 1/h, burst: 2}")
	want := func(what, from, method, path, body string, status int) {
		t.Helper()
		if got := r.visit(t, from, method, path, body).StatusCode; got != status {
			t.Errorf("%s: %d, want %d", what, got, status)
		}
	}
	want("the first", "203.0.113.1", "POST", "/_s/e", anEvent, 202)
	want("a neighbour", "203.0.113.200", "GET", "/_s/s.js", "", 200)
	refused := r.visit(t, "203.0.113.7", "POST", "/e", anEvent)
	var p problem
	if err := json.NewDecoder(refused.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	if refused.StatusCode != 429 || refused.Header.Get("Retry-After") != "3600" || refused.Header.Get("Content-Type") != "application/problem+json" || p.Status != 429 || p.Detail == "" {
		t.Errorf("the third is answered %d, %v, %+v", refused.StatusCode, refused.Header, p)
	}
	want("another network", "203.0.114.1", "POST", "/_s/e", anEvent, 202)

	want("a withdrawal from the network that is refused", "203.0.113.1", "POST", "/_s/d", aWithdrawal, 201)
	want("its choices", "203.0.113.1", "GET", "/_s/choices?site=example.com", "", 200)
	want("more decisions than visitors make", "203.0.113.1", "POST", "/_s/d", aWithdrawal, 429)

	want("IPv6", "2001:db8:1:2::1", "POST", "/_s/e", anEvent, 202)
	want("the same /64", "2001:db8:1:2:ffff::1", "POST", "/_s/e", anEvent, 202)
	want("walking through a /64", "2001:db8:1:2:eeee::1", "POST", "/_s/e", anEvent, 429)
	want("the next /64", "2001:db8:1:3::1", "POST", "/_s/e", anEvent, 202)
	for range 5 {
		want("nobody named: the proxy's own address", "", "POST", "/_s/e", anEvent, 202)
	}
}

func TestLimitBySite(t *testing.T) {
	t.Parallel()
	r := limited(t, "{per_prefix: 0, burst: 2, per_site: 1/h}")
	for i, want := range []int{202, 202, 429} {
		if got := r.visit(t, fmt.Sprintf("203.0.%d.1", i), "POST", "/_s/e", anEvent).StatusCode; got != want {
			t.Errorf("request %d with events: %d, want %d", i, got, want)
		}
	}
	other := strings.ReplaceAll(anEvent, "example.com", "other.example")
	if got := r.visit(t, "203.0.113.1", "POST", "/_s/e", other).StatusCode; got != 403 { // the Origin is example.com
		t.Errorf("a page of another site: %d, want 403", got)
	}
	for range 4 {
		if got := r.visit(t, "203.0.113.1", "POST", "/_s/d", aWithdrawal).StatusCode; got != 201 {
			t.Errorf("a decision on a site whose events are refused: %d, want 201", got)
		}
		if got := r.visit(t, "203.0.113.1", "GET", "/_s/b?site=example.com", "").StatusCode; got != 200 {
			t.Errorf("its banner: %d, want 200", got)
		}
	}
}

func TestCrowdOfOne(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		other int // every so many requests come from elsewhere; 0: none
		warns bool
	}{
		{"everybody is one", 0, true},
		{"one in a hundred is another", 100, true},
		{"one in ten is another", 10, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, log := newTestCrowd()
			for i := range 2 * crowdSize {
				from := "198.51.100.1"
				if tt.other > 0 && i%tt.other == 0 {
					from = fmt.Sprintf("203.0.113.%d", i%250)
				}
				c.add(parseAddr(from))
			}
			warned := strings.Count(log.String(), "nearly every request")
			if want := map[bool]int{true: 1}[tt.warns]; warned != want {
				t.Errorf("%d warnings, want %d: %s", warned, want, log)
			}
			if strings.Contains(log.String(), "198.51.100") {
				t.Errorf("the log holds an address: %s", log)
			}
		})
	}
}

func newTestCrowd() (*crowd, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return &crowd{log: slog.New(slog.NewTextHandler(log, nil))}, log
}
