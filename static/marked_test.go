package static_test

import (
	"slices"
	"strings"
	"testing"
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
