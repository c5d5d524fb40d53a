package static_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/static"
	"sluice/static/browsertest"
)

// strict is the policy that csp.html and gate.html are served with.
const strict = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src 'self'; " +
	"require-trusted-types-for 'script'; trusted-types sluice; report-uri /csp"

// A hit is a request that the fake site received.
type hit struct {
	Method, Path, Query string
	Body                map[string]any // of a POST, as JSON
}

// door is a site with Sluice mounted at /_s, as little of it as the browser
// needs: it says yes to everything, unless told otherwise.
type door struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	hits   []hit
	more   chan struct{} // closed and replaced on every hit
	banner map[string]any

	// handle adds a page or door of the test's own.
	handle func(pattern string, handler func(http.ResponseWriter, *http.Request))
	// decide answers a decision before the door would; true: it has.
	decide func(w http.ResponseWriter, n int) bool
	// withhold is a path that a blocker does not let through.
	withhold string
	// stripCookies is a CDN that keeps Set-Cookie to itself.
	stripCookies bool
	// dropped is said of every event, with a detail in some cases; changed, that there is something to ask.
	dropped, detail string
	// explained is what is said of events to whoever asks, as JSON.
	explained string
	changed   bool
	// nothing is what there is to ask.
	nothing bool
	// signals are what an accepted choice turns on for Google's tags.
	signals string
	// fail says whether the nth request for events is refused for now.
	fail      func(n int) bool
	requests  int // for events
	decisions int
}

// newDoor is a site that measures pageviews and engagement, unless told
// otherwise.
func newDoor(t *testing.T, measure ...static.Measure) *door {
	t.Helper()
	extras, err := static.ComposeExtras(append(measure, static.Measure{Routes: true, Engagement: true})[0])
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("testdata/banner.json")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, more: make(chan struct{})}
	if err := json.Unmarshal(content, &d.banner); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /_s/s.js", static.Script())
	for _, name := range static.Chunks() {
		chunk, _ := static.File(name)
		mux.Handle("GET /_s/"+name, chunk)
	}
	mux.Handle("GET /_s/g.js", static.Defaults())
	mux.Handle("GET /_s/c.js", static.Button())
	mux.HandleFunc("GET /_s/m", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/facts.json") })
	mux.Handle("GET /_s/"+static.ExtrasName(), extras)
	mux.HandleFunc("GET /_s/b", d.serveBanner)
	mux.HandleFunc("POST /_s/d", d.postDecision)
	mux.HandleFunc("POST /_s/e", d.postEvents)
	mux.HandleFunc("POST /_s/p", d.postPreferences)
	mux.HandleFunc("POST /csp", func(http.ResponseWriter, *http.Request) {})
	pages := http.FileServer(http.Dir("testdata"))
	mux.Handle("GET /deep/er/", http.StripPrefix("/deep/er", pages))
	mux.HandleFunc("GET /missing", func(w http.ResponseWriter, _ *http.Request) {
		page, err := os.ReadFile("testdata/plain.html")
		if err != nil {
			d.t.Error(err)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		if _, err := w.Write(page); err != nil {
			d.t.Log(err) // the browser may be gone
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/csp.html" || r.URL.Path == "/gate.html" {
			w.Header().Set("Content-Security-Policy", strict)
		}
		pages.ServeHTTP(w, r)
	})
	d.handle = mux.HandleFunc
	d.Server = httptest.NewServer(d.record(mux))
	t.Cleanup(d.Close)
	return d
}

// record notes every request but the browser's own for an icon.
func (d *door) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			http.NotFound(w, r)
			return
		}
		h := hit{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
		if body, err := io.ReadAll(r.Body); err == nil && len(body) > 0 {
			if err := json.Unmarshal(body, &h.Body); err != nil {
				d.t.Errorf("%s %s: body is not JSON: %q", h.Method, h.Path, body)
			}
		}
		d.mu.Lock()
		d.hits = append(d.hits, h)
		close(d.more)
		d.more = make(chan struct{})
		withheld := d.withhold == r.URL.Path
		d.mu.Unlock()
		if withheld {
			http.NotFound(w, r)
			return
		}
		// postDecision reads what record has read.
		next.ServeHTTP(w, r.WithContext(withHit(r.Context(), h)))
	})
}

func (d *door) serveBanner(w http.ResponseWriter, r *http.Request) {
	if d.nothing || r.Header.Get("Sec-GPC") == "1" && r.URL.Query().Get("open") != "1" && r.URL.Query().Get("more") == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	data, err := json.Marshal(d.banner)
	if err != nil {
		d.t.Error(err)
	}
	banner, err := static.ComposeBanner(data)
	if err != nil {
		d.t.Error(err)
		return
	}
	part := banner.First
	switch query := r.URL.Query(); {
	case query.Get("more") != "":
		part = banner.Preferences
	case query.Get("open") == "1":
		part = banner.Both
	}
	part().ServeHTTP(w, r)
}

func (d *door) postDecision(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.decisions++
	n, answer, strip := d.decisions, d.decide, d.stripCookies
	d.mu.Unlock()
	if answer != nil && answer(w, n) {
		return
	}
	body := hitOf(r.Context()).Body
	token := ""
	if granted(body["purposes"]) != "" {
		token = "token-" + granted(body["purposes"])
	}
	choice := "1:2025-07:" + granted(body["purposes"]) + ":" + granted(body["services"]) + ":" + strconv.Itoa(1763934342+n)
	if d.signals != "" && token != "" {
		choice += ":" + d.signals
	}
	if !strip {
		http.SetCookie(w, &http.Cookie{Name: "sl_choice", Path: "/", MaxAge: 3600, SameSite: http.SameSiteLaxMode, Value: choice})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	answerJSON(d.t, w, map[string]any{"token": token, "choice": choice, "expires": time.Now().Add(time.Hour).Format(time.RFC3339)})
}

// postPreferences keeps preferences as the door does: JSON, percent-encoded.
func (d *door) postPreferences(w http.ResponseWriter, r *http.Request) {
	kept := map[string]any{}
	if c, err := r.Cookie("sl_pref"); err == nil {
		if text, err := url.PathUnescape(c.Value); err != nil || json.Unmarshal([]byte(text), &kept) != nil {
			d.t.Errorf("sl_pref: %q", c.Value)
		}
	}
	set, _ := hitOf(r.Context()).Body["set"].(map[string]any)
	for name, value := range set {
		if kept[name] = value; value == nil {
			delete(kept, name)
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		d.t.Error(err)
	}
	http.SetCookie(w, &http.Cookie{Name: "sl_pref", Path: "/", MaxAge: 3600, Value: url.PathEscape(string(text))})
	w.WriteHeader(http.StatusNoContent)
}

func (d *door) postEvents(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.requests++
	n, dropped, detail, explained, changed, fail := d.requests, d.dropped, d.detail, d.explained, d.changed, d.fail
	d.mu.Unlock()
	if fail != nil && fail(n) {
		http.Error(w, "spool full", http.StatusServiceUnavailable)
		return
	}
	said := map[string]any{"accepted": 1, "dropped": []any{}}
	if changed {
		w.Header().Set("Sluice-Notice", "changed")
	}
	if dropped != "" {
		w.Header().Set("Sluice-Dropped", dropped)
		said = map[string]any{"accepted": 0, "dropped": []any{map[string]any{"index": 0, "reason": dropped, "detail": detail}}}
	} else if hitOf(r.Context()).Body["debug"] == true {
		said["debug"] = json.RawMessage(explained)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	answerJSON(d.t, w, said)
}

// set changes how the door answers.
func (d *door) set(change func(*door)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// paths lists what was asked for so far, in order.
func (d *door) paths() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, h := range d.hits {
		out = append(out, h.Method+" "+h.Path)
	}
	return out
}

// forget empties the list.
func (d *door) forget() { d.set(func(d *door) { d.hits = nil }) }

// wait returns the nth request (from 1) with this path, once it is there.
func (d *door) wait(path string, nth int) hit {
	d.t.Helper()
	timeout := time.After(browsertest.Patience)
	for {
		d.mu.Lock()
		more, count := d.more, 0
		for _, h := range d.hits {
			if h.Path != path {
				continue
			}
			if count++; count == nth {
				d.mu.Unlock()
				return h
			}
		}
		d.mu.Unlock()
		select {
		case <-more:
		case <-timeout:
			d.t.Fatalf("request %d for %s did not come; there were %q", nth, path, d.paths())
		}
	}
}

// events returns name and path of every event received, in order.
func (d *door) events() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, h := range d.hits {
		list, _ := h.Body["events"].([]any)
		for _, e := range list {
			event := e.(map[string]any)
			if event["name"] != "engagement" { // comes by the clock, and is tested for itself
				out = append(out, event["name"].(string)+" "+strings.TrimPrefix(event["url"].(string), d.URL))
			}
		}
	}
	return out
}

// event returns the nth event (from 1) with this name, once it is there.
func (d *door) event(name string, nth int) map[string]any {
	d.t.Helper()
	for request := 1; ; request++ {
		events, _ := d.wait("/_s/e", request).Body["events"].([]any)
		for _, e := range events {
			if e := e.(map[string]any); e["name"] == name {
				if nth--; nth == 0 {
					return e
				}
			}
		}
	}
}

// granted joins the names that a decision's map says yes to.
func granted(m any) string {
	var names []string
	named, _ := m.(map[string]any)
	for name, yes := range named {
		if yes == true {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, "+")
}

func answerJSON(t *testing.T, w io.Writer, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Log(err) // the browser may be gone
	}
}

func mustParse(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u
}

// names returns the names of all events received, in order.
func (d *door) names() []string {
	var out []string
	for _, e := range d.events() {
		name, _, _ := strings.Cut(e, " /")
		out = append(out, name)
	}
	return out
}

// sent is everything that was posted.
func (d *door) sent() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, err := json.Marshal(d.hits)
	if err != nil {
		d.t.Error(err)
	}
	return string(body)
}
