package forward

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/ga4"
	"sluice/collector/ga4/standin"
	"sluice/collector/ga4/standin/standintest"
	"sluice/collector/spool"
	"sluice/consent"
)

const secret = "s3cret-of-the-stream"

// Bits of the test notice, in its order.
const (
	analytics = 1 << 0
	marketing = 1 << 2
	googleBit = 1 << 1 // of the services
)

// policy is of a site with Google Analytics and an advertising service.
func policy(t testing.TB) *consent.Policy {
	t.Helper()
	site := &consent.Site{
		Domain: "example.com", PublicURL: "https://example.com/_s", ConsentDays: 180,
		Notice: consent.NoticeInfo{Version: "1"},
		Services: []consent.Service{
			{Name: "google-analytics", Purpose: consent.Analytics},
			{Name: "ads", Purpose: consent.Marketing, ConsentMode: []string{"ad_storage", "ad_user_data", "ad_personalization"}},
		},
	}
	n, err := consent.NewNotice(site, func(consent.Purpose) (string, string) { return "", "" })
	if err != nil {
		t.Fatal(err)
	}
	return consent.NewPolicy(site, n, nil)
}

// rig is a sink between a spool that the test plays and a stand-in for Google.
// In a synctest bubble its network is net.Pipe and its clock the bubble's.
type rig struct {
	t      testing.TB
	policy *consent.Policy
	index  *consent.Index
	google *standin.Server
	sink   *Sink
	log    *bytes.Buffer
	conns  chan net.Conn
	seq    uint64
	queue  string                 // folder of the sink's queue; "": none
	room   int64                  // of the queue; 0: the default
	relay  bool                   // hits of gtag.js go on as such
	few    int                    // requests at once; 0: the default
	sick   atomic.Pointer[string] // a request that holds this is answered 500; nil: none

	mu       sync.Mutex
	onDial   func() // called before a connection is opened
	recorded []collector.Forward
	records  int // calls of Record
	refuse   int // times that Record fails yet
	packed   int // calls of the destination's Pack
	written  int // bytes that the sink has put on the wire
	onWrite  func(b []byte)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, policy: policy(t), index: consent.NewIndex(), log: &bytes.Buffer{}, conns: make(chan net.Conn)}
	r.google = standintest.New(t, standin.Options{})
	web := &http.Server{Handler: http.HandlerFunc(r.answer)}
	go web.Serve(listener{r.conns})
	r.sink = r.open()
	t.Cleanup(func() {
		r.sink.client.close()
		web.Close()
	})
	return r
}

// answer is what the endpoint does.
func (r *rig) answer(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if sick := r.sick.Load(); err == nil && sick != nil && bytes.Contains(body, []byte(*sick)) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{err}))
	r.google.ServeHTTP(w, req)
}

// broken is the end of a body that may have broken off.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, cmp.Or(b.err, io.EOF) }

// google is the destination that the tests forward to.
func google(t testing.TB, endpoint string, change ...func(*ga4.Options)) *ga4.Destination {
	t.Helper()
	o := ga4.Options{MeasurementID: "G-TEST", APISecret: secret, Endpoint: endpoint, Secure: true}
	for _, f := range change {
		f(&o)
	}
	d, err := ga4.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// packing counts how often events are mapped.
type packing struct {
	Destination
	r *rig
}

func (p packing) Pack(events []*collector.Event, ads collector.AdConsent, now time.Time) (collector.Parcel, error) {
	p.r.mu.Lock()
	p.r.packed++
	p.r.mu.Unlock()
	return p.Destination.Pack(events, ads, now)
}

// open returns a new sink, as after a restart.
func (r *rig) open() *Sink {
	r.t.Helper()
	s, err := New(Options{
		Policy: r.policy, Service: "google-analytics", Destination: packing{google(r.t, "http://127.0.0.1:1/mp/collect", func(o *ga4.Options) { o.Relay = r.relay }), r},
		Queue: r.queue, QueueBytes: r.room, Parallel: r.few, Gate: r.index, Outcomes: r, Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	s.client.dial = func(context.Context, string, string) (net.Conn, error) {
		r.mu.Lock()
		hook := r.onDial
		r.mu.Unlock()
		if hook != nil {
			hook()
		}
		near, far := net.Pipe()
		r.conns <- far
		return counted{near, r}, nil
	}
	return s
}

// counted counts what is written.
type counted struct {
	net.Conn
	r *rig
}

func (c counted) Write(b []byte) (int, error) {
	c.r.mu.Lock()
	if c.r.onWrite != nil {
		c.r.onWrite(b)
	}
	c.r.mu.Unlock()
	n, err := c.Conn.Write(b)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.written += n
	return n, err
}

// listener hands out the far ends of pipes.
type listener struct{ conns chan net.Conn }

func (l listener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l listener) Close() error   { close(l.conns); return nil }
func (l listener) Addr() net.Addr { return &net.TCPAddr{} }

// Record is the rig's [Outcomes].
func (r *rig) Record(_ context.Context, outcomes []collector.Forward) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records++
	if r.refuse > 0 {
		r.refuse--
		return errors.New("spool is full")
	}
	r.recorded = append(r.recorded, outcomes...)
	return nil
}

// token is of a grant of the given purposes, given a moment ago.
func (r *rig) token(purposes uint16) consent.Token {
	return consent.Token{
		Consent: uuid.New(), Receipt: uuid.New(), Notice: r.policy.Current.Fingerprint,
		Purposes: purposes, Issued: uint32(time.Now().Add(-time.Minute).Unix()),
	}
}

// event is a pageview under a token.
func (r *rig) event(id string, change ...func(*collector.Event)) collector.Event {
	ev := collector.Event{
		ID: id, Site: "example.com", Name: "pageview", Hostname: "example.com", Path: "/" + id,
		SessionStart: time.Now().Unix(), GAClientID: "123.456",
	}
	for _, f := range change {
		f(&ev)
	}
	return ev
}

// supersede changes what visitors are asked.
func (r *rig) supersede() {
	r.t.Helper()
	r.policy.Site.Services[0].Provider = "another"
	n, err := consent.NewNotice(r.policy.Site, func(consent.Purpose) (string, string) { return "", "" })
	if err != nil {
		r.t.Fatal(err)
	}
	*r.policy = *consent.NewPolicy(r.policy.Site, n, []*consent.Notice{r.policy.Current})
}

// record admits an event under token, as the collector does.
func (r *rig) record(token consent.Token, ev collector.Event) spool.Record {
	r.t.Helper()
	permit, reason := collector.Gate(r.policy, token, nil, time.Now())
	if reason != consent.Live {
		r.t.Fatalf("the gate refuses: %s", reason)
	}
	admitted := permit.Admit(ev)
	data, err := admitted.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.seq++
	return spool.Record{Seq: r.seq, Kind: spool.KindEvent, Data: data}
}

func batch(records ...spool.Record) spool.Batch {
	return spool.Batch{First: records[0].Seq, Last: records[len(records)-1].Seq, Attempt: 1, Records: records}
}

// deliver gives the sink what the spool would.
func (r *rig) deliver(records ...spool.Record) {
	r.t.Helper()
	if err := r.sink.Deliver(r.t.Context(), batch(records...)); err != nil {
		r.t.Fatal(err)
	}
}

// outcome is a forward row reduced to what a table can show.
type outcome struct {
	Event    string
	State    collector.ForwardState
	Reason   string
	Attempts int
}

func (r *rig) outcomes() []outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []outcome
	for _, f := range r.recorded {
		out = append(out, outcome{f.EventID, f.State, f.Reason, f.Attempts})
	}
	return out
}

func (r *rig) wrote() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written
}
