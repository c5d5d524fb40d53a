package e2e

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"sluice/server"
	"sluice/static/browsertest"
)

// TestDemoForDevelopers goes through the demo's pages for developers: what
// waits waits, and what they say happens.
func TestDemoForDevelopers(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	shop := startDemo(t)
	b := browsertest.Open(t)
	b.Visit(shop + "/developers/waiting")
	b.Asked()
	if got := browsertest.Eval[string](b, `document.querySelector('#mill').textContent`); !strings.Contains(got, "not run") {
		t.Errorf("before a choice: %q", got)
	}
	b.Paths(shop) // fails on a request to anybody else
	b.Click("Accept all", "section")
	b.Gone()
	b.Until(`document.querySelector('#mill').textContent.includes('set the cookie') && document.cookie.includes('mill_id') && document.querySelector('img').complete`)

	b.Visit(shop + "/developers/preferences")
	b.Until(`window.sluice?.prefs`)
	b.Run(`document.querySelector('[value=SEK]').click()`)
	b.Until(`document.querySelector('output').textContent === 'SEK' && document.cookie.includes('sl_pref')`)
	b.Visit(shop + "/developers/preferences")
	b.Until(`document.querySelector('output').textContent === 'SEK'`)

	b.Visit(shop + "/developers/events?sluice=debug")
	b.Until(`window.sluice?.consent && document.querySelector('sluice-inspector')`)
	b.Run(`document.querySelector('[data-track]').click()`)
	b.Until(`document.querySelector('sluice-inspector').shadowRoot.textContent.includes('Postcard ordered')`)

	b.Visit(shop + "/developers/waiting")
	b.Run(`sluice.ready.then(() => sluice.open())`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
	b.Until(`!document.cookie.includes('mill_id')`)
	b.Visit(shop + "/developers/frame")
	b.Until(`document.querySelector('sluice-frame')`)
	for _, page := range []string{"/developers", "/developers/look", "/developers/choices"} {
		b.Visit(shop + page)
		b.Until(`window.sluice?.consent && document.querySelector('h1')`)
	}
	wantQuiet(t, b)
}

// startDemo runs `sluice demo` without a history and returns the shop's
// address.
func startDemo(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, ended := &logs{}, make(chan error, 1)
	args := []string{"demo", "--listen", namedAddress(t), "--data-dir", t.TempDir(), "--events", "0"}
	go func() { ended <- server.Run(ctx, args, strings.NewReader(""), out, out) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("sluice demo: %v\n%s", err, out)
		}
		if strings.Contains(out.String(), "MUST NOT BE SENT") {
			t.Errorf("the demo's stand-in was told what must not leave:\n%s", out)
		}
	})
	said := regexp.MustCompile(`The shop +(http://\S+)`)
	r := &rig{t: t, logs: out}
	var shop string
	r.eventually("the demo is ready", func() error {
		if m := said.FindStringSubmatch(out.String()); m != nil {
			shop = m[1]
			return nil
		}
		return errors.New("it has not said where the shop is")
	})
	return shop
}
