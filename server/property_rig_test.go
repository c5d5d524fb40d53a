package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/collector"
	"sluice/collector/forward"
	"sluice/collector/ga4/standin/standintest"
	"sluice/collector/spool"
	"sluice/consent"
	"sluice/server/config"
)

// walk is a machine whose doors are called directly, in virtual time, beside
// the model of it. mu guards everything: it is released only while the sink
// waits for Google, whose handler takes it.
type walk struct {
	t      *testing.T
	rand   *rand.Rand
	dir    string
	google *httptest.Server

	mu    sync.Mutex
	now   time.Time
	nowMu sync.Mutex // of now alone: the committer reads it too
	// Whether Hotjar is under analytics, and YouTube under media: the first
	// changes what the purpose asks, the second only the notice.
	analytics, media int
	m                *machine
	sink             *forward.Sink
	next             uint64 // the first record that the sink has not seen
	foreign          string // a token of the other site

	tokens     []*given
	consents   map[string][]decided // of each consent, in order
	rows       map[string]bool      // "consent event": stored
	events     map[string][]row     // by id
	requests   []*walkRequest       // of late
	ids        int
	hook       bool   // decide once more between gate and commit
	hooked     *given // the token of that request
	cutBetween map[*given]bool
	walkTally
}

// The two uses that the model knows.
const (
	statistics = iota
	toGoogle
)

// decided is what one decision granted.
type decided [2]bool

// given is a token that was given out.
type given struct {
	signed, consent string
	n               int // index of its decision within the consent's
	issued          time.Time
	variant         int // of the analytics purpose
	grants          decided
	gpc             bool
}

// row is an event that was accepted.
type row struct {
	token *given
	at    time.Time
	gpc   bool // the request carried the signal
}

const walkLifetime = 30 * 24 * time.Hour

func newWalk(t *testing.T, seed uint64) *walk {
	t.Helper()
	w := &walk{
		t: t, rand: rand.New(rand.NewPCG(seed, 7)), dir: memoryDir(t), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), next: 1,
		consents: map[string][]decided{}, rows: map[string]bool{}, events: map[string][]row{}, cutBetween: map[*given]bool{},
		walkTally: walkTally{refused: map[consent.Reason]int{}},
	}
	w.google = httptest.NewServer(standintest.Watch(t, w.collect))
	w.open()
	t.Cleanup(func() {
		if err := w.m.abandon(); err != nil {
			t.Error(err)
		}
		w.google.Close()
	})
	policy, err := w.m.ledger.Sites.Lookup("example.org")
	if err != nil {
		t.Fatal(err)
	}
	g, err := w.m.ledger.Decide(t.Context(), policy, consent.Choice{
		Site: "example.org", Purposes: map[string]bool{"analytics": true}, Method: "accept_all", Notice: "1",
	}, "", consent.Signals{}, "")
	if err != nil {
		t.Fatal(err)
	}
	w.foreign = g.Signed
	return w
}

// memoryDir is a folder that costs no disk, where there is such a thing.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sluice-walk")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *walk) clock() time.Time {
	w.nowMu.Lock()
	defer w.nowMu.Unlock()
	return w.now
}

func (w *walk) advance(d time.Duration) {
	w.nowMu.Lock()
	defer w.nowMu.Unlock()
	w.now = w.now.Add(d)
}

func (w *walk) notice() string { return fmt.Sprintf("%d-%d", w.analytics, w.media) }

// open assembles the machine on the folder, as a start of the server does.
func (w *walk) open() {
	w.t.Helper()
	services := ""
	if w.analytics == 1 {
		services += "\n      - {preset: hotjar}"
	}
	if w.media == 1 {
		services += "\n      - {preset: youtube}"
	}
	c, err := config.Parse(fmt.Appendf(nil, `
server: {listen: "127.0.0.1:0", metrics_listen: ""}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
limits: {per_prefix: 0}
sites:
  - domain: example.com
    consent_days: 30
    notice: {version: "%s"}
    services:
      - {preset: google-analytics, measurement_id: G-WALK0001, api_secret: secret, endpoint: "%s/mp/collect"}%s
  - domain: example.org
`, w.dir, w.notice(), w.google.URL, services), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.m, err = assemble(c, slog.New(slog.DiscardHandler), w.clock); err != nil {
		w.t.Fatal(err)
	}
	// The doors once more, with a place between gate and commit where something
	// may happen; the sink once more, one request at a time.
	options, err := siteOptions(&c.Sites[0])
	if err != nil {
		w.t.Fatal(err)
	}
	w.m.collector, err = collector.NewHandler(collector.Options{
		Ledger: w.m.ledger, Appender: w, Counter: w.m.state.journal, Sites: map[string]collector.SiteOptions{"example.com": options},
		Geo: w.m.geo, ClientIP: clientIP, ClientIDKey: make([]byte, 32),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.m.recallEvents(); err != nil {
		w.t.Fatal(err)
	}
	if w.m.handler, err = w.m.routes(); err != nil {
		w.t.Fatal(err)
	}
	policy, err := w.m.ledger.Sites.Lookup("example.com")
	if err != nil {
		w.t.Fatal(err)
	}
	d := c.Sites[0].Destinations()[0]
	to, err := destination(d, policy.Site)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sink, err = forward.New(forward.Options{
		Policy: policy, Service: d.Service, Destination: to, Gate: w.m.ledger.Index, Outcomes: outcomes{w.m.state.journal}, Now: w.clock, Parallel: 1,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// restart ends the machine, by the door or through the window, and starts it
// again, maybe with another notice. What a crash loses is consent.idx since it
// was last saved.
func (w *walk) restart(crash bool) {
	w.restarts++
	if crash {
		w.m.opened[1] = w.m.state.journal.spool.Close // the index is not saved
	}
	if err := w.m.abandon(); err != nil {
		w.t.Fatal(err)
	}
	if w.rand.IntN(2) == 0 {
		w.analytics = w.rand.IntN(2)
	}
	if w.rand.IntN(2) == 0 {
		w.media = w.rand.IntN(2)
	}
	w.open()
}

func (w *walk) request(door, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, door, strings.NewReader(body))
	r.Header.Set("Origin", "https://example.com")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	return r
}

func (w *walk) serve(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.m.handler.ServeHTTP(answer, r)
	return answer
}

// Append lets a decision in between the gate, which has let the batch through,
// and its commit.
func (w *walk) Append(ctx context.Context, b *collector.Batch) error {
	if w.hook && w.hooked != nil {
		w.hook = false
		before := len(w.consents[w.hooked.consent])
		w.decide()
		w.cutBetween[w.hooked] = len(w.consents[w.hooked.consent]) > before
	}
	return w.m.state.journal.Append(ctx, b)
}

// anyToken is one of those given out of late; nil where there is none.
func (w *walk) anyToken() *given {
	if len(w.tokens) == 0 {
		return nil
	}
	return w.tokens[max(0, len(w.tokens)-1-w.rand.IntN(24))]
}

// remember tells the model what was decided, by the receipt alone.
func (w *walk) remember(answer []byte, gpc bool) {
	var got struct {
		Token     string
		ConsentID string `json:"consent_id"`
		Receipt   struct {
			Notice   string
			Issued   time.Time
			Services map[string]bool
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		w.t.Errorf("decision answered %s: %v", answer, err)
		return
	}
	if got.ConsentID == "" {
		return
	}
	grants := decided{got.Receipt.Services["statistics"], got.Receipt.Services["google-analytics"]}
	w.consents[got.ConsentID] = append(w.consents[got.ConsentID], grants)
	if got.Token != "" {
		w.tokens = append(w.tokens, &given{
			signed: got.Token, consent: got.ConsentID, n: len(w.consents[got.ConsentID]) - 1, issued: got.Receipt.Issued,
			variant: int(got.Receipt.Notice[0] - '0'), grants: grants, gpc: gpc,
		})
	}
}

// covers is the model.
func (w *walk) covers(g *given, at time.Time, use int) (yes bool, why string) {
	switch {
	case !g.grants[use]:
		return false, "never granted"
	case g.variant != w.analytics:
		return false, "asked for otherwise now"
	case at.Before(g.issued.Add(-collector.EarlyGrace)):
		return false, "before the token was issued"
	case !at.Before(g.issued.Add(walkLifetime)):
		return false, "over"
	}
	for _, later := range w.consents[g.consent][g.n+1:] {
		if !later[use] {
			return false, "left out by a later decision"
		}
	}
	return true, "granted, and never left out"
}

// deliver gives the sink what the spool has for it. mu is held before and
// after.
func (w *walk) deliver() {
	var records []spool.Record
	err := w.m.state.journal.spool.Replay(w.next, func(r spool.Record) error {
		w.next = r.Seq + 1
		if r.Kind == spool.KindEvent {
			r.Data = append([]byte(nil), r.Data...)
			records = append(records, r)
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	if len(records) == 0 {
		return
	}
	b := spool.Batch{First: records[0].Seq, Last: records[len(records)-1].Seq, Attempt: 1, Records: records}
	w.mu.Unlock()
	err = w.sink.Deliver(w.t.Context(), b)
	w.mu.Lock()
	if err != nil {
		w.t.Errorf("forward: %v", err)
	}
}

var forwardedEvent = regexp.MustCompile(`example\.com/(e\d+)"`)

// collect is Google: it judges what reaches it, and while it has not answered
// somebody may change their mind.
func (w *walk) collect(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range forwardedEvent.FindAllSubmatch(body, -1) {
		w.forwarded++
		if why := w.mustNotForward(string(m[1])); why != "" {
			w.t.Errorf("%s was sent to Google: %s", m[1], why)
		}
	}
	if w.rand.IntN(3) == 0 {
		w.whileSending++
		w.decide()
	}
	rw.WriteHeader(http.StatusNoContent)
}

// mustNotForward says why an event must not be where it is; "": it may.
func (w *walk) mustNotForward(id string) string {
	why := "it was never accepted"
	for _, row := range w.events[id] {
		covered, reason := w.covers(row.token, w.clock(), toGoogle)
		switch {
		case row.gpc && !row.token.gpc:
			reason = "Global Privacy Control came after the grant"
		case covered:
			return ""
		}
		why = reason
	}
	return why
}

// eventOf reads an event record.
func eventOf(r spool.Record) (collector.Event, bool) {
	if r.Kind != spool.KindEvent {
		return collector.Event{}, false
	}
	ev, err := collector.DecodeEvent(r.Data)
	return ev, err == nil
}
