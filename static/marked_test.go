package static_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/static/browsertest"
)

// TestGateUserMarkup shows what visitors wrote, as a sanitizer lets it pass:
// links and data-… attributes.
func TestGateUserMarkup(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/marked.html")
	b.Asked()
	b.Run(`document.body.insertAdjacentHTML('beforeend', ` + "`" + `
		<a data-purpose="essential" data-src="javascript:ran.push('a')">a</a>
		<map><area data-purpose="essential" data-src="javascript:ran.push('area')" alt="area"></map>
		<svg><a data-purpose="essential" data-src="javascript:ran.push('svg')"><text y="9">svg</text></a></svg>
		<iframe data-purpose="essential" data-src=" java&#10;script:parent.ran.push('frame')"></iframe>
		<iframe data-purpose="essential" data-src="http://["></iframe>
		<img data-purpose="essential" data-src="/pixel.gif?user" alt="">` + "`" + `)`)
	d.wait("/pixel.gif", 1)
	if got := eval[[]string](b, `[...document.querySelectorAll('[data-purpose=essential]:is([src],[href])')].map((e) => e.outerHTML)`); len(got) != 1 || !strings.Contains(got[0], "<img") {
		t.Errorf("given an address: %q, want the image alone", got)
	}
	if got := eval[[]string](b, `ran`); !slices.Equal(got, []string{"essential"}) {
		t.Errorf("ran %q, want what the page marked, and nothing that a visitor wrote", got)
	}
}

// TestGateWithdrawnInAnotherWindow has a browser that tells nobody about a
// changed cookie, as on a page without TLS.
func TestGateWithdrawnInAnotherWindow(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := &tab{browsertest.Open(t), d}
	b.BeforeEachPage(`Object.defineProperty(window, 'cookieStore', {value: undefined})`)
	b.Visit(d.URL + "/gate.html")
	b.Asked()
	b.choose("analytics-statistics")
	b.Until(`ran.includes('module')`)
	b.Gone()
	b.Until(`document.querySelector('sluice-frame')?.shadowRoot.querySelector('button')`)
	const elsewhere = `document.cookie = 'sl_choice=1:2025-07:::1763934999;path=/';`
	b.Run(`(() => {` + elsewhere + `
		document.querySelector('iframe[data-service=hotjar]').previousSibling.shadowRoot.querySelectorAll('button')[1].click();
	})()`)
	if got := granted(d.wait("/_s/d", 2).Body["services"]); got != "hotjar" {
		t.Errorf("Always load, after a withdrawal in another window, grants %q, want hotjar alone", got)
	}
	b.Until(`ran.includes('hotjar')`)
	b.Run(`(() => {` + elsewhere + marked("/ran.js?late", "hotjar") + `})()`)
	b.Settle()
	if got := eval[[]string](b, `ran`); slices.Contains(got, "late") {
		t.Errorf("ran %q: the last one was withdrawn in another window before it was inserted", got)
	}
}

// marked is a statement that inserts a script of a service before the second one
// of gate.html; mark runs it.
func marked(src, service string) string {
	return fmt.Sprintf(`{
		const s = document.createElement('script');
		Object.assign(s, {type: 'text/plain'});
		Object.assign(s.dataset, {src: %q, service: %q});
		document.querySelector('#second').before(s);
	}`, src, service)
}

func (b *tab) mark(src, service string) {
	b.t.Helper()
	b.Run(`(() => {` + marked(src, service) + `})()`)
}
