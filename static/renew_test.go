package static_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBrowserAsksAgain: where something that was granted has changed, only that
// is asked, the banner says what changed, and the rest stays as it was chosen.
func TestBrowserAsksAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ button, purposes, services string }{
		{"Accept", "analytics+preference", "google-analytics+hotjar+statistics"},
		{"Reject", "preference", ""},
	} {
		t.Run(tt.button, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.banner["renew"] = map[string]string{"analytics": "New: Hotjar."}
			b := d.open("/frame.html")
			b.Run(`(document.cookie = 'sl_choice=1?:2025-06:preference::1763934343;path=/')`)
			b.Visit(d.URL + "/plain.html")
			b.Asked()
			text := eval[string](b, `$('section').innerText`)
			for _, want := range []string{"Something has changed", "Analytics", "New: Hotjar.", "November 23, 2025"} {
				if !strings.Contains(text, want) {
					t.Errorf("the banner does not say %q: %s", want, text)
				}
			}
			if strings.Contains(text, "settings such as language") {
				t.Errorf("the banner asks about what did not change: %s", text)
			}
			b.Click(tt.button, "section")
			got := d.wait("/_s/d", 1).Body
			b.Gone()
			if diff := cmp.Diff([]any{"custom", tt.purposes, tt.services}, []any{got["method"], granted(got["purposes"]), granted(got["services"])}); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			d.set(func(d *door) { d.nothing = true })
			b.Visit(d.URL + "/plain.html?again")
			b.Until(`window.sluice?.consent && !sluice.consent.pending`)
			b.Settle()
			if eval[bool](b, `!!document.querySelector('sluice-choices')`) {
				t.Error("what was answered is asked again")
			}
		})
	}
}

// TestBrowserClosedStaysClosed: who closes the banner is not asked again on the
// same page, whatever the answers to its events say.
func TestBrowserClosedStaysClosed(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.banner["renew"] = map[string]string{"preference": "New."}
	d.banner["close_button"] = true
	d.changed = true
	b := d.open("/frame.html")
	b.Run(`(document.cookie = 'sl_choice=1:2025-06:analytics:statistics:1763934343;path=/')`)
	b.Visit(d.URL + "/plain.html")
	b.Asked()
	b.Run(`$('.close').click()`)
	b.Gone()
	b.Run(`sluice.track('Again')`)
	d.wait("/_s/e", 2)
	b.Settle()
	if eval[bool](b, `!!document.querySelector('sluice-choices')`) {
		t.Error("the banner is back on the page on which it was closed")
	}
}

// TestBrowserHearsOfChanges: a choice that stands is looked after by the answer
// to an event; where none is sent, by the banner's door; a refusal by nobody.
func TestBrowserHearsOfChanges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, choice string
		changed      bool
		asks         int
	}{
		{"statistics granted, nothing changed", "analytics:statistics", false, 0},
		{"statistics granted, something changed", "analytics:statistics", true, 1},
		{"preferences alone granted", "preference:", false, 1},
		{"everything refused", ":", true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.nothing = true
			d.changed = tt.changed
			b := d.open("/frame.html")
			b.Run(`(document.cookie = 'sl_choice=1:2025-06:` + tt.choice + `:1763934343;path=/')`)
			b.Visit(d.URL + "/plain.html")
			b.Until(`window.sluice?.consent`)
			if strings.Contains(tt.choice, "statistics") {
				d.wait("/_s/e", 1)
			}
			if tt.asks > 0 {
				d.wait("/_s/b", 1)
			}
			b.Settle()
			if n := count(d.paths(), "GET /_s/b"); n != tt.asks {
				t.Errorf("asked for the banner %d times, want %d: %q", n, tt.asks, d.paths())
			}
			if eval[bool](b, `!sluice.consent || !!document.querySelector('sluice-choices')`) {
				t.Error("where there is nothing to ask, the choice stands and nothing is shown")
			}
		})
	}
}

func count(paths []string, path string) int {
	return len(slices.DeleteFunc(paths, func(p string) bool { return p != path }))
}
