package static_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBrowserStrictPolicy(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/csp.html")
	b.Asked()
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	b.Click("Accept all", "dialog")
	d.wait("/_s/e", 1)
	d.wait("/frame.html", 1)
	b.Gone()
	b.Until(`document.querySelector('sluice-button')`)
	b.Run(`document.querySelector('sluice-button').shadowRoot.querySelector('button').click()`)
	b.Until(`$('dialog')?.open`)
	if i := slices.Index(d.paths(), "POST /csp"); i >= 0 {
		t.Errorf("the policy was violated: %v", d.hits[i].Body)
	}
	b.Run(`document.body.setAttribute('style', 'color: red')`)
	d.wait("/csp", 1) // a violation would have been reported
}

// styleOf is everything that makes up the look of an element.
const styleOf = `((element) => {
	const { width, height } = element.getBoundingClientRect();
	const style = getComputedStyle(element);
	const round = (value) => String(value).replace(/[\d.]+px/g, (px) => Math.round(parseFloat(px) * 10) / 10 + 'px'); // tracks differ by 1/64 px
	return { px: Math.round(height), across: Math.round(width),
		...Object.fromEntries([...style].map((name) => [name, round(style[name])])) };
})`

// TestBrowserEquals is the promise that accept and reject are equals, on a calm
// page and on one whose style reaches for everything.
func TestBrowserEquals(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"bar", "box", "corner"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			equalsOnEveryPage(t, layout)
		})
	}
}

func equalsOnEveryPage(t *testing.T, layout string) {
	looks := map[string]map[string]any{}
	for _, path := range []string{"/plain.html", "/hostile.html"} {
		d := newDoor(t)
		d.dress(layout, "ltr", nil)
		b := d.open(path)
		b.Asked()
		b.Run(`Promise.all($('section').getAnimations().map((a) => a.finished))`)
		for _, within := range []string{"section", "dialog"} {
			if within == "dialog" {
				b.Click("Choose", "section")
				b.Until(`$('dialog')?.open`)
				b.Run(`Promise.all($('dialog').getAnimations().map((a) => a.finished))`)
			}
			accept := eval[map[string]any](b, `(`+styleOf+`)(button('Accept all', '`+within+`'))`)
			reject := eval[map[string]any](b, `(`+styleOf+`)(button('Reject all', '`+within+`'))`)
			if diff := cmp.Diff(accept, reject, ignorePlace); diff != "" {
				t.Errorf("%s, %s: accept and reject look different (-accept +reject):\n%s", path, within, diff)
			}
			if height := accept["px"].(float64); height < 24 {
				t.Errorf("%s, %s: a button is %v px high, want 24 at least", path, within, height)
			}
			looks[path+within] = accept
			hit := eval[bool](b, `(({x, y, width, height}) => document.elementFromPoint(x + width / 2, y + height / 2) ===
				document.querySelector('sluice-choices'))(button('Reject all', '`+within+`').getBoundingClientRect())`)
			if !hit {
				t.Errorf("%s, %s: the button is covered", path, within)
			}
		}
	}
	for _, within := range []string{"section", "dialog"} {
		if diff := cmp.Diff(looks["/plain.html"+within], looks["/hostile.html"+within]); diff != "" {
			t.Errorf("%s: the page's style reaches the banner (-plain +hostile):\n%s", within, diff)
		}
	}
}

// ignorePlace leaves out what tells where a button is, not how it looks.
var ignorePlace = cmp.FilterPath(func(p cmp.Path) bool {
	return strings.HasPrefix(p.Last().String(), `["inset`) || strings.Contains(p.Last().String(), "origin")
}, cmp.Ignore())

func TestBrowserPutBack(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/spa.html")
	b.Asked()
	b.Run(`(document.querySelector('sluice-choices').remove(), 1)`)
	b.Asked()
	b.Run(`go('/spa/a', 'A')`) // renders a new body
	b.Asked()
	b.Run(`document.body.textContent = ''`)
	b.Asked()
}

func TestBrowserLanguages(t *testing.T) {
	t.Parallel()
	for lang, labels := range map[string][]string{
		"en": {"Reject all", "Accept all", "Choose"},
		"de": {"Alle ablehnen", "Alle akzeptieren", "Auswählen"},
	} {
		d := newDoor(t)
		d.banner["lang"] = lang
		b := d.open("/plain.html")
		b.Asked()
		if diff := cmp.Diff(labels, eval[[]string](b, `$$('section button').map((b) => b.textContent)`)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", lang, diff)
		}
	}
}

// TestBannerData keeps the typical banner that the budget is measured with in
// step with what the TypeScript calls BannerData.
func TestBannerData(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/banner.json")
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal(content, &data); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"site", "lang", "dir", "notice", "controller", "purposes", "texts", "shown", "layout", "theme", "close_button", "days", "gpc"} {
		if _, ok := data[name]; !ok {
			t.Errorf("testdata/banner.json has no %s", name)
		}
	}
}

// TestBrowserPageAround: what the banner does to the page is to keep the covered
// end within reach, without moving anything; closed, it leaves no trace, and
// closing is no answer.
func TestBrowserPageAround(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.banner["close_button"] = true
	b := d.open("/long.html")
	b.Asked()
	padding := `getComputedStyle(document.documentElement).scrollPaddingBottom`
	b.Until(`parseFloat(` + padding + `) >= $('section').getBoundingClientRect().height`)
	shift := eval[float64](b, `new Promise((done) => {
		let sum = 0;
		new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; })
			.observe({ type: 'layout-shift', buffered: true });
		requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
	})`)
	if shift != 0 {
		t.Errorf("the banner moved the page by %v", shift)
	}
	b.Run(`$('.close').click()`)
	b.Until(`!document.querySelector('sluice-choices')`)
	if got := eval[string](b, padding); got != "auto" {
		t.Errorf("scroll-padding after closing: %s", got)
	}
	if eval[string](b, `document.cookie`) != "" || slices.Contains(d.paths(), "POST /_s/d") {
		t.Error("closing the banner was taken for an answer")
	}
}

// TestBrowserGlobalPrivacyControl: no banner under the signal. What is opened by
// hand says that it is honoured, and leaves other companies off.
func TestBrowserGlobalPrivacyControl(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/frame.html")
	b.PrivacyControl()
	b.Visit(d.URL + "/plain.html")
	d.wait("/_s/b", 1)
	b.Settle()
	if n := eval[int](b, `document.querySelectorAll('sluice-choices').length`); n != 0 {
		t.Error("a banner was shown under the signal")
	}
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open && $('dialog').textContent.includes('Global Privacy Control')`)
	b.Run(`$('#analytics').click()`)
	if !eval[bool](b, `$('#analytics-statistics').checked && !$('#analytics-hotjar').checked`) {
		t.Error("the purpose's switch did not leave other companies off")
	}
	b.Click("Accept all", "dialog")
	got := d.wait("/_s/d", 1).Body
	if granted(got["purposes"]) != "analytics+preference" || granted(got["services"]) != "statistics" {
		t.Errorf("decision: %v", got)
	}
}

// The preferences open again also where the browser has not told yet that they
// were closed.
func TestBrowserOpenedAtOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/plain.html")
	b.Asked()
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	b.Run(`(sluice._.kit.dialog.close(), sluice._.kit.open())`)
	b.Settle()
	if got := eval[[]bool](b, `$$('dialog').map((d) => d.open)`); !slices.Equal(got, []bool{true}) {
		t.Errorf("dialogs that are open: %v, want one", got)
	}
}
