package e2e

import (
	"testing"

	"sluice/static/browsertest"
)

// TestDrivenBrowser agrees to everything in a browser that says of itself that
// a program drives it: nothing of it is stored, and the reason is counted.
func TestDrivenBrowser(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	b := browsertest.Open(t)
	b.BeforeEachPage(`Object.defineProperty(Navigator.prototype, 'webdriver', {value: true})`)
	b.Visit(r.origin() + "/")
	b.Asked()
	b.Click("Accept all", "section")
	b.Gone()
	r.wantRows("SELECT key FROM counters WHERE kind = 'refusal' GROUP BY key", "bot/headless")
	r.wantRows("SELECT count() FROM events", "0")
}
