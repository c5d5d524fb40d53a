package static_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPreferences(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/prefs.html")
	b.Asked()
	b.Until(`sluice.prefs`)
	b.Run(`(sluice.prefs.set('lang', 'de'), sluice.prefs.set('size', 2), sluice.prefs.set('gone', true), sluice.prefs.remove('gone'))`)
	b.Settle()
	got := eval[[]any](b, `[sluice.prefs.get('lang'), sluice.prefs.get('size'), typeof sluice.prefs.get('gone'), document.cookie, localStorage.length, sessionStorage.length]`)
	if diff := cmp.Diff([]any{"de", 2.0, "undefined", "", 0.0, 0.0}, got); diff != "" {
		t.Errorf("before a decision: values, cookies and storage (-want +got):\n%s", diff)
	}
	if slices.Contains(d.paths(), "POST /_s/p") {
		t.Error("preferences were sent before they were granted")
	}

	b.Click("Accept all", "section")
	if diff := cmp.Diff(map[string]any{"lang": "de", "size": 2.0, "gone": nil}, d.wait("/_s/p", 1).Body["set"]); diff != "" {
		t.Errorf("sent after the grant (-want +got):\n%s", diff)
	}
	b.Until(`document.cookie.includes('sl_pref')`)

	// Another tab sees it, and its own later word stands in both.
	two := d.open("/prefs.html", b)
	two.Until(`window.sluice?.prefs?.get('lang') === 'de'`)
	two.Run(`(sluice.prefs.set('lang', 'fr'), sluice.prefs.remove('size'))`)
	d.wait("/_s/p", 2)
	b.Until(`sluice.prefs.get('lang') === 'fr' && sluice.prefs.get('size') === undefined`)

	// Withdrawn, they live in the page alone again.
	b.withdraw()
	b.Gone()
	d.forget()
	b.Run(`sluice.prefs.set('lang', 'it')`)
	b.Settle()
	if got := eval[string](b, `sluice.prefs.get('lang')`); got != "it" || slices.Contains(d.paths(), "POST /_s/p") {
		t.Errorf("after the withdrawal: %q, requests %q", got, d.paths())
	}
}

func TestPreferencesThatAreNoNumber(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/prefs.html")
	b.Asked()
	b.Until(`sluice.prefs`)
	b.Click("Accept all", "section")
	b.Gone()
	b.Run(`(sluice.prefs.set('size', NaN), sluice.prefs.set('width', -Infinity), sluice.prefs.set('height', -0))`)
	d.wait("/_s/p", 1)
	b.Settle()
	b.Settle()
	if got := count(d.paths(), "POST /_s/p"); got != 1 {
		t.Errorf("%d requests for preferences, want 1", got)
	}
	if got := d.wait("/_s/p", 1).Body["set"]; !cmp.Equal(got, map[string]any{"height": 0.0}) {
		t.Errorf("sent: %v", got)
	}
	b.heard("size")
}
