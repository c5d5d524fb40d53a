package collector

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

func TestDuplicates(t *testing.T) {
	t.Parallel()
	const named = `{"id":"1","name":"x","url":"https://example.com/"}`
	h := newHouse(t)
	token := h.sign(h.grant())
	steps := []struct {
		name  string
		after time.Duration
		body  string
		want  string
	}{
		{"once, and again in the same body", 0, envelopeOf(token, named, named), "duplicate"},
		{"a retry", time.Second, envelopeOf(token, named), "duplicate"},
		{"another consent", 0, envelopeOf(h.sign(h.grant()), named), ""},
		{"no id", 0, envelopeOf(token, pageview, pageview), ""},
		{"within 24 hours", 24*time.Hour - 2*time.Second, envelopeOf(token, named), "duplicate"},
		{"a day and an hour later", time.Hour + 2*time.Second, envelopeOf(token, named), ""},
	}
	for _, s := range steps {
		h.pass(s.after)
		h.handler.duplicates.sweep(h.clock())
		if got := h.post(s.body).reasons(); got != s.want {
			t.Errorf("%s: dropped as %q, want %q", s.name, got, s.want)
		}
	}
}

// TestDuplicatesAreBounded fills a small table and half as much again: nothing
// new is taken for a duplicate, nothing is forgotten before five of eight
// places are taken, and then the oldest.
func TestDuplicatesAreBounded(t *testing.T) {
	t.Parallel()
	const sets, hours = 64, 12
	const places = duplicateShards * sets * duplicatePlaces
	const perHour = places / 8
	d := newDuplicates(sets)
	nth := func(hour, i int) EventKey { return keyOf("example.com", consent.ID{}, strconv.Itoa(hour*perHour+i)) }
	known := func(hour int) (n int) {
		for i := range perHour {
			if key := nth(hour, i); d.shard(key).find(placeOf(key, 0)) != nil {
				n++
			}
		}
		return n
	}
	for hour := range hours {
		now := noon.Add(time.Duration(hour) * time.Hour)
		d.sweep(now)
		for i := range perHour {
			if !d.reserve(nth(hour, i), now) {
				t.Fatalf("key %d of hour %d is new and was taken for a duplicate", i, hour)
			}
			if d.reserve(nth(hour, i), now) {
				t.Fatalf("key %d of hour %d was forgotten at once", i, hour)
			}
		}
		for before := range hour + 1 {
			want := 0
			switch {
			case hour < 5: // five eighths are taken
				want = perHour
			case hour-before < 4: // the newest half of what there are places for
				want = perHour - perHour/1000
			}
			if n := known(before); n < want {
				t.Errorf("in hour %d, %d of the %d keys of hour %d are known, want %d", hour, n, perHour, before, want)
			}
		}
	}
	if n := known(0); n > perHour/2 {
		t.Errorf("%d of %d keys of the first hour are known in the end, want few", n, perHour)
	}
	for i := range d.shards {
		if n := len(d.shards[i].sets); n != sets {
			t.Errorf("part %d has %d sets, want %d at most", i, n, sets)
		}
	}
}

// What the committer refuses is a drop at the event's own index.
func TestLateRefusal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.disk.late = func(i int, _ Admitted) consent.Reason {
		if i == 1 {
			return consent.Withdrawn
		}
		return consent.Live
	}
	got := h.post(envelopeOf(h.sign(h.grant()), `{}`, pageview, `{"id":"2","name":"x","url":"https://example.com/"}`, pageview))
	want := []Drop{{0, Invalid, "name is missing"}, {2, consent.Withdrawn, ""}}
	if diff := cmp.Diff(want, got.Dropped); diff != "" || got.Accepted != 2 {
		t.Errorf("accepted %d, dropped (-want +got):\n%s", got.Accepted, diff)
	}
	if got, want := got.header.Get(DroppedHeader), "invalid, withdrawn"; got != want {
		t.Errorf("%s: %s, want %s", DroppedHeader, got, want)
	}
}

// A request that asks is told what was stored, and of that nothing by which a
// visitor could be told from another.
func TestExplained(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) {
		o.Forwards = func(e *Event) []any {
			return []any{map[string]string{"destination": "google-analytics", "refused": e.Name}}
		}
	})
	token := h.sign(h.grant())
	shop := `{"name":"signup","url":"https://example.com/shop?utm_source=news","props":{"plan":"free"}}`
	body := envelopeOf(token, `{}`, shop)
	rec, err := h.request(strings.Replace(body, `{"site"`, `{"debug":true,"site"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"accepted":1,"dropped":[{"index":0,"reason":"invalid","detail":"name is missing"}],"debug":[{"index":1,` +
		`"stored":{"name":"signup","hostname":"example.com","path":"/shop","source":"news","channel":"Unassigned","browser":"Chrome","os":"Windows","device":"desktop","props":{"plan":"free"}},` +
		`"forwards":[{"destination":"google-analytics","refused":"signup"}]}]}`
	if diff := cmp.Diff(want, rec.Body.String()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for _, quiet := range []string{body, strings.Replace(body, `{"site"`, `{"debug":1,"site"`, 1)} {
		if rec, err = h.request(quiet); err != nil || strings.Contains(rec.Body.String(), "debug") {
			t.Errorf("explained without being asked: %s, %v", rec.Body, err)
		}
	}
}

// Refusals alone never touch the disk.
func TestRefusalsDoNotTouchTheDisk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.disk.err = consent.ErrUnavailable
	if got := h.post(envelopeOf("", pageview, pageview)).reasons(); got != "no_consent no_consent" {
		t.Errorf("dropped as %s, want no_consent twice", got)
	}
	if n := h.disk.counted(consent.CountRefusal, "no_consent"); n != 2 {
		t.Errorf("%d refusals are counted, want 2", n)
	}
}

// A client that hangs up has its events kept all the same, so that its retry
// is a duplicate and no second event.
func TestClientThatHangsUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := envelopeOf(h.sign(h.grant()), `{"id":"1","name":"x","url":"https://example.com/"}`)
	h.post(body, func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	})
	if got := h.post(body).reasons(); got != "duplicate" {
		t.Errorf("the retry is dropped as %q, want duplicate", got)
	}
}

// A site's backend tells what a visitor did there: by the visitor's token, under
// the backend's key. Its own address, program and language are nobody's.
func TestServerSideEvents(t *testing.T) {
	t.Parallel()
	keyed := func(o *Options) {
		o.APIKey = func(r *http.Request, site string) bool {
			return site == "example.com" && r.Header.Get("Authorization") == "Bearer k"
		}
	}
	backend := []requestOption{without("Origin"), with("User-Agent", "curl/8.9"), with("Accept-Language", "de"), with("Authorization", "Bearer k")}
	const order = `{"id":"order-1","name":"purchase","url":"https://example.com/checkout","revenue":{"amount":"9.90","currency":"EUR"}}`

	t.Run("kept once, and nothing of the backend's", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, keyed)
		body := envelopeOf(h.sign(h.grant()), order)
		if got := h.post(body, backend...); got.Accepted != 1 {
			t.Fatalf("dropped as %s, want kept", got.reasons())
		}
		if got := h.post(body, backend...).reasons(); got != "duplicate" {
			t.Errorf("sent again: dropped as %q, want duplicate", got)
		}
		e := h.only()
		got := []string{e.IPHash, e.Country, e.Browser, e.OS, e.Device, e.Language}
		if diff := cmp.Diff(make([]string, 6), got); diff != "" {
			t.Errorf("address, country, browser, system, device, language (-want +got):\n%s", diff)
		}
	})
	t.Run("visitors are told apart by their consent", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, keyed)
		ada, bob := h.sign(h.grant()), h.sign(h.grant())
		for _, token := range []string{ada, bob, ada} {
			h.post(envelopeOf(token, pageview), backend...)
		}
		e := h.disk.events
		if e[0].Visitor == e[1].Visitor || e[0].Visitor != e[2].Visitor {
			t.Errorf("visitors %q, %q, %q: want the first and the third alike", e[0].Visitor, e[1].Visitor, e[2].Visitor)
		}
	})
	t.Run("or by the name that the backend gives", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, keyed)
		h.post(envelopeOf(h.sign(h.grant()), `{"name":"x","url":"https://example.com/","visitor":"ada","session":"s1"}`), backend...)
		if e := h.only(); e.Visitor != "ada" || e.Session != "s1" {
			t.Errorf("visitor %q in session %q, want ada in s1", e.Visitor, e.Session)
		}
	})
	t.Run("no key without the visitor's token", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, keyed)
		if got := h.post(envelopeOf("", pageview), backend...).reasons(); got != "no_consent" {
			t.Errorf("dropped as %q, want no_consent", got)
		}
	})
	for name, options := range map[string][]requestOption{
		"no key":            {without("Origin")},
		"another key":       {without("Origin"), with("Authorization", "Bearer other")},
		"a page of another": {with("Origin", "https://evil.test"), with("Authorization", "Bearer k")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, keyed)
			if _, err := h.request(envelopeOf(h.sign(h.grant()), pageview), options...); !errors.Is(err, consent.ErrForbiddenOrigin) {
				t.Errorf("%v, want %v", err, consent.ErrForbiddenOrigin)
			}
		})
	}
}

func TestTestHosts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, origin, url string
		want              bool
	}{
		{"the site", "https://example.com", "https://example.com/", false},
		{"a page on a test host", "http://localhost:3000", "http://localhost:3000/", true},
		{"a test page that names the site", "http://localhost:3000", "https://example.com/", true},
	}
	for _, tt := range tests {
		h := newHouse(t)
		h.post(envelopeOf(h.sign(h.grant()), `{"name":"x","url":"`+tt.url+`"}`), with("Origin", tt.origin))
		if got := h.only().Test; got != tt.want {
			t.Errorf("%s: test = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, host, origin string
		allowed            bool
		credentials        string
	}{
		{"a subdomain", "stats.example.com", "https://www.example.com", true, "true"},
		{"another site's host", "sluice.test", "https://example.com", true, ""},
		{"a test page", "example.com", "http://localhost:3000", true, ""},
		{"a stranger", "example.com", "https://evil.test", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			origin := ""
			if tt.allowed {
				origin = tt.origin
			}
			rec, err := h.request(envelopeOf("", pageview), with("Origin", tt.origin), func(r *http.Request) { r.Host = tt.host })
			if (err == nil) != tt.allowed {
				t.Errorf("post: %v, want allowed %v", err, tt.allowed)
			}
			header := rec.Header()
			if got := header.Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("origin allowed %q, want %q", got, origin)
			}
			if got := header.Get("Access-Control-Allow-Credentials"); got != tt.credentials {
				t.Errorf("credentials allowed %q, want %q", got, tt.credentials)
			}
			if got := header.Get("Access-Control-Expose-Headers"); tt.allowed && got != DroppedHeader+", "+NoticeHeader {
				t.Errorf("exposed %q, want %s and %s", got, DroppedHeader, NoticeHeader)
			}
			if got := header.Values("Vary"); !slices.Equal(slices.DeleteFunc(got, func(v string) bool { return v == "Sec-GPC" }), []string{"Origin"}) {
				t.Errorf("varies by %q, want Origin, once", got)
			}
			rec, err = h.request(`{"site":`, with("Origin", tt.origin), func(r *http.Request) { r.Host = tt.host })
			if !errors.Is(err, consent.ErrNotJSON) {
				t.Errorf("half a body: %v, want ErrNotJSON", err)
			}
			if got := rec.Header().Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("what is wrong may be read by %q, want %q", got, origin)
			}
		})
	}
}

func TestNewHandlerRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := Options{Ledger: h.ledger, Appender: h.disk, Counter: h.disk, ClientIP: h.handler.clientIP, ClientIDKey: make([]byte, 32)}
	for name, spoil := range map[string]func(*Options){
		"no ledger":   func(o *Options) { o.Ledger = nil },
		"no appender": func(o *Options) { o.Appender = nil },
		"no counter":  func(o *Options) { o.Counter = nil },
		"no address":  func(o *Options) { o.ClientIP = nil },
		"a short key": func(o *Options) { o.ClientIDKey = make([]byte, 31) },
	} {
		o := good
		spoil(&o)
		if _, err := NewHandler(o); err == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := NewHandler(good); err != nil {
		t.Errorf("nothing missing: %v", err)
	}
}
