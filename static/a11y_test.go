package static_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"sluice/static/browsertest"
)

// ownTheme is one that a site may configure.
var ownTheme = map[string]string{"accent": "#7a1f3d", "accent-dark": "#f3b6c8", "on-accent-dark": "#2b0713", "radius": "0", "font": "Georgia, serif"}

// widths are those of a small phone, which is also a desktop at 400 %, a large
// one and a desktop.
var widths = []int64{320, 412, 1280}

// dress gives a door's banner a look and a direction.
func (d *door) dress(layout, dir string, theme map[string]string) {
	d.banner["layout"], d.banner["theme"] = layout, theme
	if dir == "rtl" {
		d.banner["lang"], d.banner["dir"] = "ar", "rtl"
	}
}

// TestAccessible looks for faults in both layers, where a choice is asked again,
// in the place of a frame that waits and in the inspector, in every layout,
// direction, theme, colour scheme and width.
func TestAccessible(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, b *tab, state string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range widths {
				b.Look(browsertest.View{Width: width, Height: 900, Media: map[string]string{"prefers-color-scheme": scheme}})
				b.Rested()
				for _, fault := range b.Faults() {
					t.Errorf("%s, %s, %d px: %s", state, scheme, width, fault)
				}
			}
		}
	}
	for _, layout := range []string{"bar", "box", "corner"} {
		for _, dir := range []string{"ltr", "rtl"} {
			theme := map[string]map[string]string{"ltr": nil, "rtl": ownTheme}[dir]
			if layout == "box" {
				theme = map[string]map[string]string{"ltr": ownTheme, "rtl": nil}[dir]
			}
			t.Run(layout+" "+dir, func(t *testing.T) {
				t.Parallel()
				d := newDoor(t)
				d.dress(layout, dir, theme)
				d.banner["close_button"] = true
				b := d.open("/article.html")
				b.Asked()
				b.Axe()
				check(t, b, "first layer")
				again := d.again("/waiting.html?sluice=debug")
				again.Run(`(document.documentElement.dir = '` + dir + `')`)
				again.Axe()
				again.Until(`document.querySelector('sluice-frame')?.shadowRoot.querySelector('button')`)
				again.Run(`sluice.track('early')`) // a line in the inspector
				check(t, again, "asked again")
				again.Run(`$('.close').click()`)
				again.Gone()
				check(t, again, "a frame that waits, and the inspector")
				if layout == "corner" {
					return // the preferences are the same in every layout
				}
				b.Run(`$$('section button').at(-1).click()`)
				b.Until(`$('dialog')?.open`)
				b.Run(`$$('details').forEach((details) => (details.open = true))`)
				check(t, b, "preferences")
				b.Run(`$$('dialog .answer')[1].click()`)
				b.Until(`$('output')?.textContent && document.querySelector('sluice-button')`)
				check(t, b, "saved")
			})
		}
	}
}

// again opens a page for another visitor, whose choice has partly changed since.
func (d *door) again(path string) *tab {
	d.t.Helper()
	d.set(func(d *door) { d.banner["renew"] = map[string]string{"analytics": "New: Hotjar."} })
	defer d.set(func(d *door) { delete(d.banner, "renew") })
	b := d.open("/frame.html")
	b.Run(`(document.cookie = 'sl_choice=1?:2025-06:preference::1763934343;path=/')`)
	b.Visit(d.URL + path)
	b.Asked()
	return b
}

// TestEqualsEverywhere: accept and reject are equals in every look that can be
// configured and in every way of looking at it.
func TestEqualsEverywhere(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"bar", "box", "corner"} {
		for name, theme := range map[string]map[string]string{"usual": nil, "own": ownTheme, "changes": nil} {
			t.Run(layout+" "+name, func(t *testing.T) {
				t.Parallel()
				d := newDoor(t)
				d.dress(layout, map[bool]string{true: "rtl", false: "ltr"}[name == "own"], theme)
				b := d.open("/frame.html")
				if name == "changes" {
					d.banner["renew"] = map[string]string{"analytics": "New: Hotjar."}
					b.Run(`(document.cookie = 'sl_choice=1?:2025-06:preference::1763934343;path=/')`)
				}
				b.Visit(d.URL + "/article.html")
				b.Asked()
				for _, media := range []map[string]string{
					{"prefers-color-scheme": "light"}, {"prefers-color-scheme": "dark"}, {"forced-colors": "active", "prefers-reduced-motion": "reduce"},
				} {
					for _, width := range widths {
						b.Look(browsertest.View{Width: width, Height: 900, Media: media})
						b.Rested()
						looks := eval[[]map[string]any](b, `$$('section .answer').map(`+styleOf+`)`)
						if len(looks) != 2 {
							t.Fatalf("%d buttons answer, want reject and accept", len(looks))
						}
						if diff := cmp.Diff(looks[0], looks[1], ignorePlace); diff != "" {
							t.Errorf("%v, %d px: reject and accept look different (-reject +accept):\n%s", media, width, diff)
						}
						if height := looks[0]["px"].(float64); height < 40 {
							t.Errorf("%v, %d px: the buttons are %v px high, want 40 at least", media, width, height)
						}
					}
				}
			})
		}
	}
}

// TestKeyboard goes through both layers without a mouse: they come first, take
// no focus by themselves, and Escape is never an answer.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/article.html")
	b.Asked()
	const focus = `(document.activeElement.shadowRoot?.activeElement ?? document.activeElement).textContent.trim()`
	walk := func(steps int) (names []string) {
		for range steps {
			b.Press(kb.Tab)
			names = append(names, eval[string](b, focus))
		}
		return names
	}
	if diff := cmp.Diff([]string{"Privacy policy", "Reject all", "Accept all", "Choose", "one link"}, walk(5)); diff != "" {
		t.Errorf("Tab leads to (-want +got):\n%s", diff)
	}
	b.Press(kb.Escape)
	b.Back()
	if got := eval[string](b, focus); got != "Choose" {
		t.Fatalf("Shift and Tab lead back to %q, want Choose", got)
	}
	b.Press(kb.Enter)
	b.Until(`$('dialog')?.open`)
	if got := eval[string](b, focus); got != "Your choice" {
		t.Errorf("the preferences open with the focus on %q, want their heading", got)
	}
	walk(1)
	b.Until(`root.activeElement.matches('.close')`)
	for !eval[bool](b, `root.activeElement?.matches('input:not(:disabled)') ?? false`) {
		walk(1)
	}
	b.Press(" ")
	b.Until(`$('#analytics').checked && $('#analytics-hotjar').checked`)
	b.Press(kb.Escape)
	b.Until(`!$('dialog')`)
	if got := eval[string](b, focus); got != "Choose" {
		t.Errorf("after Escape the focus is on %q, want Choose, from where the preferences were opened", got)
	}
	if slices.Contains(d.paths(), "POST /_s/d") {
		t.Fatal("Escape was taken for an answer")
	}
	b.Press(kb.Enter)
	b.Until(`$('dialog')?.open && !$('#analytics').checked`)
	for i := 0; eval[string](b, focus) != "Save"; i++ {
		if i > 40 {
			t.Fatal("Tab never leads to Save")
		}
		walk(1)
	}
	b.Press(kb.Enter)
	if got := d.wait("/_s/d", 1).Body; got["method"] != "custom" || granted(got["purposes"]) != "" {
		t.Errorf("decision: %v", got)
	}
	b.Gone()
}

// TestZoom looks at 400 % of 1280 by 1024, which is a window of 320 by 256: no
// scrolling in two dimensions, everything within reach, and what has the focus
// in the page is never covered whole (WCAG 2.2, 1.4.10 and 2.4.11).
func TestZoom(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"bar", "box", "corner"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.dress(layout, "ltr", nil)
			b := d.open("/frame.html")
			b.Look(browsertest.View{Width: 320, Height: 256})
			b.Visit(d.URL + "/article.html")
			b.Asked()
			b.Rested()
			reach := func(within string) {
				t.Helper()
				if eval[bool](b, `document.documentElement.scrollWidth > innerWidth || $('`+within+`').scrollWidth > $('`+within+`').clientWidth`) {
					t.Errorf("%s: has to be scrolled sideways", within)
				}
				hidden := eval[[]string](b, `$$('`+within+` :is(button, a, input, summary)').filter((e) => e.checkVisibility({ contentVisibilityAuto: true })).filter((e) => {
					e.scrollIntoView({ block: 'nearest' });
					const { x, y, width, height } = e.getClientRects()[0]; // a link may go over two lines
					return !root.elementFromPoint(x + width / 2, y + height / 2)?.closest('button, a, input, summary, label');
				}).map((e) => e.textContent || e.id)`)
				if len(hidden) > 0 {
					t.Errorf("%s: cannot be reached: %q", within, hidden)
				}
			}
			reach("section")
			covered := eval[[]string](b, `[...document.querySelectorAll('main a')].filter((a) => {
				a.focus();
				const { left, right, top, bottom } = a.getBoundingClientRect();
				const at = (x, y) => document.elementFromPoint(x, y) === a;
				return !at((left + right) / 2, top + 2) && !at((left + right) / 2, bottom - 2);
			}).map((a) => a.textContent)`)
			if len(covered) > 0 {
				t.Errorf("the banner covers what has the focus: %q", covered)
			}
			b.Click("Choose", "section")
			b.Until(`$('dialog')?.open`)
			b.Rested()
			reach("dialog")
		})
	}
}

// TestForcedColours: where the browser's own colours are forced, buttons keep an
// edge and switches show their state.
func TestForcedColours(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/article.html")
	b.Look(browsertest.View{Width: 1280, Height: 900, Media: map[string]string{"forced-colors": "active"}})
	b.Asked()
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	bare := eval[[]string](b, `$$('button').filter((e) => {
		const { borderTopColor, borderTopWidth, backgroundColor } = getComputedStyle(e);
		return borderTopWidth === '0px' || borderTopColor === backgroundColor || /^rgba.*, 0\)$/.test(borderTopColor);
	}).map((e) => e.textContent)`)
	if len(bare) > 0 {
		t.Errorf("buttons without an edge: %q", bare)
	}
	if !eval[bool](b, `$$('input').every((e) => getComputedStyle(e).appearance === 'auto')`) {
		t.Error("a switch that is drawn by colour alone does not show its state")
	}
}

// TestReducedMotion: what moves at all moves only for visitors who do not mind.
func TestReducedMotion(t *testing.T) {
	t.Parallel()
	for motion, moves := range map[string]bool{"reduce": false, "no-preference": true} {
		d := newDoor(t)
		b := d.open("/frame.html")
		b.Look(browsertest.View{Width: 1280, Height: 900, Media: map[string]string{"prefers-reduced-motion": motion}})
		b.Visit(d.URL + "/article.html")
		b.Asked()
		b.Click("Choose", "section")
		b.Until(`$('dialog')?.open`)
		changed := eval[[]string](b, `$$('section, dialog').flatMap((e) => e.getAnimations()).flatMap((a) => a.effect.getKeyframes())
			.flatMap(Object.keys)`)
		slices.Sort(changed)
		changed = slices.DeleteFunc(slices.Compact(changed), func(name string) bool {
			return slices.Contains([]string{"composite", "computedOffset", "easing", "offset", "opacity"}, name)
		})
		if len(changed) > 0 {
			t.Errorf("%s: the layers come in by %q; a fade moves nothing", motion, changed)
		}
		if got := eval[string](b, `getComputedStyle($('#analytics'), '::before').transitionDuration`) != "0s"; got != moves {
			t.Errorf("%s: switches move: %v, want %v", motion, got, moves)
		}
	}
}

// TestDataIsWhatTheLawAsks: the preferences say who, where, for how long, and
// where to turn (GDPR Art. 13(1) and (2), ePrivacy Directive Art. 5(3)).
func TestDataIsWhatTheLawAsks(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/article.html")
	b.Asked()
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	b.Run(`$$('details').forEach((details) => (details.open = true))`)
	text := eval[string](b, `$('dialog').innerText.replace(/\s+/g, ' ')`)
	for _, want := range []string{
		"Essential Always on", "Needed for the site to work", "Recipient Google Ireland Ltd", "Country Ireland", "Transfer US, EU-US Data Privacy Framework",
		"policies.google.com/privacy", "Example Street 1", "privacy@example.com", "dpo@example.com", "Berliner Beauftragte", "Last updated July 1, 2025",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the preferences do not say %q: %s", want, text)
		}
	}
	rows := eval[[][]string](b, `[...$('#analytics-hotjar').closest('.service').querySelectorAll('tr')].map((row) => [...row.cells].map((c) => c.textContent))`)
	want := [][]string{
		{"Name", "Provider", "What for", "Lasts"},
		{"_hjSession_*", "Hotjar Ltd", "Keeps a session together", "30 minutes"},
		{"_hjSessionUser_*", "Hotjar Ltd", "Recognises a visitor", "1 year"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("cookies of Hotjar (-want +got):\n%s", diff)
	}
	if !eval[bool](b, `$('#essential').disabled && $('#essential').checked && $('#essential').type === 'checkbox'`) {
		t.Error("essential is not shown as on for good")
	}
}
