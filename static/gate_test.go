package static_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/static/browsertest"
)

// choose opens the preferences from the first layer, clicks switches by their
// ids and saves.
func (b *tab) choose(ids ...string) {
	b.t.Helper()
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	for _, id := range ids {
		b.Run(`$('#` + id + `').click()`)
	}
	b.Click("Save", "dialog")
}

// withdraw takes everything back in the preferences.
func (b *tab) withdraw() {
	b.t.Helper()
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
}

// eventually waits for something that the test sees, and the page does not.
func (b *tab) eventually(what string, holds func() bool) {
	b.t.Helper()
	for until := time.Now().Add(browsertest.Patience); !holds(); b.Settle() {
		if time.Now().After(until) {
			b.t.Fatalf("waiting for %s; console: %q", what, b.Console())
		}
	}
}

// heard waits for words in the console.
func (b *tab) heard(words string) {
	b.t.Helper()
	b.eventually(words, func() bool { return strings.Contains(strings.Join(b.Console(), "\n"), words) })
}

// strictly fails on every violation of the page's policy that was reported.
func (b *tab) strictly() {
	b.t.Helper()
	b.set(func(d *door) {
		for _, h := range d.hits {
			if h.Path == "/csp" {
				b.t.Errorf("the policy of the page was violated: %v", h.Body)
			}
		}
	})
}

func TestGateOrder(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/gate.html")
	b.Asked()
	b.Until(`ran.length`)
	if got := eval[[]string](b, `ran`); !slices.Equal(got, []string{"essential"}) {
		t.Errorf("before a decision ran %q, want the essential one alone", got)
	}
	if got := strings.Join(b.Console(), "\n"); !strings.Contains(got, "blocked until the visitor agrees") || !strings.Contains(got, "hotjar") {
		t.Errorf("the console does not say what is blocked: %q", got)
	}
	b.choose("analytics-statistics")
	b.Until(`ran.includes('module')`)
	want := []string{"essential", "slow", "second", "deferred", "module"}
	if got := eval[[]string](b, `ran`); !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
	d.wait("/frame.html", 1)
	d.wait("/gate.css", 1)
	if slices.Contains(d.paths(), "GET /pixel.gif") {
		t.Error("an image of a purpose that was not granted was loaded")
	}
	if n := eval[int](b, `document.querySelectorAll('script[src*="ran.js?"]').length`); n != 0 {
		t.Errorf("%d copies of scripts are left in the document", n)
	}

	// Inserted later, as a router does, and with markup, as an editor does.
	b.Run(`(() => {
		const s = document.createElement('script');
		s.type = 'text/plain'; s.dataset.service = 'statistics'; s.dataset.src = '/ran.js?late';
		document.querySelector('h1').append(s);
		const i = document.createElement('iframe');
		i.dataset.service = 'statistics'; i.dataset.src = '/frame.html?late';
		document.body.append(i);
	})()`)
	b.Until(`ran.includes('late')`)
	d.wait("/frame.html", 2)
	b.strictly()
}

func TestGateFrames(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/gate.html")
	b.Asked()
	const places = `[...document.querySelectorAll('sluice-frame')]`
	b.Until(places + `.filter((p) => p.shadowRoot.querySelector('button')).length === 2`)
	if got := eval[[]string](b, places+`.map((p) => p.shadowRoot.querySelector('section').getAttribute('aria-label') + ': ' + p.shadowRoot.querySelector('p').textContent)`); !slices.Equal(got, []string{
		"Statistics: Own statistics is shown only with your consent. Example GmbH then learns your address, and which page you are on.",
		"Heat map: Hotjar is shown only with your consent. Hotjar Ltd then learns your address, and which page you are on.",
	}) {
		t.Errorf("placeholders: %q", got)
	}
	if got := eval[[]float64](b, places+`.flatMap((p) => [p.getBoundingClientRect().width, p.getBoundingClientRect().height])`); got[0] != 404 || got[1] < 204 || got[2] != 304 {
		t.Errorf("sizes of the placeholders: %v, want those of their frames with borders: 404 × 204, 304 × 204", got)
	}

	// Once: this frame alone, and nothing is stored or sent.
	b.Run(places + `[1].shadowRoot.querySelectorAll('button')[0].click()`)
	d.wait("/frame.html", 1)
	if got := eval[[]any](b, `[document.cookie, localStorage.length, document.querySelectorAll('sluice-frame').length]`); !cmp.Equal(got, []any{"", 0.0, 1.0}) {
		t.Errorf("after loading once: cookies, storage and placeholders: %v", got)
	}
	if slices.Contains(d.paths(), "POST /_s/d") {
		t.Error("loading once was sent as a decision")
	}

	// A framework takes a placeholder out: it is put back.
	b.Run(places + `[0].remove()`)
	b.Until(places + `.length === 1`)

	// Always: a decision for this service alone.
	b.Run(places + `[0].shadowRoot.querySelectorAll('button')[1].click()`)
	got := d.wait("/_s/d", 1).Body
	if got["method"] != "custom" || got["notice"] != "2025-07" || granted(got["purposes"]) != "analytics" || granted(got["services"]) != "statistics" {
		t.Errorf("decision: %v", got)
	}
	d.wait("/frame.html", 2)
	b.Gone()

	// Taken back, the frame unloads and the placeholder returns.
	b.withdraw()
	b.Until(places + `.length === 1`)
	if got := eval[bool](b, `!document.querySelector('iframe').hasAttribute('src') && document.querySelector('iframe').contentWindow.location.href === 'about:blank'`); !got {
		t.Error("the frame is still loaded after the withdrawal")
	}
	b.strictly()
}

// TestGateSlowScript has a script that never arrives: frames behind it load all
// the same, and unload with the grant; scripts keep their order, and wait.
func TestGateSlowScript(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	d.handle("GET /never.js", func(http.ResponseWriter, *http.Request) { <-never })
	b := d.open("/gate.html")
	b.Asked()
	b.Run(`(() => {
		const s = document.createElement('script');
		s.type = 'text/plain'; s.dataset.service = 'statistics'; s.dataset.src = '/never.js';
		document.querySelector('[data-src="/ran.js?second"]').before(s);
	})()`)
	b.choose("analytics-statistics")
	d.wait("/never.js", 1)
	b.Until(`document.querySelector('iframe').src && ran.includes('slow')`)
	b.withdraw()
	b.Until(`!document.querySelector('iframe').src`)
	if got, want := eval[[]string](b, `ran`), []string{"essential", "slow"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestGateReload(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/gate.html")
	b.Asked()
	b.choose("analytics-statistics", "analytics-hotjar")
	b.Until(`ran.includes('hotjar')`)
	b.Gone()
	b.Run(`(window.same = true, sluice.open())`)
	b.Until(`$('dialog')?.open`)
	b.Run(`$('#analytics-hotjar').click()`)
	b.Click("Save", "dialog")
	b.Until(`!window.same && window.ran?.includes('module')`) // a new page, and statistics run in it
	if got := eval[[]string](b, `ran`); slices.Contains(got, "hotjar") {
		t.Errorf("after the withdrawal ran %q", got)
	}
	b.Run(`window.same = true`)
	b.withdraw()
	b.Gone()
	b.Settle()
	if !eval[bool](b, `window.same`) {
		t.Error("the page was loaded again, though what was withdrawn can be stopped in it")
	}
	b.strictly()
}
