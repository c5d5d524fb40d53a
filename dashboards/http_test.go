package dashboards

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/labstack/echo/v4"
	"golang.org/x/net/html"

	"sluice/collector/store/engine"
	"sluice/collector/store/storetest"
	"sluice/consent"
	"sluice/dashboards/query"
	"sluice/static/browsertest"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	os.Exit(browsertest.Main(m))
}

// now is a Monday, 14:20 UTC.
var now = time.Date(2026, 11, 23, 14, 20, 0, 0, time.UTC)

func policy(t *testing.T, domain string) *consent.Policy {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	site := &consent.Site{Domain: domain, TimeZone: zone, ConsentDays: 180, Notice: consent.NoticeInfo{Version: "1"}, TestHosts: []string{"localhost"},
		Goals:    []consent.Goal{{Name: hostile[1], Path: "/*"}, {Name: "Sale", Event: "Bought"}},
		Funnels:  []consent.Funnel{{Name: "Way", Steps: []consent.Goal{{Name: hostile[0], Path: hostile[0]}, {Name: "{{.}}", Event: hostile[0]}}}},
		Variants: []consent.Variant{{Name: "short", Share: 50}},
	}
	notice := &consent.Notice{Site: domain, Version: "1", Fingerprint: 1, Purposes: []consent.NoticePurpose{{Name: consent.Analytics}}}
	return consent.NewPolicy(site, notice, nil)
}

// open returns pages over db for a user who sees shop.example, but not
// secret.example.
func open(t *testing.T, db query.Querier, log *slog.Logger, with ...func(*Options)) *echo.Echo {
	t.Helper()
	sees := func(site string) bool { return site == "shop.example" }
	o := Options{
		Sites: consent.NewSites(policy(t, "shop.example"), policy(t, "secret.example")),
		DB:    db,
		User:  func(echo.Context) (User, bool) { return User{Email: "ada@example.com", Sees: sees}, true },
		Key: func(c echo.Context) (func(string) error, error) {
			if c.Request().Header.Get("Authorization") == "" {
				return nil, errNoKey
			}
			return func(site string) error {
				if !sees(site) {
					return errForbidden
				}
				return nil
			}, nil
		},
		Asset: func(name string) string { return "/assets/" + name },
		Waiting: func(string) Waiting {
			return Waiting{"google-analytics": {Events: 7, Oldest: now.Add(-90 * time.Minute), Unread: 5}}
		},
		PageTime: 5 * time.Minute, // of a machine that does much else
		Logger:   log,
		Now:      func() time.Time { return now },
	}
	for _, change := range with {
		change(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	e.Static("/assets", "../static/dist")
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if err := c.String(http.StatusTeapot, err.Error()); err != nil {
			t.Error(err)
		}
	}
	e.GET("/dashboards", h.GetSites)
	e.GET("/dashboards/login", func(c echo.Context) error {
		return h.RenderLogin(c, http.StatusUnauthorized, Login{Email: `"><b>`, Next: "/dashboards/shop.example", Problem: "No."})
	})
	e.GET("/dashboards/:site", h.GetSite)
	e.GET("/dashboards/:site/google-analytics", h.GetGoogleAnalytics)
	e.POST("/api/v2/query", h.PostQuery)
	return e
}

// measure adds what the script would measure of the last visit, with a hostile
// string wherever a visitor's browser chooses one.
func measure(t *testing.T, conn driver.Conn, keep time.Time) error {
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO events (site, ts, seq, visitor, session, name, path, props, keep_until)")
	if err != nil {
		return err
	}
	id := fmt.Sprint(len(hostile) - 1)
	for i, s := range hostile {
		for j, e := range []struct{ name, key, value string }{
			{consent.EventSearch, "search_term", s}, {consent.EventOutboundLink, "link_url", s}, {consent.EventFileDownload, "link_url", s},
			{consent.EventFormSubmit, "form_id", s}, {consent.EventNotFound, "", ""},
			{consent.EventScroll, "percent_scrolled", "40"}, {consent.EventWebVital, "LCP", "4100"}, {consent.EventWebVital, "CLS", s},
		} {
			at := now.Add(-9 * time.Minute)
			if err := batch.Append("shop.example", at, uint64(100+10*i+j), id, id, e.name, s, map[string]string{e.key: e.value}, keep); err != nil {
				return err
			}
		}
	}
	return batch.Send()
}

var (
	errForbidden = errors.New("key does not cover the site")
	errNoKey     = errors.New("no key")
)

func get(t *testing.T, e *echo.Echo, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

// hostile are strings as a visitor's browser may send them.
var hostile = []string{
	"/</script><script>alert(1)</script>",
	`"><img src=x onerror=alert(1)>`,
	"tab\tnew\nline\x00zero\x1bescape",
	"\u202eright to left\u2066",
	"javascript:alert(1)",
	"{{.}}${x}`y`",
	strings.Repeat("long", 400),
}

// openHostile returns an engine with a visit for each hostile string, in every
// place where a page shows strings.
func openHostile(t *testing.T) query.Querier {
	t.Helper()
	conn := storetest.Open(t).Conn()
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO events (site, ts, seq, visitor, session, name, path, source, channel, country, browser, os, device, keep_until)")
	if err != nil {
		t.Fatal(err)
	}
	keep := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, s := range hostile {
		for j, name := range []string{"pageview", s} {
			id := fmt.Sprint(i)
			at := now.Add(time.Duration(j-10) * time.Minute)
			if err := batch.Append("shop.example", at, uint64(2*i+j), id, id, name, s, s, s, s, s, s, s, keep); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	if err := measure(t, conn, keep); err != nil {
		t.Fatal(err)
	}
	counters := `INSERT INTO counters (site, hour, kind, key, n, keep_until) VALUES
		('shop.example', '2026-11-23 10:00:00', 'view', '', 200, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'decision', 'accept_all', 60, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'decision', 'reject_all', 40, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'decision', 'custom', 3, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'grant', 'analytics', 60, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'outside', 'google', 12, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'forward_changed', 'google-analytics rule 12 VALUE_OUT_OF_BOUNDS', 40, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'forward_changed', 'google-analytics cut', 3, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'forward_changed', 'another cut', 2, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'refusal', 'bad_token', 9, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'refusal', 'bot/crawler', 30, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'refusal', 'excluded/country', 11, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'refusal', '<b>', 50, '2100-01-01')`
	forwards := `INSERT INTO forwards (site, event_id, destination, state, reason, ts, keep_until) VALUES
		('shop.example', 'a', 'google-analytics', 'acknowledged', '', '2026-11-23 10:00:00.000', '2100-01-01'),
		('shop.example', 'b', 'google-analytics', 'cancelled', 'withdrawn', '2026-11-23 10:00:00.000', '2100-01-01'),
		('shop.example', 'c', 'google-analytics', 'dead', '<script>', '2026-11-23 10:00:00.000', '2100-01-01')`
	for _, insert := range []string{counters, forwards} {
		if err := conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// TestPages reads every page as a browser would.
func TestPages(t *testing.T) {
	t.Parallel()
	e := open(t, openHostile(t), nil)

	t.Run("every page is strict and harmless", func(t *testing.T) {
		t.Parallel()
		targets := []string{"/dashboards", "/dashboards/login", "/dashboards/shop.example", "/dashboards/shop.example?period=day&m=bounce_rate", "/dashboards/shop.example/google-analytics", "/dashboards/shop.example?period=custom&from=x&to=y&f=bad&f=is,no,x"}
		for _, p := range panels {
			targets = append(targets, "/dashboards/shop.example?panel="+p.key)
		}
		for _, s := range hostile {
			targets = append(targets, "/dashboards/shop.example?"+url.Values{"f": {"is,event:page," + s, "contains,visit:source," + s}}.Encode())
		}
		for _, target := range targets {
			w := get(t, e, target)
			if w.Code != http.StatusOK && target != "/dashboards/login" {
				t.Fatalf("%s: status %d: %s", target, w.Code, w.Body)
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self';") {
				t.Errorf("%s: policy %q", target, csp)
			}
			inspect(t, target, w.Body.Bytes())
		}
	})

	t.Run("figures", func(t *testing.T) {
		t.Parallel()
		text := words(t, get(t, e, "/dashboards/shop.example?period=day").Body.Bytes())
		for _, want := range []string{
			"Visitors 7 new", "Visits 7 new", "Pageviews 7 new", "Views per visit 1.00", "Bounce rate 0%", "Visit duration 1m 0s",
			"Monday, 23 November 2026", "so far", "Europe/Berlin",
			"Tag outside the gate: a Google tag loaded before consent, on the pages of 12 decisions.",
			"Banner shown 200", "Decisions 103 52% of banners", // 103 ÷ 200
			"Accepted all 60 58%", "Rejected all 40 39%", "Fewer than 10 each <10 –", "Analytics 60 58%",
			"Bot: crawler 30 30%", "Excluded: country 11 11%", "Fewer than 10 each <10 –",
			"Events accepted, Passed the gate Every event that was let in", "larger than the events of the Stats API", "Passed the gate 0", "Sent 1", "Acknowledged 1", "Waiting 7 and up to 5 not looked at yet", "Oldest waits 1h 30m", "Rule 12 VALUE OUT OF BOUNDS 40", "Texts longer than the recipient takes, cut <10", "Cancelled 1", "Dead 1", "Cancelled: Consent withdrawn 1",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("page does not say %q", want)
			}
		}
		if strings.Contains(strings.ToLower(text), "delivered") {
			t.Error("page speaks of delivery, which nobody knows of")
		}
		if t.Failed() {
			t.Log(text)
		}
	})

	t.Run("a day that nobody came is no good news", func(t *testing.T) {
		t.Parallel()
		text := words(t, get(t, e, "/dashboards/shop.example?period=custom&from=2026-11-24&to=2026-11-24").Body.Bytes())
		if strings.Contains(text, "outside the gate") {
			t.Error("page warns of a tag that nobody saw that day")
		}
		for _, want := range []string{
			"Visitors 0 −100%", "Bounce rate 0% –, there are no visits", "Visit duration 0s –, there are no visits",
			"Decisions No decision was made", "Refused events No event was refused",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("page does not say %q", want)
			}
		}
		if t.Failed() {
			t.Log(text)
		}
	})

	t.Run("a filter is in effect and can be removed", func(t *testing.T) {
		t.Parallel()
		target := "/dashboards/shop.example?" + url.Values{"period": {"day"}, "f": {"is,visit:source," + hostile[1]}}.Encode()
		w := get(t, e, target)
		text := words(t, w.Body.Bytes())
		if want := "Source is " + hostile[1] + " ×, remove"; !strings.Contains(text, want) {
			t.Errorf("page does not show the filter %q", want)
		}
		if !strings.Contains(text, "Visitors 1 new") {
			t.Error("the filter is not in effect: want one visitor")
		}
		if !strings.Contains(w.Body.String(), `href="/dashboards/shop.example?period=day" title="Remove this filter"`) {
			t.Error("the filter cannot be removed")
		}
	})

	t.Run("a pattern that ClickHouse does not compile is not in effect", func(t *testing.T) {
		t.Parallel()
		f := []string{`matches,event:page,\pL{1000}`, "is,visit:source," + hostile[1]}
		text := words(t, get(t, e, "/dashboards/shop.example?"+url.Values{"period": {"day"}, "f": f}.Encode()).Body.Bytes())
		for _, want := range []string{"A regular expression of this address is more than ClickHouse compiles; none is in effect.", "Source is " + hostile[1], "Visitors 1 new"} {
			if !strings.Contains(text, want) {
				t.Errorf("page does not say %q", want)
			}
		}
		if strings.Contains(text, "matches") || t.Failed() {
			t.Errorf("page shows a filter that is not in effect, or no figures:\n%s", text)
		}
	})

	t.Run("a site of others does not exist", func(t *testing.T) {
		t.Parallel()
		for _, site := range []string{"secret.example", "no.example"} {
			if got := get(t, e, "/dashboards/"+site).Body.String(); !strings.HasSuffix(got, consent.ErrUnknownSite.Error()) {
				t.Errorf("%s: got %q, want %q", site, got, consent.ErrUnknownSite)
			}
		}
		if text := words(t, get(t, e, "/dashboards").Body.Bytes()); !strings.Contains(text, "shop.example 7 visitors") || strings.Contains(text, "secret") {
			t.Errorf("list of sites: %s", text)
		}
	})

	t.Run("query", func(t *testing.T) {
		t.Parallel()
		tests := []struct{ body, want string }{
			{`{"site_id":"shop.example","metrics":["visitors"],"date_range":"day"}`, `{"results":[{"metrics":[7],"dimensions":[]}],"meta":{},"query":{`},
			{`{"site_id":"secret.example","metrics":["visitors"],"date_range":"day"}`, errForbidden.Error()},
			{`{"metrics":["visitors"],"date_range":"day"}`, "wrong shape: site_id"},
			{`{"site_id":"shop.example","metrics":["luck"],"date_range":"day"}`, "wrong shape: metrics[0]"},
			{`{"site_id":7}`, "wrong shape: site_id"},
			{`{"site_id":"shop.example","metrics":["visitors"],"date_range":"day","filter":[["is","event:page",["/"]]]}`, "wrong shape: filter: is no key here: use one of attribution, date_range, "},
			{`{"site_id":"shop.example","metrics":["visitors"],"date_range":"day","filters":[["matches","event:page",["\\pL{1000}"]]]}`, "query statistics of shop.example: wrong shape: filters: a regular expression"},
			{`[`, consent.ErrNotJSON.Error()},
			{`{"site_id":"SHOP.example","metrics":["visitors"],"date_range":"day"}`, `{"results":[{"metrics":[7],`},
			{`{"site_id":"no.example","metrics":["visitors"],"date_range":"day"}`, consent.ErrUnknownSite.Error()},
		}
		ask := func(body, key string) string {
			r := httptest.NewRequest(http.MethodPost, "/api/v2/query", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", key)
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			return w.Body.String()
		}
		for _, tt := range tests {
			if got := ask(tt.body, ""); got != errNoKey.Error() {
				t.Errorf("%s without a key: got %s", tt.body, got)
			}
			w := ask(tt.body, "Bearer x")
			if !strings.HasPrefix(w, tt.want) {
				t.Errorf("%s:\ngot  %s\nwant %s…", tt.body, w, tt.want)
			}
		}
	})
}

// inspect fails where a page holds a script, style, event handler or foreign
// address, or a character that does not belong in text.
func inspect(t *testing.T, target string, page []byte) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.TextNode && strings.ContainsAny(n.Data, "\x00\x1b\u202e\u2066") {
			t.Errorf("%s: control characters in text %q", target, n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "style" || n.Data == "img" || n.Data == "b" || n.Data == "script" && n.FirstChild != nil {
			t.Errorf("%s: element <%s> is not of the page", target, n.Data)
		}
		for _, a := range n.Attr {
			local := strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "//") || strings.HasPrefix(a.Val, "#") || n.Data == "link" && strings.HasPrefix(a.Val, "data:image/svg+xml,")
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style":
				t.Errorf("%s: <%s %s=%q>", target, n.Data, a.Key, a.Val)
			case (a.Key == "href" || a.Key == "src") && !local:
				t.Errorf("%s: <%s %s=%q> leads away", target, n.Data, a.Key, a.Val)
			}
		}
	}
}

// words is a page's text with single spaces.
func words(t *testing.T, page []byte) string {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	return strings.ReplaceAll(text, " ,", ",")
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
