package inbound

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/consent"
)

// journal records nothing and fails when it is told to.
type journal struct {
	mu       sync.Mutex
	err      error
	index    *consent.Index
	failures int // of the next calls
	counts   map[string]uint64
}

func (j *journal) Record(_ context.Context, c consent.Commitment) error {
	if c.Receipt == nil || c.Contact == nil {
		return errors.New("a decision about a channel is a receipt and a contact")
	}
	if j.failures > 0 {
		j.failures--
		return consent.ErrUnavailable
	}
	if j.err == nil {
		j.index.Meet(*c.Contact)
	}
	return j.err
}

func (j *journal) Count(c consent.Count) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts[c.Site+" "+c.Key] += c.N
}

// post is a set of doors over the ledger of two sites.
type post struct {
	*Handler
	journal *journal
	now     time.Time
}

func newPost(t *testing.T, sites map[string][]string) *post {
	t.Helper()
	p := &post{journal: &journal{index: consent.NewIndex(), counts: map[string]uint64{}}, now: now}
	var policies []*consent.Policy
	for _, domain := range []string{"a.example", "b.example"} {
		s := &consent.Site{Domain: domain, ConsentDays: 180, TimeZone: time.UTC, Notice: consent.NoticeInfo{Version: "1"}}
		n, err := consent.NewNotice(s, func(consent.Purpose) (string, string) { return "title", "description" })
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, consent.NewPolicy(s, n, nil))
	}
	addresses, err := consent.NewAddresses(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	p.Handler = New(Options{
		Ledger:    &consent.Ledger{Sites: consent.NewSites(policies...), Index: p.journal.index, Recorder: p.journal, Now: func() time.Time { return p.now }},
		Addresses: addresses, Counter: p.journal, Logger: slog.New(slog.DiscardHandler), Sites: sites,
		Meta: Meta{AppSecret: "app-secret", VerifyToken: "verify-me"}, GreenAPI: GreenAPI{Token: "green"}, Twilio: Twilio{AuthToken: "12345"},
	})
	return p
}

func (p *post) key(domain string) consent.AddressKey {
	return p.o.Addresses.Key(domain, consent.WhatsApp, "+15005550006")
}

func (p *post) grant(t *testing.T, domain string) {
	t.Helper()
	policy, err := p.o.Ledger.Sites.Lookup(domain)
	if err == nil {
		_, _, err = p.o.Ledger.OptIn(t.Context(), policy, consent.OptIn{Channel: consent.WhatsApp, Address: p.key(domain)})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *post) reason(domain string) consent.Reason {
	return p.o.Ledger.Index.Contact(p.key(domain)).Reason(p.now)
}

// TestStopOnce: messages come twice, late and in any order, and each means what
// it meant when it was written.
func TestStopOnce(t *testing.T) {
	t.Parallel()
	p := newPost(t, map[string][]string{"meta": {"a.example"}, "twilio": {"a.example"}})
	send := func(id string, at time.Time, says string) {
		t.Helper()
		err := p.take(t.Context(), "meta", []Message{{ID: id, Channel: consent.WhatsApp, From: "+15005550006", At: at, Text: says}})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, reason consent.Reason) {
		t.Helper()
		if got := p.reason("a.example"); got != reason {
			t.Errorf("%s: %q, want %q", when, got, reason)
		}
	}
	send("1", now, "STOP")
	want("nothing was granted", consent.Withdrawn)
	p.now = now.Add(time.Hour)
	p.grant(t, "a.example")
	send("1", time.Time{}, "STOP")
	want("the same message again", consent.Live)
	send("2", now.Add(30*time.Minute), "STOP")
	want("a message from before the grant", consent.Live)
	p.now = p.now.Add(2 * time.Minute)
	send("2a", p.now.Add(-5*time.Minute), "STOP")
	want("a fresh message by a slow clock", consent.Withdrawn)
	p.grant(t, "a.example")
	send("3", time.Time{}, "START")
	want("a START", consent.Live)
	send("4", p.now, "STOP")
	want("a new STOP", consent.Withdrawn)
	send("5", p.now.Add(time.Minute), "START")
	want("a START after it", consent.Withdrawn)
	p.now = p.now.Add(time.Hour)
	p.grant(t, "a.example")
	p.journal.err = consent.ErrUnavailable
	if err := p.take(t.Context(), "twilio", []Message{{ID: "6", Channel: consent.WhatsApp, From: "+15005550006", OptOut: true}}); !errors.Is(err, consent.ErrUnavailable) {
		t.Errorf("without disk: %v, want ErrUnavailable", err)
	}
	want("a STOP without disk", consent.Withdrawn)
	if p.journal.err = nil; p.seen.has("twilio", "6") {
		t.Error("a message that was not recorded is not read again")
	}
}

func TestWhoseNumber(t *testing.T) {
	t.Parallel()
	stop := []Message{{Channel: consent.WhatsApp, From: "+15005550006", OptOut: true}}
	for name, tt := range map[string]struct {
		sites map[string][]string
		a, b  consent.Reason
	}{
		"of all sites": {nil, consent.Withdrawn, consent.Withdrawn},
		"of one":       {map[string][]string{"meta": {"b.example"}}, consent.Live, consent.Withdrawn},
		"of another's": {map[string][]string{"twilio": {"b.example"}}, consent.Withdrawn, consent.Withdrawn},
	} {
		p := newPost(t, tt.sites)
		p.grant(t, "a.example")
		p.grant(t, "b.example")
		if err := p.take(t.Context(), "meta", stop); err != nil {
			t.Fatal(err)
		}
		if a, b := p.reason("a.example"), p.reason("b.example"); a != tt.a || b != tt.b {
			t.Errorf("%s: %q and %q, want %q and %q", name, a, b, tt.a, tt.b)
		}
		if n := p.journal.counts["b.example whatsapp stop"]; n != 1 {
			t.Errorf("%s: counted %d times", name, n)
		}
	}
}

// TestStopOfAStranger is an objection where it is known to whom; elsewhere it
// would tell one site what was written to another.
func TestStopOfAStranger(t *testing.T) {
	t.Parallel()
	stop := []Message{{Channel: consent.WhatsApp, From: "+15005550006", OptOut: true}}
	for name, tt := range map[string]struct {
		sites map[string][]string
		known bool // to b.example
		a, b  consent.Reason
	}{
		"to any of two":             {nil, false, consent.NoConsent, consent.NoConsent},
		"to one":                    {map[string][]string{"meta": {"a.example"}}, false, consent.Withdrawn, consent.NoConsent},
		"who is known to the other": {nil, true, consent.NoConsent, consent.Withdrawn},
	} {
		p := newPost(t, tt.sites)
		if tt.known {
			p.grant(t, "b.example")
		}
		if err := p.take(t.Context(), "meta", stop); err != nil {
			t.Fatal(err)
		}
		if a, b := p.reason("a.example"), p.reason("b.example"); a != tt.a || b != tt.b {
			t.Errorf("%s: %q and %q, want %q and %q", name, a, b, tt.a, tt.b)
		}
	}
}

// TestStopGoesOn: a message, or a site, that fails keeps no other from its STOP.
func TestStopGoesOn(t *testing.T) {
	t.Parallel()
	p := newPost(t, nil)
	p.grant(t, "a.example")
	p.grant(t, "b.example")
	p.journal.failures = 1
	stop := func(id string) Message {
		return Message{ID: id, Channel: consent.WhatsApp, From: "+15005550006", OptOut: true}
	}
	err := p.take(t.Context(), "meta", []Message{stop("1"), stop("2")})
	if !errors.Is(err, consent.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	for _, domain := range []string{"a.example", "b.example"} {
		if p.reason(domain) != consent.Withdrawn || p.journal.index.Owed(p.key(domain)) {
			t.Errorf("%s: %q, owed %v", domain, p.reason(domain), p.journal.index.Owed(p.key(domain)))
		}
	}
	if p.seen.has("meta", "1") || !p.seen.has("meta", "2") {
		t.Error("the message that failed counts as seen, or the other does not")
	}
}

func TestSeenIsBounded(t *testing.T) {
	t.Parallel()
	var s seen
	for i := range maxSeen + 10 {
		s.add("meta", fmt.Sprint(i))
		s.add("meta", fmt.Sprint(i))
	}
	if len(s.ids) != maxSeen || s.has("meta", "9") || !s.has("meta", "10") || s.has("twilio", "10") {
		t.Errorf("%d ids are remembered", len(s.ids))
	}
}

// TestDoors sends requests as the providers do.
func TestDoors(t *testing.T) {
	t.Parallel()
	p := newPost(t, map[string][]string{"meta": {"a.example"}})
	var limited int
	p.o.Limit = func(echo.Context) error {
		if limited++; limited > 20 {
			return errors.New("wait")
		}
		return nil
	}
	shut := New(Options{Logger: slog.New(slog.DiscardHandler)})
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if err := c.String(http.StatusTeapot, err.Error()); err != nil {
			t.Error(err)
		}
	}
	for path, h := range map[string]*Handler{"": p.Handler, "/shut": shut} {
		e.POST(path+"/twilio", h.PostTwilio)
		e.GET(path+"/meta", h.GetMeta)
		e.POST(path+"/meta", h.PostMeta)
		e.POST(path+"/green-api", h.PostGreenAPI)
	}
	const signed = "sha256=a6cfaf5db782c20bb02ed1a67f1bc1f8566eea2b7162a6a6b5ab03cd5804a012"
	for _, tt := range []struct {
		name, method, path, header, value, body string
		status                                  int
		want                                    string
	}{
		{"the challenge", "GET", "/meta?hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1158201444", "", "", "", 200, "1158201444"},
		{"another token", "GET", "/meta?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1", "", "", "", 418, ErrSignature.Error()},
		{"another mode", "GET", "/meta?hub.mode=x&hub.verify_token=verify-me&hub.challenge=1", "", "", "", 418, ErrSignature.Error()},
		{"a message", "POST", "/meta", "X-Hub-Signature-256", signed, metaStop, 200, ""},
		{"not signed", "POST", "/meta", "", "", metaStop, 418, ErrSignature.Error()},
		{"not signed and large", "POST", "/meta", "", "", strings.Repeat("x", maxMeta+1), 418, ErrSignature.Error()},
		{"too large", "POST", "/meta", "X-Hub-Signature-256", signed, strings.Repeat("x", maxMeta+1), 418, consent.ErrTooLarge.Error()},
		{"large", "POST", "/meta", "X-Hub-Signature-256", signed, strings.Repeat("x", maxMeta), 418, ErrSignature.Error()},
		{"no JSON", "POST", "/green-api", "Authorization", "Bearer green", "<xml/>", 418, consent.ErrNotJSON.Error()},
		{"a state", "POST", "/green-api", "Authorization", "Bearer green", `{"typeWebhook":"stateInstanceChanged"}`, 200, ""},
		{"no token", "POST", "/green-api", "", "", `{}`, 418, ErrSignature.Error()},
		{"not signed by Twilio", "POST", "/twilio", "", "", "Body=STOP", 418, ErrSignature.Error()},
		{"Twilio without a secret", "POST", "/shut/twilio", "", "", "", 418, ErrNotConfigured.Error()},
		{"Meta without a secret", "POST", "/shut/meta", "", "", "", 418, ErrNotConfigured.Error()},
		{"Meta without a token", "GET", "/shut/meta?hub.mode=subscribe&hub.verify_token=&hub.challenge=1", "", "", "", 418, ErrNotConfigured.Error()},
		{"Green API without a secret", "POST", "/shut/green-api", "", "", "", 418, ErrNotConfigured.Error()},
	} {
		r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
		if tt.header != "" {
			r.Header.Set(tt.header, tt.value)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if got := w.Body.String(); w.Code != tt.status || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, w.Code, got, tt.status, tt.want)
		}
	}
	if got := p.reason("a.example"); got != consent.Withdrawn {
		t.Errorf("after the message: %q, want withdrawn", got)
	}
	r := httptest.NewRequest("POST", "/twilio", strings.NewReader("Body=STOP"))
	for range 20 {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if limited > 20 && w.Body.String() != "wait" {
			t.Errorf("the %d. request that nobody signed: %s", limited, w.Body)
		}
	}
	r = httptest.NewRequest("POST", "/meta", strings.NewReader(metaStop))
	r.Header.Set("X-Hub-Signature-256", signed)
	w := httptest.NewRecorder()
	if e.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("a signed request after many that were not: %d %s", w.Code, w.Body)
	}
	if b, err := json.Marshal(p.journal.counts); err != nil || strings.Contains(string(b), "1500") {
		t.Errorf("counted: %s, %v", b, err)
	}
}
