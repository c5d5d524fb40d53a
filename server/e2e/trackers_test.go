package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"sluice/static/browsertest"
)

// withTrackers is a site of its own web server that hands on the doors of
// other products' trackers at its root, and serves their packages as they are
// from npm below /npm/.
func withTrackers(r *rig, head string) (origin string) {
	r.t.Helper()
	target, err := url.Parse(r.sluice)
	if err != nil {
		r.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(req *httputil.ProxyRequest) {
		req.SetURL(target)
		req.Out.Host = req.In.Host
		req.Out.Header.Set("X-Forwarded-For", r.visitor)
	}}
	mux := http.NewServeMux()
	for _, door := range []string{"/_s/", "/api/event", "/api/send", "/count"} {
		mux.Handle(door, proxy)
	}
	mux.HandleFunc("/npm/", servePackage)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!doctype html><html lang="en"><title>Trackers</title>
<script async src="/_s/s.js" data-site="trackers.localhost" data-pageviews="off"></script>`+head+
			`<a id="signup" class="plausible-event-name=Signup plausible-event-plan=pro" href="#here">Sign up</a><p style="height:3000px">A page.`)
	})
	site := httptest.NewServer(mux)
	r.t.Cleanup(site.Close)
	return strings.Replace(site.URL, "127.0.0.1", "trackers.localhost", 1)
}

// servePackage serves a file of an installed package. An import within one may
// leave out ".js", which a bundler would add.
func servePackage(w http.ResponseWriter, req *http.Request) {
	name := filepath.Join("../../node_modules", filepath.FromSlash(path.Clean(strings.TrimPrefix(req.URL.Path, "/npm"))))
	if filepath.Ext(name) == "" {
		name += ".js"
	}
	b, err := os.ReadFile(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Write(b)
}

// consentAndWait grants everything and waits for what the tracker sets.
func consentAndWait(b *browsertest.Tab, origin, ready string) {
	b.Visit(origin + "/")
	b.Asked()
	b.Settle()
	for _, r := range b.Requests() {
		if r.Method == http.MethodPost || strings.Contains(r.URL, "/count") {
			panic("a request before the choice: " + r.URL)
		}
	}
	b.Click("Accept all", "section")
	b.Gone()
	b.Until(ready)
}

const trackedRows = `SELECT name, path, arrayStringConcat(mapKeys(props), '+'), revenue, currency FROM events WHERE name NOT IN ('engagement', 'scroll') ORDER BY name, path`

// TestPlausibleTracker runs @plausible-analytics/tracker as npm has it: only
// its endpoint option names Sluice. It starts with a marked script, so that
// nothing is sent before the visitor agrees.
func TestPlausibleTracker(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	origin := withTrackers(r, `<script type="text/plain" data-service="statistics">
import('/npm/@plausible-analytics/tracker/plausible.js').then((p) => {
	window.__plausible = true; // the tracker ignores automated browsers, as this one is
	p.init({domain: 'trackers.localhost', endpoint: location.origin + '/api/event', captureOnLocalhost: true, logging: true});
	window.tracker = p;
});</script>`)
	b := browsertest.Open(t)
	consentAndWait(b, origin, `window.tracker`)
	r.wantRows(trackedRows, `pageview,/,,0,`)
	status := browsertest.Eval[float64](b, `new Promise((done) => tracker.track('Purchase', {
		props: {plan: 'pro'}, revenue: {amount: 0.1 + 0.2, currency: 'EUR'}, callback: (answer) => done(answer.status)}))`)
	if status != http.StatusAccepted {
		t.Errorf("the tracker was answered %v, want 202", status)
	}
	b.Run(`document.querySelector('#signup').click()`)
	b.Run(`history.pushState(null, '', '/next')`)
	r.wantRows(trackedRows, "Purchase,/,plan,0.3,EUR", "Signup,/,plan+url,0,", "pageview,/,,0,", "pageview,/next,,0,")
	r.wantRows(`SELECT uniqExact(visitor), uniqExact(session), any(country) FROM events`, "1,1,GB")

	// After a withdrawal the tracker, which knows nothing of it, is not heard.
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
	b.Gone()
	after := browsertest.Eval[[]any](b, `fetch('/api/event', {method: 'POST', body: JSON.stringify({n: 'after', u: location.href, d: 'trackers.localhost'})})
		.then((a) => a.text().then((text) => [a.status, text, a.headers.get('x-plausible-dropped'), a.headers.get('sluice-dropped')]))`)
	if want := []any{202.0, "ok", "1", "no_consent"}; !equal(after, want) {
		t.Errorf("after the withdrawal the door answers %v, want %v", after, want)
	}
	r.wantRows(`SELECT countIf(name = 'after') FROM events`, "0")
}

func equal(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestPlausibleTrackerEngagement reads the page to its end and leaves it.
func TestPlausibleTrackerEngagement(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	origin := withTrackers(r, `<script type="text/plain" data-service="statistics">
import('/npm/@plausible-analytics/tracker/plausible.js').then((p) => {
	window.__plausible = true;
	p.init({domain: 'trackers.localhost', endpoint: location.origin + '/_s/api/event', captureOnLocalhost: true, hashBasedRouting: true});
	window.tracker = p;
});</script>`)
	b := browsertest.Open(t)
	consentAndWait(b, origin, `window.tracker`)
	b.Run(`new Promise((done) => { addEventListener('scroll', done, {once: true}); scrollTo(0, 1e6) })`) // the tracker listens too
	b.Run(`location.hash = '#/cart'`)
	r.wantRows(`SELECT name, path, toFloat64OrZero(props['percent_scrolled']) > 90 FROM events ORDER BY name, path`,
		"engagement,/,0", "pageview,/,0", "pageview,/#/cart,0", "scroll,/,1")
}

// TestOlderPlausibleTracker runs plausible-tracker, which adds its own path to
// the host that it is given.
func TestOlderPlausibleTracker(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	origin := withTrackers(r, `<script type="text/plain" data-service="statistics">
import('/npm/plausible-tracker/build/module/index.js').then(({default: Plausible}) => {
	const p = Plausible({domain: 'trackers.localhost', apiHost: location.origin + '/_s', trackLocalhost: true});
	p.enableAutoPageviews();
	window.tracker = p;
});</script>`)
	b := browsertest.Open(t)
	consentAndWait(b, origin, `window.tracker`)
	b.Run(`history.pushState(null, '', '/next')`)
	b.Run(`new Promise((done) => tracker.trackEvent('Signup', {props: {plan: 'pro'}, callback: done}))`)
	r.wantRows(trackedRows, "Signup,/next,plan,0,", "pageview,/,,0,", "pageview,/next,,0,")
}

// TestForeignRequests makes the requests of Umami's tracker and of
// GoatCounter's count.js in a browser, which decides what goes along with a
// fetch, an image and a beacon. Neither script is on npm.
func TestForeignRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	origin := withTrackers(r, "")
	b := browsertest.Open(t)
	consentAndWait(b, origin, `sluice.consent`)
	answer := browsertest.Eval[string](b, `fetch('/api/send', {keepalive: true, method: 'POST', credentials: 'same-origin',
		headers: {'Content-Type': 'application/json'},
		body: JSON.stringify({type: 'event', payload: {website: '7f3b1c1e-6f2f-4a1c-8a53-d3b5bcbb1a11', hostname: location.hostname,
			url: location.href, referrer: '', title: document.title, screen: '800x600', name: 'umami', data: {plan: 'pro'}}})}).then((a) => a.text())`)
	if want := `{"accepted":1,"dropped":[]}`; answer != want {
		t.Errorf("Umami's door answers %s, want %s", answer, want)
	}
	b.Run(`new Promise((done, failed) => Object.assign(new Image(), {onload: done, onerror: failed}).src = '/count?p=/image&t=A')`)
	b.Run(`navigator.sendBeacon('/_s/count?p=beacon&e=true')`)
	r.wantRows(`SELECT name, path, title FROM events ORDER BY name, path`, "beacon,/,", "pageview,/image,A", "umami,/,Trackers")
	r.wantRows(`SELECT uniqExact(visitor), uniqExact(session) FROM events`, "1,1")
}
