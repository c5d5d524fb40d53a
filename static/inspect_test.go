package static_test

import (
	"slices"
	"strings"
	"testing"
)

// TestInspector looks at a strict page by ?sluice=debug: what was sent, what
// the server said of it, and what was not sent at all.
func TestInspector(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.explained = `[{"index":0,"stored":{"channel":"Direct","country":"DE"},"forwards":[` +
		`{"destination":"google-analytics","changed":{"rule 9 NAME_RESERVED":1}},{"destination":"matomo","refused":"no_consent"}]}]`
	b := d.open("/csp.html?sluice=debug")
	b.Asked()
	const lines = `[...document.querySelector('sluice-inspector').shadowRoot.querySelectorAll('li')].map((l) => l.querySelector('b').textContent + ' | ' + [...l.querySelectorAll('p')].map((p) => p.textContent).join(' | '))`
	text := func() string { return strings.Join(eval[[]string](b, lines), "\n") }
	b.Run(`sluice.track('early')`)
	if got := text(); !strings.Contains(got, "early | Not sent: statistics are not granted") {
		t.Errorf("an event before a decision: %s", got)
	}
	b.Click("Accept all", "section")
	if got := d.wait("/_s/e", 1).Body["debug"]; got != true {
		t.Errorf("the first event was sent without asking for an explanation: debug is %v", got)
	}
	b.Until(lines + `.some((l) => l.startsWith('pageview'))`)
	b.Gone()
	for _, want := range []string{
		"Decision: accept_all | 201", "pageview /csp.html?sluice=debug | Stored | Direct, DE",
		"google-analytics: queued; its rules: rule 9 NAME_RESERVED (1)", "matomo: not sent: the visitor has not agreed to this service",
	} {
		if got := text(); !strings.Contains(got, want) {
			t.Errorf("the inspector does not say %q:\n%s", want, got)
		}
	}
	d.set(func(d *door) { d.dropped = "duplicate" })
	b.Run(`sluice.track('twice')`)
	b.Until(lines + `.some((l) => l.includes('Refused: an event of this id was stored before (duplicate)'))`)
	d.set(func(d *door) { d.dropped, d.detail = "invalid", "events[0].name is empty" })
	b.Run(`sluice.track('')`)
	b.Until(lines + `.some((l) => l.includes('wrong type (invalid) | events[0].name is empty'))`)
	b.Run(`document.querySelector('sluice-inspector').remove()`)
	b.Until(`document.querySelector('sluice-inspector')`)
	b.strictly()

	plain := d.open("/plain.html", b)
	plain.Until(`window.sluice?.consent`)
	if got := d.wait("/_s/e", 4).Body["debug"]; got != nil || slices.Contains(eval[[]string](plain, `[...document.documentElement.children].map((e) => e.localName)`), "sluice-inspector") {
		t.Errorf("the inspector is there without being asked for; debug is %v", got)
	}
}
