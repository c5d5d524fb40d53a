package static_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"sluice/static"
)

// everything is a site that measures all there is.
var everything = static.Measure{
	Routes: true, Engagement: true, Scroll: true, Outbound: true, Downloads: []string{"pdf"}, Forms: true, NotFound: true,
	Search: []string{"q", "s"}, Tagged: true, Vitals: true, Errors: true,
}

// measured grants statistics on a page and returns once the extras listen.
func (d *door) measured(path string) *tab {
	d.t.Helper()
	b := d.open(path)
	b.Asked()
	b.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	b.Gone()
	listening(b)
	return b
}

// listening waits for the extras.
func listening(b *tab) {
	b.Until(`sluice._.tracker?.shown`)
}

// What a returning visitor downloads counts navigations within the page by
// itself; the extras may be blocked, or still under way. A browser without the
// Navigation API counts the same.
func TestRoutesByTheScriptAlone(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{
		"navigation API": "0", "history API": `Object.defineProperty(window, 'navigation', {value: undefined})`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.withhold = "/_s/" + static.ExtrasName()
			b := d.open("/plain.html")
			b.BeforeEachPage(before)
			b.Asked()
			b.Click("Accept all", "section")
			d.wait("/_s/e", 1)
			b.Gone()
			d.forget()
			b.Visit(d.URL + "/spa.html") // by now returning
			d.event("pageview", 1)
			for _, step := range []string{
				`history.pushState(null, '', '/spa/a?b=1')`, `history.replaceState(null, '', '/spa/b')`,
				`location.hash = 'part'`, `history.pushState(null, '', '/spa/b')`, `history.go(-3)`,
			} {
				b.Run(step)
				b.Settle()
			}
			d.event("pageview", 4)
			want := []string{"pageview /spa.html", "pageview /spa/a?b=1", "pageview /spa/b", "pageview /spa.html"}
			if got := d.events(); !slices.Equal(got, want) {
				t.Errorf("events: %q, want %q", got, want)
			}
			b.Visit(d.URL + "/unmeasured.html")
			d.event("pageview", 5)
			b.Run(`history.pushState(null, '', '?moved')`)
			b.Settle()
			b.Run(`sluice.track('own')`)
			d.event("own", 1)
			if got := d.names(); len(got) != 6 {
				t.Errorf("a page that takes no part was counted again: %q", got)
			}
		})
	}
}

func wantProps(t *testing.T, event map[string]any, want map[string]any) {
	t.Helper()
	got, _ := event["props"].(map[string]any)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties of %v (-want +got):\n%s", event["name"], diff)
	}
}

func TestMeasureClicks(t *testing.T) {
	t.Parallel()
	d := newDoor(t, everything)
	b := d.measured("/measure.html")
	for _, id := range []string{"within", "subdomain", "mail"} {
		b.Run(fmt.Sprintf(`document.getElementById(%q).click()`, id))
	}
	b.Run(`document.querySelector('#out b').click()`)
	wantProps(t, d.event("outbound_link", 1), map[string]any{"link_url": "https://other.example/a/b", "link_domain": "other.example"})
	b.Run(`document.querySelector('#out').dispatchEvent(new MouseEvent('auxclick', {bubbles: true, composed: true, button: 1}))`)
	d.event("outbound_link", 2)
	b.Run(`document.querySelector('#file').click()`)
	wantProps(t, d.event("file_download", 1), map[string]any{
		"link_url": d.URL + "/files/Price%20List.PDF", "file_name": "/files/Price%20List.PDF", "file_extension": "pdf",
	})
	b.Run(`send.click()`)
	wantProps(t, d.event("form_submit", 1), map[string]any{
		"form_id": "order", "form_name": "checkout", "form_destination": strings.TrimPrefix(d.URL, "http://") + "/buy",
	})
	b.Run(`document.querySelector('#signup i').click()`)
	wantProps(t, d.event("Signup", 1), map[string]any{"plan": "pro"})
	b.Run(`buy.click()`)
	bought := d.event("Buy now", 1)
	wantProps(t, bought, map[string]any{"sku": "A 1"})
	if diff := cmp.Diff(map[string]any{"amount": "9.90", "currency": "EUR"}, bought["revenue"]); diff != "" {
		t.Errorf("revenue of a tagged element (-want +got):\n%s", diff)
	}
	b.Run(`joining.click()`)
	wantProps(t, d.event("Join", 1), map[string]any{"list": "news"})

	want := []string{
		"pageview", "outbound_link", "outbound_link", "file_download", "form_submit", "Signup", "Buy now", "form_submit", "Join",
	}
	if diff := cmp.Diff(want, d.names()); diff != "" {
		t.Errorf("events (-want +got): no others, each once, in order\n%s", diff)
	}
	if body := d.sent(); strings.Contains(body, "secret") {
		t.Errorf("a query or a field's value was sent: %s", body)
	}
}

func TestMeasurePlaces(t *testing.T) {
	t.Parallel()
	d := newDoor(t, everything)
	b := d.measured("/spa.html?q=%20Red+Shoes&page=2")
	wantProps(t, d.event("search", 1), map[string]any{"search_term": "red shoes"})
	b.Run(`go('/found?s=Hats', 'Hats')`)
	hats := d.event("search", 2)
	wantProps(t, hats, map[string]any{"search_term": "hats"})
	if hats["url"] != d.URL+"/found?s=Hats" {
		t.Errorf("the search within the page is at %v", hats["url"])
	}
	b.Run(`go('/found', 'Nothing asked')`)
	d.event("pageview", 3)
	b.Visit(d.URL + "/missing?q=")
	if got := d.event("404", 1)["url"]; got != d.URL+"/missing?q=" {
		t.Errorf("the page that is missing is %v", got)
	}
	if got := slices.DeleteFunc(d.names(), func(name string) bool { return name != "search" && name != "404" }); len(got) != 3 {
		t.Errorf("searches and missing pages: %q, want two and one", got)
	}
}

func TestMeasureScroll(t *testing.T) {
	t.Parallel()
	d := newDoor(t, everything)
	b := d.measured("/measure.html")
	b.Run(`new Promise((done) => { addEventListener('scroll', done); scrollTo(0, document.documentElement.scrollHeight / 2 - innerHeight); })`)
	b.Run(`new Promise((done) => { addEventListener('scroll', done); scrollTo(0, 0); })`)
	b.Run(`history.pushState(null, '', '/short')`)
	wantProps(t, d.event("scroll", 1), map[string]any{"percent_scrolled": 50.0})
	d.event("pageview", 2)
	b.Run(`document.body.replaceChildren()`)
	b.Visit(d.URL + "/frame.html")
	second := d.event("scroll", 2)
	if second["url"] != d.URL+"/short" {
		t.Errorf("the second page's depth is of %v", second["url"])
	}
}

func TestMeasureErrors(t *testing.T) {
	t.Parallel()
	d := newDoor(t, everything)
	b := d.measured("/measure.html")
	b.Run(`new Promise((done) => (setTimeout(() => { throw new Error('secret'); }), Promise.reject('secret'), setTimeout(done, 20)))`)
	b.Visit(d.URL + "/frame.html")
	wantProps(t, d.event("error", 1), map[string]any{"count": 2.0})
	if body := d.sent(); strings.Contains(body, "secret") {
		t.Errorf("the text of an error was sent: %s", body)
	}
}

func TestMeasureVitals(t *testing.T) {
	t.Parallel()
	d := newDoor(t, everything)
	b := d.measured("/shift.html") // it was loaded before the grant: nothing of it is measured
	b.Visit(d.URL + "/shift.html?second")
	d.event("pageview", 2)
	listening(b)
	if slices.Contains(d.names(), "web_vital") {
		t.Error("vitals of a page that was loaded before the grant were sent")
	}
	b.Run(`ready`)
	press(b, "slow")
	b.Run(`new Promise((done) => {
		const told = (list) => list.getEntries().some(({name, interactionId}) => name === 'click' && interactionId) && done();
		new PerformanceObserver(told).observe({type: 'event', buffered: true, durationThreshold: 16});
	})`)
	b.Visit(d.URL + "/frame.html")
	event := d.event("web_vital", 1)
	if event["url"] != d.URL+"/shift.html?second" {
		t.Errorf("vitals of %v", event["url"])
	}
	props, _ := event["props"].(map[string]any)
	for name, most := range map[string]float64{"TTFB": 60_000, "LCP": 60_000, "INP": 60_000, "CLS": 2} {
		if value, ok := props[name].(float64); !ok || value < 0 || value > most || value == 0 && name != "TTFB" {
			t.Errorf("%s is %v", name, props[name])
		}
	}
	if inp, _ := props["INP"].(float64); inp < 100 {
		t.Errorf("INP is %v ms of a click that takes 120 ms", props["INP"])
	}
}

// press clicks in the middle of an element as a visitor does: only such a click
// is an interaction.
func press(b *tab, id string) {
	at := eval[[]float64](b, fmt.Sprintf(`(({x, y, width, height}) => [x + width / 2, y + height / 2])(document.getElementById(%q).getBoundingClientRect())`, id))
	b.Do(chromedp.MouseClickXY(at[0], at[1]))
}

func TestMeasureHashRoutes(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("hash routes %v", on), func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, static.Measure{Routes: true, HashRoutes: on})
			b := d.measured("/hash.html#/start")
			b.Run(`location.hash = '#/cart'`)
			b.Settle()
			b.Run(`location.hash = '#part'`)
			b.Settle()
			b.Run(`location.hash = '#!/old'`)
			b.Settle()
			b.Run(`history.pushState(null, '', '/last')`)
			want := []string{"pageview /hash.html#/start", "pageview /last"}
			if on {
				want = []string{"pageview /hash.html#/start", "pageview /hash.html#/cart", "pageview /hash.html#part", "pageview /hash.html#!/old", "pageview /last"}
			}
			d.event("pageview", len(want))
			if got := d.events(); !slices.Equal(got, want) {
				t.Errorf("events: %q, want %q", got, want)
			}
		})
	}
}

func TestMeasureOff(t *testing.T) {
	t.Parallel()
	for name, measure := range map[string]static.Measure{"by the tag": everything, "by the site": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, measure)
			page := "/unmeasured.html"
			if name == "by the site" {
				page = "/measure.html"
			}
			b := d.open(page)
			b.Asked()
			b.Click("Accept all", "section")
			d.wait("/_s/"+static.ExtrasName(), 1)
			b.Until(`sluice._.chunk`)
			b.Run(`document.querySelector('#out').click()`)
			b.Run(`history.pushState(null, '', '?moved')`)
			b.Settle()
			b.Run(`sluice.track('own')`)
			d.event("own", 1)
			b.Visit(d.URL + "/frame.html")
			if got, want := d.names(), []string{"pageview", "own"}; !slices.Equal(got, want) {
				t.Errorf("events: %q, want %q", got, want)
			}
		})
	}
}

func TestMeasureWithdrawn(t *testing.T) {
	t.Parallel()
	d := newDoor(t, everything)
	b := d.measured("/measure.html")
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
	b.Gone()
	d.forget()
	b.Run(`document.querySelector('#out').click()`)
	b.Run(`(sluice.track('late'), setTimeout(() => { throw 1; }), history.pushState(null, '', '/late'))`)
	b.Settle()
	b.Visit(d.URL + "/frame.html")
	if got, want := d.paths(), []string{"GET /frame.html"}; !slices.Equal(got, want) {
		t.Errorf("requests after a withdrawal: %q, want %q", got, want)
	}
	if got := eval[string](b, `document.cookie`); strings.Contains(got, "sl_s") {
		t.Errorf("cookies after a withdrawal: %q", got)
	}
}

// TestMeasureOtherChoice: what was measured under a grant is kept where the choice
// changes and the grant stays.
func TestMeasureOtherChoice(t *testing.T) {
	t.Parallel()
	d := newDoor(t, everything)
	b := d.measured("/measure.html")
	b.Run(`new Promise((done) => (setTimeout(() => { throw new Error('secret'); }), setTimeout(done, 20)))`)
	b.Run(`(document.cookie = 'sl_choice=1:2025-07:analytics:statistics:1763934344;path=/', document.dispatchEvent(new Event('visibilitychange', {bubbles: true})))`)
	b.Until(`sluice.consent.services.length == 1`)
	b.Visit(d.URL + "/frame.html")
	wantProps(t, d.event("error", 1), map[string]any{"count": 1.0})
}

// What happens in one task travels together, in order.
func TestSendTogether(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.measured("/plain.html")
	b.Run(`(sluice.track('a'), sluice.track('b', {n: 1, yes: true}), sluice.track('Purchase', {}, {revenue: {amount: '9.90', currency: 'EUR'}, items: [{item_id: 'A1', price: 9.9}]}))`)
	events := d.wait("/_s/e", 2).Body["events"].([]any)
	if got, want := d.names(), []string{"pageview", "a", "b", "Purchase"}; !slices.Equal(got, want) || len(events) != 3 {
		t.Fatalf("events %q, want %q, the last three in one request", got, want)
	}
	purchase := events[2].(map[string]any)
	want := map[string]any{"revenue": map[string]any{"amount": "9.90", "currency": "EUR"}, "items": []any{map[string]any{"item_id": "A1", "price": 9.9}}}
	if diff := cmp.Diff(want, map[string]any{"revenue": purchase["revenue"], "items": purchase["items"]}); diff != "" {
		t.Errorf("purchase (-want +got):\n%s", diff)
	}
}

// An event that the server does not take is sent once more, before those that
// came after it, under the same id; then it is given up.
func TestSendAgain(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.set(func(d *door) { d.fail = func(n int) bool { return n == 2 || n == 3 } })
	b := d.measured("/plain.html")
	b.Run(`sluice.track('a')`)
	first := d.wait("/_s/e", 2).Body["events"].([]any)
	b.Run(`sluice.track('b')`)
	second := d.wait("/_s/e", 3).Body["events"].([]any)
	b.Run(`sluice.track('c')`)
	d.event("c", 1)
	if got, want := d.names(), []string{"pageview", "a", "a", "b", "b", "c"}; !slices.Equal(got, want) {
		t.Fatalf("events as they arrived: %q, want %q", got, want)
	}
	if before, after := first[0].(map[string]any)["id"], second[0].(map[string]any)["id"]; before != after {
		t.Errorf("the event was sent as %v and again as %v", before, after)
	}
}

// What the script could not deliver before the extras were there is theirs, and
// what it hears of only then.
func TestSendAgainWhatTheScriptLost(t *testing.T) {
	t.Parallel()
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		d := newDoor(t)
		d.set(func(d *door) { d.fail = func(n int) bool { return n == 1 } })
		d.measured("/plain.html")
		d.event("pageview", 2)
	})
	t.Run("after", func(t *testing.T) {
		t.Parallel()
		d := newDoor(t)
		loaded := make(chan struct{})
		d.set(func(d *door) {
			d.fail = func(n int) bool {
				if n == 1 {
					<-loaded
				}
				return n == 1
			}
		})
		d.measured("/plain.html")
		close(loaded)
		d.event("pageview", 2)
	})
}

func TestSendWhatIsLeftBehind(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	release := make(chan struct{})
	d.set(func(d *door) {
		d.fail = func(n int) bool {
			if n == 2 {
				<-release
			}
			return false
		}
	})
	b := d.measured("/plain.html")
	b.Run(`sluice.track('first')`)
	d.event("first", 1) // and its answer is still out
	long := strings.Repeat("x", 1900)
	b.Run(fmt.Sprintf(`(() => { for (let i = 0; i < 25; i++) sluice.track('n' + i, {text: %q}); location.href = '/frame.html'; })()`, long))
	b.Until(`location.pathname === '/frame.html'`)
	close(release)
	for request := 3; ; request++ {
		hit := d.wait("/_s/e", request)
		if body, err := json.Marshal(hit.Body); err != nil || len(body) > 64<<10 {
			t.Errorf("request %d has %d bytes, want at most 64 KiB: %v", request, len(body), err)
		}
		// How long the page was in view may be told behind the last of them.
		if slices.ContainsFunc(hit.Body["events"].([]any), func(e any) bool { return e.(map[string]any)["name"] == "n24" }) {
			break
		}
	}
}
