package collector

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/labstack/echo/v4"

	"sluice/consent"
)

// accepting opens doors on example.com.
func accepting(a Accept) func(*Options) {
	return func(o *Options) {
		site := o.Sites["example.com"]
		site.Accept = a
		o.Sites["example.com"] = site
	}
}

var everyDoor = accepting(Accept{Plausible: true, Umami: true, GoatCounter: true})

// ask sends one request to a door as a browser on example.com does.
func (h *house) ask(door echo.HandlerFunc, method, target, body string, options ...requestOption) (*httptest.ResponseRecorder, error) {
	h.t.Helper()
	r := httptest.NewRequest(method, "https://example.com"+target, strings.NewReader(body))
	r.RemoteAddr = visitorIP + ":1234"
	r.Header.Set("User-Agent", chrome)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set("Origin", "https://example.com")
	}
	for _, o := range options {
		o(r)
	}
	rec := httptest.NewRecorder()
	return rec, door(h.echo.NewContext(r, rec))
}

// consented carries the token in the cookie, as a browser does.
func (h *house) consented() requestOption {
	return func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: consent.ProofCookie, Value: h.sign(h.grant())})
	}
}

// measured is what a client measured, of an event that was kept.
func measured(e Event) Event {
	return Event{
		Name: e.Name, Hostname: e.Hostname, Path: e.Path, Query: e.Query, Title: e.Title, Referrer: e.Referrer, Props: e.Props,
		Revenue: e.Revenue, Currency: e.Currency, ScreenWidth: e.ScreenWidth, ScreenHeight: e.ScreenHeight, EngagementMS: e.EngagementMS,
	}
}

func TestPlausibleEvents(t *testing.T) {
	t.Parallel()
	home := Event{Name: "pageview", Hostname: "example.com", Path: "/"}
	change := func(change func(*Event)) Event { e := home; change(&e); return e }
	tests := []struct {
		name, body string
		want       Event
	}{
		{"short keys, as the tracker sends them", `{"n":"pageview","v":36,"u":"https://example.com/","d":"example.com","r":null}`, home},
		{"long keys, as the documentation has them", `{"name":"pageview","url":"https://example.com/","domain":"example.com","referrer":"https://news.test/a?q=1"}`,
			change(func(e *Event) { e.Referrer = "https://news.test/a" })},
		{"the older tracker's width and hash flag", `{"n":"pageview","u":"https://example.com/#/a","d":"example.com","r":"","w":1440,"h":0}`, home},
		{"hash routing", `{"n":"pageview","u":"https://example.com/?utm_source=x#/cart?step=2","d":"example.com","h":1}`,
			change(func(e *Event) { e.Path, e.Query = "/#/cart", "utm_source=x" })},
		{"hash routing, long", `{"name":"pageview","url":"https://example.com/#/cart","domain":"example.com","hashMode":true}`, change(func(e *Event) { e.Path = "/#/cart" })},
		{"www before the domain", `{"n":"pageview","u":"https://example.com/","d":"www.example.com"}`, home},
		{"several domains", `{"n":"pageview","u":"https://example.com/","d":"rollup.test, example.com"}`, home},
		{"no domain: the address says it", `{"n":"pageview","u":"https://example.com/"}`, home},
		{"properties", `{"n":"x","u":"https://example.com/","d":"example.com","p":{"plan":"pro","n":2,"yes":true,"no":null,"empty":"","list":[1],"deep":{"a":1}}}`,
			change(func(e *Event) { e.Name, e.Props = "x", []Prop{{"n", 2.0}, {"plan", "pro"}, {"yes", true}} })},
		{"properties in a string", `{"n":"x","u":"https://example.com/","d":"example.com","p":"{\"plan\":\"pro\"}"}`,
			change(func(e *Event) { e.Name, e.Props = "x", []Prop{{"plan", "pro"}} })},
		{"properties as meta", `{"name":"x","url":"https://example.com/","domain":"example.com","meta":"{\"plan\":\"pro\"}"}`,
			change(func(e *Event) { e.Name, e.Props = "x", []Prop{{"plan", "pro"}} })},
		{"properties that are words", `{"n":"x","u":"https://example.com/","d":"example.com","m":"none"}`, change(func(e *Event) { e.Name = "x" })},
		{"revenue", `{"n":"Purchase","u":"https://example.com/","d":"example.com","$":{"amount":"13.30","currency":"usd"}}`,
			change(func(e *Event) { e.Name, e.Revenue, e.Currency = "Purchase", "13.30", "USD" })},
		{"revenue as a number", `{"name":"Purchase","url":"https://example.com/","domain":"example.com","revenue":{"amount":0.30000000000000004,"currency":"EUR"}}`,
			change(func(e *Event) { e.Name, e.Revenue, e.Currency = "Purchase", "0.3", "EUR" })},
		{"revenue in a string", `{"name":"Purchase","url":"https://example.com/","domain":"example.com","revenue":"{\"amount\":20,\"currency\":\"EUR\"}"}`,
			change(func(e *Event) { e.Name, e.Revenue, e.Currency = "Purchase", "20", "EUR" })},
		{"the empty revenue of a tagged event", `{"n":"Signup","u":"https://example.com/","d":"example.com","$":{}}`, change(func(e *Event) { e.Name = "Signup" })},
		{"engagement of a tracker that knows no time", `{"n":"engagement","sd":255,"d":"example.com","u":"https://example.com/"}`, change(func(e *Event) { e.Name = "engagement" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, everyDoor)
			rec, err := h.ask(h.handler.PostPlausible, http.MethodPost, "/api/event", tt.body, h.consented())
			if err != nil {
				t.Fatal(err)
			}
			if rec.Code != http.StatusAccepted || rec.Body.String() != "ok" || rec.Header().Get(plausibleDropped) != "" || rec.Header().Get(DroppedHeader) != "" {
				t.Errorf("answer %d %q with %v", rec.Code, rec.Body, rec.Header())
			}
			if diff := cmp.Diff(tt.want, measured(h.only()), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

// How far a page was read is an event of its own, as our script tells it.
func TestPlausibleEngagement(t *testing.T) {
	t.Parallel()
	h := newHouse(t, everyDoor)
	body := `{"n":"engagement","sd":72,"d":"example.com","u":"https://example.com/a","p":{"plan":"pro"},"e":4321,"v":36}`
	rec, err := h.ask(h.handler.PostPlausible, http.MethodPost, "/api/event", body, h.consented())
	if err != nil || rec.Body.String() != "ok" || rec.Header().Get(plausibleDropped) != "" {
		t.Fatalf("%v, %s, %v", err, rec.Body, rec.Header())
	}
	var got []Event
	for _, e := range h.disk.events {
		got = append(got, measured(e))
	}
	page := Event{Hostname: "example.com", Path: "/a", Props: []Prop{{"plan", "pro"}}}
	engagement, scroll := page, page
	engagement.Name, engagement.EngagementMS = "engagement", 4321
	scroll.Name, scroll.Props = "scroll", []Prop{{"percent_scrolled", 72.0}, {"plan", "pro"}}
	if diff := cmp.Diff([]Event{engagement, scroll}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestPlausibleKeepsThirtyProperties(t *testing.T) {
	t.Parallel()
	h := newHouse(t, everyDoor)
	var props []string
	for i := range 33 {
		props = append(props, fmt.Sprintf(`"k%d":1`, i))
	}
	body := `{"n":"x","u":"https://example.com/","d":"example.com","p":{` + strings.Join(props, ",") + `}}`
	if _, err := h.ask(h.handler.PostPlausible, http.MethodPost, "/api/event", body, h.consented()); err != nil {
		t.Fatal(err)
	}
	if got, cut := len(h.only().Props), h.disk.counted(CountCut, "event"); got != 30 || cut != 3 {
		t.Errorf("kept %d properties and counted %d as cut, want 30 and 3", got, cut)
	}
}

func TestUmamiEvents(t *testing.T) {
	t.Parallel()
	home := Event{Name: "pageview", Hostname: "example.com", Path: "/"}
	change := func(change func(*Event)) Event { e := home; change(&e); return e }
	const website = `"website":"7f3b1c1e-6f2f-4a1c-8a53-d3b5bcbb1a11"`
	tests := []struct {
		name, body string
		want       Event
	}{
		{"a page", `{"type":"event","payload":{` + website + `,"screen":"1440x900","language":"en-GB","title":"Home","hostname":"example.com","url":"https://example.com/","referrer":""}}`,
			change(func(e *Event) { e.Title, e.ScreenWidth, e.ScreenHeight = "Home", 1440, 900 })},
		{"paths, as version 2 sends them", `{"type":"event","payload":{` + website + `,"hostname":"example.com","url":"/a?utm_source=x","referrer":"/b"}}`,
			change(func(e *Event) { e.Path, e.Query = "/a", "utm_source=x" })},
		{"a path without a slash", `{"payload":{"hostname":"example.com","url":"a"}}`, change(func(e *Event) { e.Path = "/a" })},
		{"a site by its domain", `{"payload":{"website":"example.com","url":"https://example.com/"}}`, home},
		{"an event with nested data", `{"type":"event","payload":{` + website + `,"hostname":"example.com","url":"/","name":"Signup","data":{"plan":"pro","n":2,"yes":false,"none":null,"deep":{"a":{"b":"c"}},"list":[1,"x"]},"tag":"b"}}`,
			change(func(e *Event) {
				e.Name = "Signup"
				e.Props = []Prop{{"deep.a.b", "c"}, {"list", `[1,"x"]`}, {"n", 2.0}, {"plan", "pro"}, {"tag", "b"}, {"yes", false}}
			})},
		{"data that is no object", `{"payload":{"hostname":"example.com","url":"/","name":"x","data":"words"}}`, change(func(e *Event) { e.Name = "x" })},
		{"web vitals", `{"type":"performance","payload":{"hostname":"example.com","url":"/","lcp":1200.5,"cls":0.01}}`,
			change(func(e *Event) { e.Name, e.Props = "web_vital", []Prop{{"CLS", 0.01}, {"LCP", 1200.5}} })},
		{"a screen that is none", `{"payload":{"hostname":"example.com","url":"/","screen":"wide"}}`, home},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, everyDoor)
			rec, err := h.ask(h.handler.PostUmami, http.MethodPost, "/api/send", tt.body, h.consented())
			if err != nil {
				t.Fatal(err)
			}
			if got, want := rec.Body.String(), `{"accepted":1,"dropped":[]}`; rec.Code != http.StatusOK || got != want {
				t.Errorf("answer %d %s, want 200 %s", rec.Code, got, want)
			}
			if diff := cmp.Diff(tt.want, measured(h.only()), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoatCounterEvents(t *testing.T) {
	t.Parallel()
	home := Event{Name: "pageview", Hostname: "example.com", Path: "/"}
	change := func(change func(*Event)) Event { e := home; change(&e); return e }
	tests := []struct {
		name, query, referer string
		want                 Event
	}{
		{"a page", "p=/&t=Home&r=https%3A%2F%2Fnews.test%2Fa&s=1440,900,1.5&b=0&q=&rnd=abcde", "https://example.com/",
			change(func(e *Event) {
				e.Title, e.Referrer, e.ScreenWidth, e.ScreenHeight = "Home", "https://news.test/a", 1440, 900
			})},
		{"a page on a subdomain", "p=/shop", "https://shop.example.com/shop", change(func(e *Event) { e.Hostname, e.Path = "shop.example.com", "/shop" })},
		{"the campaign of the real address", "p=/canonical&q=%3Futm_source%3Dx", "https://example.com/real?utm_source=x",
			change(func(e *Event) { e.Path, e.Query = "/canonical", "utm_source=x" })},
		{"a path with a query", "p=%2Fa%3Futm_source%3Dx%26id%3D1&q=%3Futm_source%3Dy", "https://example.com/a",
			change(func(e *Event) { e.Path, e.Query = "/a", "utm_source=x" })},
		{"an event", "p=Signup&t=Sign+up&e=true", "https://example.com/pricing", change(func(e *Event) { e.Name, e.Path, e.Title = "Signup", "/pricing", "Sign up" })},
		{"an event of a page that says nothing", "p=/Signup&e=true", "", change(func(e *Event) { e.Name = "Signup" })},
		{"a page that says nothing", "p=/a", "", change(func(e *Event) { e.Path = "/a" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, everyDoor)
			rec, err := h.ask(h.handler.CountGoatCounter, http.MethodGet, "/count?"+tt.query, "", h.consented(), with("Referer", tt.referer))
			if err != nil {
				t.Fatal(err)
			}
			if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "image/gif" || len(rec.Body.Bytes()) != 43 || rec.Header().Get(goatCounterNote) != "" {
				t.Errorf("answer %d, %d bytes, %v", rec.Code, rec.Body.Len(), rec.Header())
			}
			if diff := cmp.Diff(tt.want, measured(h.only()), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

// Every foreign door has the same lock as our own, and says so in both its
// language and ours.
func TestForeignDoorsAreGated(t *testing.T) {
	t.Parallel()
	type door struct{ method, target, body string }
	doors := map[string]struct {
		handler    func(*Handler) echo.HandlerFunc
		ours, evil door
		header     string // of the product, "" for none
		value      func(reason string) string
	}{
		"Plausible": {
			handler: func(h *Handler) echo.HandlerFunc { return h.PostPlausible },
			ours:    door{http.MethodPost, "/api/event", `{"n":"pageview","u":"https://example.com/","d":"example.com"}`},
			evil:    door{http.MethodPost, "/api/event", `{"n":"pageview","u":"https://evil.test/","d":"example.com"}`},
			header:  plausibleDropped, value: func(string) string { return "1" },
		},
		"Umami": {
			handler: func(h *Handler) echo.HandlerFunc { return h.PostUmami },
			ours:    door{http.MethodPost, "/api/send", `{"payload":{"hostname":"example.com","url":"/"}}`},
			evil:    door{http.MethodPost, "/api/send", `{"payload":{"website":"example.com","hostname":"evil.test","url":"/"}}`},
		},
		"GoatCounter": {
			handler: func(h *Handler) echo.HandlerFunc { return h.CountGoatCounter },
			ours:    door{http.MethodGet, "/count?p=/", ""},
			header:  goatCounterNote, value: func(reason string) string { return "not counted: " + reason },
		},
	}
	for name, d := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dropped := func(request door, want string, change func(*consent.Token), options ...requestOption) {
				t.Helper()
				h := newHouse(t, everyDoor)
				if change != nil {
					token := h.grant(change)
					options = append(options, with("Cookie", consent.ProofCookie+"="+h.sign(token)))
				}
				rec, err := h.ask(d.handler(h.handler), request.method, request.target, request.body, options...)
				if err != nil {
					t.Fatalf("want %s: %v", want, err)
				}
				if got := rec.Header().Get(DroppedHeader); got != want {
					t.Errorf("dropped as %q, want %q", got, want)
				}
				if d.header != "" && rec.Header().Get(d.header) != d.value(want) {
					t.Errorf("%s: %q, want %q", d.header, rec.Header().Get(d.header), d.value(want))
				}
				if len(h.disk.events) > 0 || h.disk.counted(consent.CountRefusal, want) != 1 {
					t.Errorf("%d events are kept and %d counted as %s, want none and 1", len(h.disk.events), h.disk.counted(consent.CountRefusal, want), want)
				}
			}
			dropped(d.ours, "no_consent", nil)
			dropped(d.ours, "gpc", nil, with("Sec-GPC", "1"))
			dropped(d.ours, "no_consent", func(t *consent.Token) { t.Purposes = 0 })
			dropped(d.ours, "bad_token", nil, with("Sluice-Token", "forged"))
			if d.evil.method != "" {
				dropped(d.evil, "wrong_site", func(*consent.Token) {})
			}

			refused := func(what string, want error, h *house, options ...requestOption) {
				t.Helper()
				options = append(options, h.consented())
				if _, err := h.ask(d.handler(h.handler), d.ours.method, d.ours.target, d.ours.body, options...); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
				if len(h.disk.events) > 0 {
					t.Errorf("%s: an event is kept", what)
				}
			}
			refused("a door that is not open", ErrDoorShut, newHouse(t))
			refused("a page of another site", consent.ErrForbiddenOrigin, newHouse(t, everyDoor),
				with("Origin", "https://evil.test"), with("Sec-Fetch-Site", "cross-site"), with("Referer", "https://example.com/"))
		})
	}
}

func TestForeignDoorsRefuse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       error
	}{
		{"no JSON", `n=pageview`, consent.ErrNotJSON},
		{"a list", `[{"n":"pageview"}]`, consent.ErrNotJSON},
		{"half of it", `{"n":"pageview"`, consent.ErrNotJSON},
		{"nobody's site", `{"n":"pageview","u":"https://nobody.test/","d":"nobody.test","payload":{"hostname":"nobody.test"}}`, consent.ErrUnknownSite},
		{"too much", `{"n":"` + strings.Repeat("x", maxBody) + `"}`, consent.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, everyDoor)
			for name, door := range map[string]echo.HandlerFunc{"Plausible": h.handler.PostPlausible, "Umami": h.handler.PostUmami} {
				if _, err := h.ask(door, http.MethodPost, "/", tt.body, h.consented()); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", name, err, tt.want)
				}
			}
		})
	}
}

// TestUmamiDeepData: a level of nested data costs what it is long, not what all
// levels above it are.
func TestUmamiDeepData(t *testing.T) {
	t.Parallel()
	const levels = 3000
	deep := strings.Repeat(`{"level":`, levels) + "1" + strings.Repeat("}", levels)
	u, err := readUmami(`{"payload":{"hostname":"example.com","url":"/","data":{"plan":"pro","a":` + deep + `,"b":{"c":2}}}}`)
	if err != nil || u.wrong || u.cut != 1 {
		t.Fatalf("wrong %v, %d left out, %v", u.wrong, u.cut, err)
	}
	if want := []Prop{{"plan", "pro"}, {"b.c", 2.0}}; !cmp.Equal(u.props, want) {
		t.Errorf("properties: %s", cmp.Diff(want, u.props))
	}
}

// FuzzForeign looks for a body or query that breaks a reader or gets past the
// shape that our own events have.
func FuzzForeign(f *testing.F) {
	f.Add(`{"n":"pageview","u":"https://example.com/","p":"{\"a\":[{}]}","$":{"amount":1e400}}`)
	f.Add(`{"type":"event","payload":{"hostname":"example.com","url":"//x","data":{"a":{"b":[1]}},"screen":"1x"}}`)
	f.Add(`p=%2F%3F&e=true&s=1,NaN&q=%3F%3F`)
	f.Fuzz(func(t *testing.T, text string) {
		var all []wireEvent
		if events, _, err := readPlausible(text); err == nil {
			all = append(all, events...)
		}
		if u, err := readUmami(text); err == nil {
			all = append(all, u.wireEvent)
		}
		if q, err := url.ParseQuery(text); err == nil {
			all = append(all, readGoatCounter(q, "https://example.com/a", "example.com"))
		}
		for _, w := range all {
			var counts tidied
			s, problem := w.shape(&counts)
			if problem != "" {
				continue
			}
			if len(s.event.Props) > maxProps || s.event.Name == "" || !strings.HasPrefix(s.address.Path, "/") {
				t.Errorf("%q became %+v on %+v", text, s.event, s.address)
			}
		}
	})
}
