package static_test

import (
	"net/http"
	"slices"
	"testing"

	"sluice/static"
	"sluice/static/browsertest"
)

// TestTrailingSlash mounts Sluice behind a middleware that puts a slash at the
// end of every address: the console names what has to be passed on.
func TestTrailingSlash(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.handle("GET /slash/s.js", http.RedirectHandler("/_s/s.js", http.StatusFound).ServeHTTP)
	d.handle("GET /slash/b", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/slash/b/", http.StatusPermanentRedirect)
	})
	d.handle("GET /slash/b/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.Error(w, `{"status":404}`, http.StatusNotFound)
	})
	d.handle("GET /slash/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><title>Slash</title><script async src="/slash/s.js"></script>`))
	})
	b := d.open("/slash/page")
	b.heard("sluice: pass " + d.URL + "/slash/ on, without a redirect")
}

// TestPrerendered shows, counts and sends nothing before the page is seen, also
// where the choice is made already.
func TestPrerendered(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	first := d.open("/plain.html")
	first.Asked()
	first.Click("Accept all", "section")
	d.wait("/_s/e", 1)
	first.Gone()
	d.wait("/_s/"+static.Path("extras.js"), 1)
	d.forget()

	b := &tab{browsertest.Open(t, first.Tab), d}
	b.BeforeEachPage(`Object.defineProperty(Document.prototype, 'prerendering', {configurable: true, value: true})`)
	b.Visit(d.URL + "/marked.html")
	b.Until(`window.sluice`)
	b.Run(`(sluice.track('early'), history.pushState(null, '', '?spa'))`)
	b.Settle()
	if got, want := d.paths(), []string{"GET /marked.html", "GET /_s/s.js"}; !slices.Equal(got, want) {
		t.Errorf("requests of a page that nobody has seen: %q, want %q", got, want)
	}
	if got := eval[[]string](b, `ran`); len(got) > 0 {
		t.Errorf("in a page that nobody has seen ran %q", got)
	}
	b.Run(`(Object.defineProperty(document, 'prerendering', {value: false}), document.dispatchEvent(new Event('prerenderingchange')))`)
	d.wait("/_s/e", 1)
	b.Until(`ran.length === 4`)
	if got, want := d.events(), []string{"pageview /marked.html?spa"}; !slices.Equal(got, want) {
		t.Errorf("events: %q, want %q", got, want)
	}
}
