package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"sluice/consent"
)

// noon is when the tests begin.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// visitorIP is the address that must not be found anywhere.
const visitorIP = "203.0.113.77"

// house is a server's worth of collector: two sites, a clock that the test
// moves and a disk that the test may break.
type house struct {
	t       testing.TB
	handler *Handler
	ledger  *consent.Ledger
	policy  *consent.Policy // of example.com
	other   *consent.Policy // of other.test
	disk    *disk
	echo    *echo.Echo

	mu  sync.Mutex
	now time.Time
}

// disk stands for the spool.
type disk struct {
	mu     sync.Mutex
	err    error
	late   func(i int, a Admitted) consent.Reason
	events []Event
	raw    [][]byte
	counts []consent.Count
}

func (d *disk) Append(ctx context.Context, b *Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.err, ctx.Err()); err != nil {
		return err
	}
	for i := range b.Events {
		a := &b.Events[i]
		if d.late != nil {
			if reason := d.late(i, *a); reason != consent.Live {
				if b.Late == nil {
					b.Late = map[int]consent.Reason{}
				}
				b.Late[i] = reason
				continue
			}
		}
		raw, err := a.AppendBinary(nil)
		if err != nil {
			return err
		}
		e, err := DecodeEvent(raw)
		if err != nil {
			return err
		}
		d.events, d.raw = append(d.events, e), append(d.raw, raw)
	}
	for reason, n := range b.Refused {
		c := consent.NewCount(b.Policy.Site.Domain, consent.CountRefusal, string(reason), b.Received)
		c.N = uint64(n)
		d.counts = append(d.counts, c)
	}
	return nil
}

func (d *disk) Count(c consent.Count) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts = append(d.counts, c)
}

// counted sums the counts of a kind and key.
func (d *disk) counted(kind consent.CountKind, key string) (n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.counts {
		if c.Kind == kind && c.Key == key {
			n += c.N
		}
	}
	return n
}

func newHouse(t testing.TB, options ...func(*Options)) *house {
	t.Helper()
	h := &house{t: t, disk: &disk{}, now: noon, echo: echo.New()}
	h.policy = newPolicy(t, &consent.Site{
		Domain: "example.com", TestHosts: []string{"localhost"}, ConsentDays: 180, HonourGPC: true,
		Services: []consent.Service{{Name: "google-analytics", Purpose: consent.Analytics, External: true}},
	})
	h.other = newPolicy(t, &consent.Site{Domain: "other.test", ConsentDays: 180})
	keys, err := consent.NewKeys(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	h.ledger = &consent.Ledger{
		Sites: consent.NewSites(h.policy, h.other), Keys: keys, Index: consent.NewIndex(), Now: h.clock,
	}
	o := Options{
		Ledger: h.ledger, Appender: h.disk, Counter: h.disk, ClientIDKey: bytes.Repeat([]byte{9}, 32),
		ClientIP: func(c echo.Context) netip.Addr { return netip.MustParseAddr(c.RealIP()) },
		Sites: map[string]SiteOptions{"example.com": {
			ExcludeIPs:   []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
			ExcludePaths: []string{"/admin/*", "/health"}, ExcludeBots: true,
			Google: []GoogleService{{Service: "google-analytics", MeasurementID: "G-TEST"}},
		}},
	}
	for _, set := range options {
		set(&o)
	}
	if h.handler, err = NewHandler(o); err != nil {
		t.Fatal(err)
	}
	return h
}

func newPolicy(t testing.TB, s *consent.Site) *consent.Policy {
	t.Helper()
	n, err := consent.NewNotice(s, func(p consent.Purpose) (string, string) { return string(p), string(p) })
	if err != nil {
		t.Fatal(err)
	}
	return consent.NewPolicy(s, n, nil)
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// grant returns a token for analytics and all its services, issued now.
func (h *house) grant(changes ...func(*consent.Token)) consent.Token {
	t := consent.Token{
		Consent: uuid.New(), Receipt: uuid.New(), Notice: h.policy.Current.Fingerprint,
		Purposes: 1 << 0, Issued: uint32(h.clock().Unix()), // bit 0: analytics
	}
	for _, change := range changes {
		change(&t)
	}
	return t
}

func (h *house) sign(t consent.Token) string { return h.ledger.Keys.Sign(t, "example.com") }

// answer is what the door said.
type answer struct {
	Accepted int    `json:"accepted"`
	Dropped  []Drop `json:"dropped"`
	header   http.Header
}

// reasons lists why events were dropped, in order.
func (a answer) reasons() string {
	var out []string
	for _, d := range a.Dropped {
		out = append(out, string(d.Reason))
	}
	return strings.Join(out, " ")
}

type requestOption func(*http.Request)

func with(name, value string) requestOption {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"

func (h *house) request(body string, options ...requestOption) (*httptest.ResponseRecorder, error) {
	r := httptest.NewRequest(http.MethodPost, "https://example.com/_s/e", strings.NewReader(body))
	r.RemoteAddr = visitorIP + ":1234"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "https://example.com")
	r.Header.Set("User-Agent", chrome)
	for _, o := range options {
		o(r)
	}
	rec := httptest.NewRecorder()
	return rec, h.handler.PostEvents(h.echo.NewContext(r, rec))
}

// post sends a body that has to be answered 202.
func (h *house) post(body string, options ...requestOption) answer {
	h.t.Helper()
	rec, err := h.request(body, options...)
	if err != nil {
		h.t.Fatalf("post %.200s: %v", body, err)
	}
	if rec.Code != http.StatusAccepted {
		h.t.Fatalf("status %d, want 202: %s", rec.Code, rec.Body)
	}
	a := answer{header: rec.Header()}
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		h.t.Fatalf("answer %s: %v", rec.Body, err)
	}
	return a
}

// envelopeOf is a body for example.com with these events.
func envelopeOf(token string, events ...string) string {
	return `{"site":"example.com","token":"` + token + `","events":[` + strings.Join(events, ",") + `]}`
}

const pageview = `{"name":"pageview","url":"https://example.com/"}`

// only returns the one event that was kept.
func (h *house) only() Event {
	h.t.Helper()
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if len(h.disk.events) != 1 {
		h.t.Fatalf("%d events were kept, want 1", len(h.disk.events))
	}
	return h.disk.events[0]
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
