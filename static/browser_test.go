package static_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

func TestBrowserBeforeADecision(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/plain.html")
	b.Asked()
	b.Run(`(history.pushState(null, '', '?spa'), sluice.track('early'))`)
	b.Settle()

	if got, want := d.paths(), []string{"GET /plain.html", "GET /_s/s.js", "GET /_s/b"}; !slices.Equal(got, want) {
		t.Errorf("requests before a decision: %q, want %q", got, want)
	}
	stored := eval[[]any](b, `[document.cookie, localStorage.length, sessionStorage.length, sluice.consent]`)
	if diff := cmp.Diff([]any{"", 0.0, 0.0, nil}, stored); diff != "" {
		t.Errorf("cookies, storage and consent before a decision (-want +got):\n%s", diff)
	}
	if active := eval[string](b, `document.activeElement.localName`); active != "body" {
		t.Errorf("the banner took the focus: it is on %s", active)
	}
	if first := eval[string](b, `document.body.firstElementChild.localName`); first != "sluice-choices" {
		t.Errorf("the first element is %s, want the banner", first)
	}
}

func TestBrowserReject(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Reject all", "section")
	decision := d.wait("/_s/d", 1)
	b.Gone()
	b.Run(`history.pushState(null, '', '?spa')`)
	b.Settle()
	b.Visit(d.URL + "/plain.html?again")
	b.Until(`window.sluice?.consent`)
	b.Settle()

	want := map[string]any{
		"site": "127.0.0.1", "method": "reject_all", "notice": "2025-07", "lang": "en", "shown": d.banner["shown"],
		"purposes": map[string]any{"analytics": false, "preference": false},
		"services": map[string]any{"statistics": false, "google-analytics": false, "hotjar": false},
	}
	if diff := cmp.Diff(want, decision.Body); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	wantPaths := []string{"GET /plain.html", "GET /_s/s.js", "GET /_s/b", "POST /_s/d", "GET /plain.html", "GET /_s/s.js"}
	if got := d.paths(); !slices.Equal(got, wantPaths) {
		t.Errorf("requests: %q, want %q: a refusal is remembered, and nothing else follows", got, wantPaths)
	}
	if got, want := eval[string](b, `document.cookie`), "sl_choice=1:2025-07:::1763934343"; got != want {
		t.Errorf("cookies after a refusal: %q, want %q", got, want)
	}
}

func TestBrowserAccept(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/spa.html")
	b.Asked()
	b.Click("Accept all", "section")
	if got := d.wait("/_s/d", 1).Body; got["method"] != "accept_all" || granted(got["purposes"]) != "analytics+preference" {
		t.Errorf("decision: %v", got)
	}
	first := d.wait("/_s/e", 1).Body
	b.Gone()
	event := first["events"].([]any)[0].(map[string]any)
	session := eval[string](b, `document.cookie.match(/sl_s=([^;]*)/)[1]`)
	for name, want := range map[string]any{
		"name": "pageview", "title": "Home", "url": d.URL + "/spa.html", "referrer": "", "session": session,
	} {
		if event[name] != want {
			t.Errorf("first pageview: %s is %v, want %v", name, event[name], want)
		}
	}
	if id, _ := event["id"].(string); len(id) < 8 || len(id) > 64 {
		t.Errorf("first pageview: id %q", id)
	}
	if sent, ts := first["sent"].(float64), event["ts"].(float64); ts > sent {
		t.Errorf("first pageview: measured at %v, after it was sent at %v", ts, sent)
	}

	b.Run(`go('/spa/a', 'A')`)
	second := d.wait("/_s/e", 2).Body["events"].([]any)
	event = second[len(second)-1].(map[string]any)
	if event["title"] != "A" || event["referrer"] != d.URL+"/spa.html" {
		t.Errorf("second pageview: title %v, referrer %v", event["title"], event["referrer"])
	}
	b.Run(`(history.replaceState(1, '', '/spa/a'), location.hash = 'part')`)
	b.Settle()
	b.Run(`sluice.track('signup', {plan: 'free'})`)
	d.wait("/_s/e", 3)
	want := []string{"pageview /spa.html", "pageview /spa/a", "signup /spa/a#part"}
	if got := d.events(); !slices.Equal(got, want) {
		t.Errorf("events: %q, want %q: the same address and its fragment count once", got, want)
	}
}

func TestBrowserChoose(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	state := eval[map[string]bool](b, `Object.fromEntries($$('input').map((i) => [i.id, i.checked]))`)
	want := map[string]bool{
		"essential": true, "analytics": false, "analytics-statistics": false, "analytics-google-analytics": false,
		"analytics-hotjar": false, "preference": false,
	}
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("switches before a choice (-want +got):\n%s", diff)
	}
	b.Run(`$('#analytics-statistics').click()`)
	if !eval[bool](b, `$('#analytics').checked && $('#analytics').indeterminate`) {
		t.Error("one of three services on: the purpose's switch is not in between")
	}
	b.Click("Save", "dialog")
	got := d.wait("/_s/d", 1).Body
	b.Gone()
	if got["method"] != "custom" || granted(got["purposes"]) != "analytics" || granted(got["services"]) != "statistics" {
		t.Errorf("decision: %v", got)
	}
	d.wait("/_s/e", 1)

	b.Run(`document.querySelector('#choices').click()`)
	b.Until(`$('dialog')?.open`)
	if !eval[bool](b, `$('#analytics-statistics').checked && !$('#analytics-hotjar').checked`) {
		t.Error("reopened preferences do not show the choice")
	}
	b.Run(`$('dialog').dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'})), $('dialog').close()`)
	b.Gone()
	if n := len(slices.DeleteFunc(d.paths(), func(p string) bool { return p != "POST /_s/d" })); n != 1 {
		t.Errorf("%d decisions; leaving the preferences is none", n)
	}
}

func TestBrowserWithdraw(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	release := make(chan struct{})
	d.decide = func(_ http.ResponseWriter, n int) bool {
		if n == 2 {
			<-release
		}
		return false
	}
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	b.Gone()
	b.Run(`(document.cookie = '_hjSession_1=x', document.cookie = 'cart=full', sluice.open())`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
	got := d.wait("/_s/d", 2).Body
	d.forget()
	b.Run(`(sluice.track('late'), history.pushState(null, '', '?late'))`) // the answer is still out
	b.Settle()
	if cookies := eval[string](b, `document.cookie`); cookies != "cart=full" {
		t.Errorf("cookies while the withdrawal is under way: %q, want cart=full alone", cookies)
	}
	close(release)
	b.Gone()
	b.Run(`sluice.track('later')`)
	b.Settle()

	if got["method"] != "withdraw" || granted(got["purposes"]) != "" || granted(got["services"]) != "" {
		t.Errorf("decision: %v", got)
	}
	chunk := func(path string) bool { return strings.HasPrefix(path, "GET /_s/clear.") }
	if got := slices.DeleteFunc(d.paths(), chunk); len(got) > 0 {
		t.Errorf("requests after the withdrawal was asked for: %q", got)
	}
	if got, want := eval[string](b, `document.cookie`), "cart=full; sl_choice=1:2025-07:::1763934344"; got != want {
		t.Errorf("cookies after the withdrawal: %q, want %q", got, want)
	}
}

func TestBrowserSecondTab(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	one := d.open("/plain.html")
	two := d.open("/plain.html", one)
	one.Asked()
	two.Asked()
	one.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	two.Run(`document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))`)
	two.Gone() // decided beside it
	d.wait("/_s/e", 2)
	one.Run(`sluice.open()`)
	one.Until(`$('dialog')?.open`)
	one.Click("Reject all", "dialog")
	one.Gone()
	d.forget()
	two.Run(`sluice.track('late')`)
	two.Settle()
	if got := d.paths(); len(got) > 0 {
		t.Errorf("the other tab sent %q after the withdrawal", got)
	}
}

func TestBrowserCookiesStripped(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.stripCookies = true
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Accept all", "section")
	if got := d.wait("/_s/e", 1).Body["token"]; got != "token-analytics+preference" {
		t.Errorf("token of the first event: %v", got)
	}
	b.Gone()
	if !strings.Contains(strings.Join(b.Console(), "\n"), "Let the web server pass Set-Cookie on") {
		t.Errorf("the console does not tell how to mend it: %q", b.Console())
	}
	b.Visit(d.URL + "/plain.html?again")
	if got := d.wait("/_s/e", 2).Body["token"]; got != "token-analytics+preference" {
		t.Errorf("token after a reload: %v", got)
	}
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
	if got := d.wait("/_s/d", 2).Body; got["token"] != "token-analytics+preference" || got["method"] != "withdraw" {
		t.Errorf("withdrawal: %v", got)
	}
	b.Gone()
	d.forget()
	b.Visit(d.URL + "/plain.html?after")
	b.Until(`window.sluice?.consent`)
	b.Run(`sluice.track('late')`)
	b.Settle()
	if got, want := d.paths(), []string{"GET /plain.html", "GET /_s/s.js"}; !slices.Equal(got, want) {
		t.Errorf("requests after the withdrawal: %q, want %q", got, want)
	}
}

func TestBrowserDecisionFails(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		answer  http.HandlerFunc
		console string
	}{
		{"unavailable", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "spool full", http.StatusServiceUnavailable)
		}, "spool full"},
		{"redirected", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/plain.html", http.StatusFound) }, "/_s/ on, without a redirect"},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}, "/_s/ on, without a redirect"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.decide = func(w http.ResponseWriter, n int) bool {
				if n > 1 {
					return false
				}
				c.answer(w, &http.Request{Method: http.MethodPost, URL: mustParse(d.URL + "/_s/d")})
				return true
			}
			b := d.open("/plain.html")
			b.Asked()
			b.Click("Accept all", "section")
			b.Until(`$('section [role=status]').textContent`)
			if !strings.Contains(strings.Join(b.Console(), "\n"), c.console) {
				t.Errorf("console: %q, want %q", b.Console(), c.console)
			}
			if slices.Contains(d.paths(), "POST /_s/e") {
				t.Error("events were sent without a decision")
			}
			b.Click("Accept all", "section") // again, and now it works
			d.wait("/_s/e", 1)
			b.Gone()
		})
	}
}

func TestBrowserStaleNotice(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.decide = func(w http.ResponseWriter, n int) bool {
		if n == 1 {
			http.Error(w, "old", http.StatusConflict)
		}
		return n == 1
	}
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Accept all", "section")
	d.wait("/_s/b", 2)
	b.Asked()
	d.set(func(d *door) {
		d.dropped, d.changed = "stale_notice", true
		d.banner["renew"] = map[string]string{"analytics": "New: Hotjar."}
	})
	b.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	b.Asked() // the server says that the notice changed: what changed is asked, the rest stands
	if !eval[bool](b, `$('section').textContent.includes('New: Hotjar.') && sluice.consent.purposes.includes('preference')`) {
		t.Error("the choice is gone, or asked for once more")
	}
}

func TestBrowserWithdrawnElsewhere(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.dropped = "withdrawn"
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	b.Until(`!sluice.consent`)
	if got := eval[string](b, `document.cookie`); got != "" {
		t.Errorf("cookies: %q, want none", got)
	}
}

func TestBrowserMarked(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/marked.html")
	b.Asked()
	if got := eval[[]string](b, `ran`); !slices.Equal(got, []string{"essential"}) {
		t.Errorf("before a decision ran %q, want the essential one alone", got)
	}
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	b.Run(`($('#analytics-statistics').click(), button('Save', 'dialog').click())`)
	b.Until(`ran.length > 2`)
	d.wait("/frame.html", 1)
	if got, want := eval[[]string](b, `ran`), []string{"essential", "from file", "inline after 2"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
	if slices.Contains(d.paths(), "GET /pixel.gif") {
		t.Error("an image of a purpose that was not granted was loaded")
	}
}

func TestBrowserEngagement(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/plain.html")
	b.Do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return chromedp.Void{}, err
	})
	b.Asked()
	b.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	b.Run(`new Promise((done) => setTimeout(done, 700))`) // the visitor reads
	b.Visit(d.URL + "/frame.html")
	event := d.wait("/_s/e", 2).Body["events"].([]any)[0].(map[string]any)
	if event["name"] != "engagement" || event["url"] != d.URL+"/plain.html" {
		t.Errorf("on leaving: %v, want engagement with the page left", event)
	}
	if ms, _ := event["engagement_ms"].(float64); ms < 600 || ms > 15_000 || ms != float64(int(ms)) {
		t.Errorf("engagement: %v ms, want the 700 read", event["engagement_ms"])
	}
}

func TestBrowserBackForwardCache(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	// The page is left, and something happens elsewhere; back, it is visible first.
	away := func(meanwhile string) {
		b.Run(`(dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true})), ` + meanwhile + `,
			document.dispatchEvent(new Event('visibilitychange', {bubbles: true})), dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true})))`)
	}
	away(`0`)
	d.wait("/_s/e", 2) // coming back is a pageview
	away(`document.cookie = 'sl_choice=1:2025-07:::1763934343;path=/'`)
	b.Settle()
	if got, want := d.events(), []string{"pageview /plain.html", "pageview /plain.html"}; !slices.Equal(got, want) {
		t.Errorf("events: %q, want %q: none after a refusal elsewhere", got, want)
	}
	if got := eval[string](b, `document.cookie`); strings.Contains(got, "sl_s") {
		t.Errorf("cookies after a refusal elsewhere: %q", got)
	}
	away(`document.cookie = 'sl_choice=1:2025-07:analytics:statistics:1763934344;path=/'`)
	d.wait("/_s/e", 3)
	b.Settle()
	if got := d.events(); len(got) != 3 {
		t.Errorf("events: %q, want the page once more: a grant elsewhere and coming back are one visit to it", got)
	}
}
