package collector

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/consent"
)

var gtagDoor = accepting(Accept{Gtag: true})

// page is the browser's side of gtag.js: the parameters that every hit of a
// page load has, and how hits travel.
type page struct {
	shared url.Values
	hits   int
}

func newPage(change ...func(url.Values)) *page {
	p := &page{shared: url.Values{
		"v": {"2"}, "tid": {"G-TEST"}, "gtm": {"45je5b1v9za200"}, "_p": {"1795435200000"}, "cid": {"1234567.1700000000"}, "sid": {"1795435100"},
		"sct": {"3"}, "seg": {"1"}, "ul": {"de-de"}, "sr": {"1920x1080"}, "_s": {"1"}, "gcs": {"G111"}, "gcd": {"13r3r3r2r5l1"}, "npa": {"0"}, "dma": {"0"},
		"dl": {"https://example.com/cart?utm_source=mail&gclid=abc"}, "dt": {"Cart"}, "dr": {"https://search.test/?q=secret"},
	}}
	for _, f := range change {
		f(p.shared)
	}
	return p
}

// hit is one event with its own parameters, as gtag writes them.
func (p *page) hit(name string, params ...string) url.Values {
	p.hits++
	q := maps.Clone(p.shared)
	q["en"], q["_s"] = []string{name}, []string{fmt.Sprint(p.hits)}
	for i := 0; i < len(params); i += 2 {
		q[params[i]] = []string{params[i+1]}
	}
	return q
}

// batch splits hits as gtag does: what all share goes into the query, the rest
// into a line each.
func batch(hits ...url.Values) (query, body string) {
	shared := maps.Clone(hits[0])
	for _, h := range hits[1:] {
		maps.DeleteFunc(shared, func(key string, v []string) bool { return !slices.Equal(h[key], v) })
	}
	var lines []string
	for _, h := range hits {
		own := maps.Clone(h)
		maps.DeleteFunc(own, func(key string, v []string) bool { return slices.Equal(shared[key], v) })
		lines = append(lines, own.Encode())
	}
	return shared.Encode(), strings.Join(lines, "\r\n")
}

// collect sends to the door and returns what was kept.
func (h *house) collect(method, query, body string, options ...requestOption) ([]Event, http.Header) {
	h.t.Helper()
	rec, err := h.ask(h.handler.CollectGtag, method, "/_s/g/collect?"+query, body, options...)
	if err != nil {
		h.t.Fatalf("%s ?%s: %v", method, query, err)
	}
	if rec.Code != http.StatusNoContent || rec.Body.Len() != 0 {
		h.t.Errorf("answer %d with %d bytes, want 204 without", rec.Code, rec.Body.Len())
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return slices.Clone(h.disk.events), rec.Header()
}

// told is what of an event Google is told beside what was measured.
func told(e Event) Event {
	m := measured(e)
	m.GAClientID, m.GASessions, m.NoAds, m.Items = e.GAClientID, e.GASessions, e.NoAds, e.Items
	return m
}

// TestGtagWire is every parameter of the protocol that is known (facts 2.2),
// on a page view: what it becomes, or that it leaves no trace.
func TestGtagWire(t *testing.T) {
	t.Parallel()
	base := Event{
		Name: "pageview", Hostname: "example.com", Path: "/cart", Query: "utm_source=mail", Title: "Cart", Referrer: "https://search.test/",
		ScreenWidth: 1920, ScreenHeight: 1080, GAClientID: "1234567.1700000000", GASessions: "G-TEST=1795435100",
	}
	becomes := func(change func(*Event)) Event { e := base; change(&e); return e }
	props := func(p ...Prop) Event { return becomes(func(e *Event) { e.Props = p }) }
	tests := []struct {
		params []string // keys and values in turn
		want   Event
	}{
		{[]string{"_et", "4200"}, becomes(func(e *Event) { e.EngagementMS = 4200 })},
		{[]string{"_et", "-1"}, base},
		{[]string{"cid", "2.3", "sid", "77"}, becomes(func(e *Event) { e.GAClientID, e.GASessions = "2.3", "G-TEST=77" })},
		{[]string{"en", "user_engagement", "_et", "1000"}, becomes(func(e *Event) { e.Name, e.EngagementMS = "engagement", 1000 })},
		{[]string{"en", "scroll", "epn.percent_scrolled", "90"}, becomes(func(e *Event) { e.Name, e.Props = "scroll", []Prop{{"percent_scrolled", 90.0}} })},
		{[]string{"en", "click", "ep.outbound", "true", "ep.link_url", "https://o.test/"}, becomes(func(e *Event) {
			e.Name, e.Props = "outbound_link", []Prop{{"link_url", "https://o.test/"}, {"outbound", "true"}}
		})},
		{[]string{"en", "view_search_results", "ep.search_term", "kiln"}, becomes(func(e *Event) { e.Name, e.Props = "search", []Prop{{"search_term", "kiln"}} })},
		{[]string{"ep.plan", "pro", "epn.seats", "5", "epn.rate", "0.5"}, props(Prop{"plan", "pro"}, Prop{"rate", 0.5}, Prop{"seats", 5.0})},
		{[]string{"epn.bad", "NaN", "epn.worse", "1e999", "epn.none", "x"}, base},
		{[]string{"up.tier", "gold", "upn.age", "3"}, props(Prop{"up.age", 3.0}, Prop{"up.tier", "gold"})},
		{[]string{"sr", "none"}, becomes(func(e *Event) { e.ScreenWidth, e.ScreenHeight = 0, 0 })},
		{[]string{"dt", "Write to ada@example.org"}, becomes(func(e *Event) { e.Title = "Write to *email*" })},
		{[]string{"cs", "news", "cm", "email", "cn", "may", "ck", "k", "cc", "c", "ci", "9"}, becomes(func(e *Event) {
			e.Query = "utm_source=mail&utm_medium=email&utm_campaign=may&utm_term=k&utm_content=c&utm_id=9"
		})},
		{[]string{"en", "purchase", "cu", "EUR", "epn.value", "9.9", "ep.transaction_id", "T1"}, becomes(func(e *Event) {
			e.Name, e.Revenue, e.Currency, e.Props = "purchase", "9.9", "EUR", []Prop{{"transaction_id", "T1"}}
		})},
		{[]string{"en", "view_item", "cu", "EUR", "epn.value", "9.9"}, becomes(func(e *Event) { e.Name, e.Props = "view_item", []Prop{{"currency", "EUR"}, {"value", 9.9}} })},
		{[]string{"pr1", "idSKU1~nmShoe~brAcme~caShoes~c2Men~va42~pr10.01~qt3~cpX~ds1~lnHome~liL1~lp2~afShop~loP1~k0colour~v0red"}, becomes(func(e *Event) {
			e.Items = `[{"affiliation":"Shop","colour":"red","coupon":"X","discount":1,"index":2,"item_brand":"Acme","item_category":"Shoes","item_category2":"Men",` +
				`"item_id":"SKU1","item_list_id":"L1","item_list_name":"Home","item_name":"Shoe","item_variant":"42","location_id":"P1","price":10.01,"quantity":3}]`
		})},
		{[]string{"pr1", "nmA~piP~pnSale~cnBanner~csTop", "pr2", "nmB~prfree~x~", "pr4", "nmafter a gap"}, becomes(func(e *Event) {
			e.Items = `[{"creative_name":"Banner","creative_slot":"Top","item_name":"A","promotion_id":"P","promotion_name":"Sale"},{"item_name":"B"}]`
		})},
		{[]string{"gcs", "G101"}, becomes(func(e *Event) { e.NoAds = AdConsentDenied{true, true} })},
		{[]string{"gcd", "13r3r3q2r5l1"}, becomes(func(e *Event) { e.NoAds.UserData = true })},
		{[]string{"gcd", "13r3r3r2p5l1"}, becomes(func(e *Event) { e.NoAds.Personalization = true })},
		{[]string{"gcd", "13l3l3l3l1l1", "gcs", ""}, base}, // nothing was set: nothing is lowered, and nothing raised
		{[]string{"npa", "1"}, becomes(func(e *Event) { e.NoAds.Personalization = true })},
	}
	// What leaves no trace.
	for _, p := range strings.Fields(`uid _uip _geo _rdi uaa uab uafvl uamb uam uap uapv uaw ur _uc _c ir tt _dbg tfd ecid ec_mode em _fplc _glv gtm_up
		gdid edid _eu are pae frm pscdl tag_exp lps _tu _z navt sst.gcsub sst.tft richsstsse us_privacy gdpr gdpr_consent _gaz dh dp _ss _fv _nsi _ee gcu gcut dma_cps`) {
		tests = append(tests, struct {
			params []string
			want   Event
		}{[]string{p, "203.0.113.9"}, base})
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.params, " "), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, gtagDoor)
			name, params := "page_view", tt.params
			if params[0] == "en" {
				name, params = params[1], params[2:]
			}
			got, _ := h.collect("GET", newPage().hit(name, params...).Encode(), "", h.consented())
			if len(got) != 1 {
				t.Fatalf("%d events, want 1", len(got))
			}
			if diff := cmp.Diff(tt.want, told(got[0]), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, e := range h.disk.raw {
				if strings.Contains(string(e), "203.0.113.9") || strings.Contains(string(e), "gclid") {
					t.Errorf("kept in %q", e)
				}
			}
		})
	}
}

// TestGtagMarks: of what becomes no part of an event, a hit that is relayed
// keeps the marks that Google's reports need, and any other hit nothing.
func TestGtagMarks(t *testing.T) {
	t.Parallel()
	relaying := func(o *Options) {
		site := o.Sites["example.com"]
		site.Accept.Gtag = true
		site.Google = []GoogleService{{Service: "google-analytics", MeasurementID: "G-TEST", Relay: true}}
		o.Sites["example.com"] = site
	}
	hit := newPage().hit("page_view", "_ss", "1", "_fv", "1", "tt", "ada@example.org", "ir", "203.0.113.9", "uid", "7", "em", "x", "_uip", "203.0.113.9", "uafvl", "x")
	for _, c := range []struct {
		name   string
		option func(*Options)
		want   string
	}{
		{"relayed", relaying, "_fv=1&_p=1795435200000&_s=1&_ss=1&gtm=45je5b1v9za200&sct=3&seg=1&tid=G-TEST&ul=de-de"},
		{"converted", gtagDoor, ""},
	} {
		h := newHouse(t, c.option)
		got, _ := h.collect("GET", hit.Encode(), "", h.consented())
		if len(got) != 1 || got[0].Gtag != c.want {
			t.Errorf("%s: %d events, marks %q, want %q", c.name, len(got), got[0].Gtag, c.want)
		}
	}
}

// TestGtagTransport sends the same three hits in each way that gtag has.
func TestGtagTransport(t *testing.T) {
	t.Parallel()
	p := newPage()
	hits := []url.Values{p.hit("page_view"), p.hit("scroll", "dl", "https://example.com/cart#down"), p.hit("signup", "ep.plan", "pro")}
	query, body := batch(hits...)
	ways := map[string]func(h *house, o requestOption){
		"by GET": func(h *house, o requestOption) {
			for _, q := range hits {
				h.collect("GET", q.Encode(), "", o)
			}
		},
		"by POST without a body": func(h *house, o requestOption) {
			for _, q := range hits {
				h.collect("POST", q.Encode(), "", o)
			}
		},
		"batched":             func(h *house, o requestOption) { h.collect("POST", query, body, o) },
		"batched, then again": func(h *house, o requestOption) { h.collect("POST", query, body, o); h.collect("POST", query, body, o) },
	}
	for name, send := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, gtagDoor)
			send(h, h.consentedOnce())
			var names []string
			for _, e := range h.disk.events {
				names = append(names, e.Name)
			}
			if diff := cmp.Diff([]string{"pageview", "scroll", "signup"}, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// consentedOnce is consented with one token for all requests.
func (h *house) consentedOnce() requestOption {
	token := h.sign(h.grant())
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: consent.ProofCookie, Value: token}) }
}

// TestGtagGate takes nothing without a live grant of the service whose property
// is named, and the browser's own no counts too.
func TestGtagGate(t *testing.T) {
	t.Parallel()
	set := func(key, value string) func(url.Values) { return func(q url.Values) { q.Set(key, value) } }
	without := func(h *house, change func(*consent.Token)) requestOption {
		return func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: consent.ProofCookie, Value: h.sign(h.grant(change))})
		}
	}
	tests := []struct {
		name   string
		change func(url.Values)
		token  func(h *house) requestOption
		want   string
	}{
		{"no decision", nil, func(*house) requestOption { return func(*http.Request) {} }, "no_consent"},
		{"no decision, though gtag says granted", set("gcd", "13v3v3v2v5l1"), func(*house) requestOption { return func(*http.Request) {} }, "no_consent"},
		{"google switched off", nil, func(h *house) requestOption { return without(h, func(k *consent.Token) { k.Denied = 1 << 1 }) }, "no_consent"},
		{"analytics_storage denied in gcs", set("gcs", "G110"), func(h *house) requestOption { return h.consented() }, "no_consent"},
		{"analytics_storage denied in gcd", set("gcd", "13r3q3r2r5l1"), func(h *house) requestOption { return h.consented() }, "no_consent"},
		{"a page of another site", set("dl", "https://elsewhere.test/"), func(h *house) requestOption { return h.consented() }, "wrong_site"},
		{"another version of the protocol", set("v", "1"), func(h *house) requestOption { return h.consented() }, "invalid"},
		{"granted", nil, func(h *house) requestOption { return h.consented() }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, gtagDoor)
			p := newPage()
			if tt.change != nil {
				tt.change(p.shared)
			}
			got, header := h.collect("POST", p.hit("page_view").Encode(), "", with("Origin", "https://example.com"), tt.token(h))
			if reason := header.Get(DroppedHeader); reason != tt.want || (len(got) == 0) != (tt.want != "") {
				t.Errorf("%d kept, dropped %q; want %q", len(got), reason, tt.want)
			}
			if header.Get("Access-Control-Allow-Origin") != "https://example.com" || header.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("CORS: %v", header)
			}
		})
	}
}

// TestGtagRefusals are answered as errors: whoever set gtag up has to know.
func TestGtagRefusals(t *testing.T) {
	t.Parallel()
	query := newPage().hit("page_view").Encode()
	foreign := newPage(func(q url.Values) { q.Set("tid", "G-FOREIGN") }).hit("page_view").Encode()
	for _, tt := range []struct {
		name    string
		open    bool
		query   string
		body    string
		options []requestOption
		want    string
	}{
		{"door shut", false, query, "", nil, ErrDoorShut.Error()},
		{"another property", true, foreign, "", nil, "tid"},
		{"another origin", true, query, "", []requestOption{with("Origin", "https://evil.test"), with("Sec-Fetch-Site", "cross-site")}, consent.ErrForbiddenOrigin.Error()},
		{"compressed", true, query, "x", []requestOption{with("Content-Encoding", "gzip")}, consent.ErrMediaType.Error()},
		{"too large", true, query, strings.Repeat("x", maxBody+1), nil, consent.ErrTooLarge.Error()},
		{"too many", true, query, strings.Repeat("en=x\n", maxEvents+1), nil, consent.ErrTooLarge.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, accepting(Accept{Gtag: tt.open}))
			_, err := h.ask(h.handler.CollectGtag, "POST", "/_s/g/collect?"+tt.query, tt.body, tt.options...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
			if len(h.disk.events) != 0 {
				t.Error("something was kept")
			}
		})
	}
}

// TestGtagLittleWork: a request has so many bytes, and no more work than they
// are worth.
func TestGtagLittleWork(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 4 * maxHitParams {
		many = append(many, fmt.Sprintf("ep.p%d=1", i))
	}
	query, err := url.ParseQuery(newPage().hit("page_view").Encode() + "&" + strings.Join(many, "&"))
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := readGtag(query, strings.Repeat("en=x\n", maxEvents-1)+"en=x")
	if err != nil || len(events) != maxEvents || slices.ContainsFunc(events, func(w wireEvent) bool { return !w.wrong }) {
		t.Errorf("%d events (%v), want %d that were not read", len(events), err, maxEvents)
	}
	if events, _, err := readGtag(url.Values{"v": {"2"}}, "en=x\r\n\r\n\nen=y\n"); err != nil || len(events) != 2 {
		t.Errorf("two hits with empty lines between them: %d (%v)", len(events), err)
	}
	if events, _, err := readGtag(query, "en=x"+strings.Repeat("\n", 60_000)+"en=y"); !errors.Is(err, consent.ErrTooLarge) || len(events) > 0 {
		t.Errorf("60,000 empty lines: %d events, %v", len(events), err)
	}
}

func FuzzReadGtag(f *testing.F) {
	query, body := batch(newPage().hit("page_view"), newPage().hit("purchase", "pr1", "idA~k0x~v0y", "epn.value", "1", "cu", "EUR"))
	f.Add(query, body)
	f.Add("v=2&en=%zz", "\n\n=&;")
	f.Fuzz(func(t *testing.T, query, body string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		events, _, err := readGtag(q, body)
		if err != nil {
			return
		}
		if len(events) == 0 {
			t.Error("no event at all, not even an invalid one")
		}
		for i := range events {
			if s, problem := events[i].shape(&tidied{}); problem == "" && s.event.Name == "" {
				t.Error("an event without a name is taken")
			}
		}
	})
}
