package static_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestBrowserButton: the button is there from the choice on, on every page, in
// the page's language, and opens the preferences also without a mouse.
func TestBrowserButton(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/button.html")
	b.Asked()
	const shown = `!!document.querySelector('sluice-button')`
	if eval[bool](b, shown) {
		t.Error("the button is there before a choice")
	}
	b.Click("Reject all", "section")
	b.Gone()
	b.Until(shown)
	b.Visit(d.URL + "/button.html?next")
	b.Until(shown)
	b.Run(`(document.querySelector('sluice-button').remove(), 1)`) // as a framework may
	b.Until(shown)
	name := eval[string](b, `document.querySelector('sluice-button').shadowRoot.querySelector('button').textContent`)
	if !strings.Contains(name, "privacidade") {
		t.Errorf("the button of a Portuguese page is called %q", name)
	}
	b.Press(kb.Tab)
	if got := eval[string](b, `document.activeElement.localName`); got != "sluice-button" {
		t.Fatalf("Tab leads to %s, want the button", got)
	}
	if width := eval[float64](b, `document.querySelector('sluice-button').shadowRoot.querySelector('button').offsetHeight`); width < 24 {
		t.Errorf("the button is %v px high, want 24 at least", width)
	}
	b.Press(kb.Enter)
	b.Until(`$('dialog')?.open`)
	b.Press(kb.Escape)
	b.Gone()
	b.Until(`document.activeElement.localName === 'sluice-button'`)
}
