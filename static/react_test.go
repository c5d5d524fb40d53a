package static_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// reactApp is testdata/react/app.js with React, as a site's build makes it.
var reactApp = sync.OnceValues(func() ([]byte, []api.Message) {
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{"testdata/react/app.js"}, Bundle: true, Format: api.FormatIIFE, MinifySyntax: true,
		Define: map[string]string{"process.env.NODE_ENV": `"production"`},
	})
	if len(result.Errors) > 0 {
		return nil, result.Errors
	}
	return result.OutputFiles[0].Contents, nil
})

// TestReact hydrates a document after the banner, a placeholder or a running
// script has changed it, and routes away from marked elements and back.
func TestReact(t *testing.T) {
	t.Parallel()
	app, problems := reactApp()
	if problems != nil {
		t.Fatal(problems)
	}
	d := newDoor(t)
	d.handle("GET /react.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(app)
	})
	b := d.open("/react.html")
	b.Asked()
	b.Until(`document.querySelector('sluice-frame')?.shadowRoot.querySelector('button')`)
	b.Run(`hydrate()`)
	b.Until(`window.hydrated`)
	b.Asked() // put back where React has rendered the body anew
	b.Until(`document.querySelectorAll('sluice-frame').length === 1`)
	b.Click("Accept all", "section")
	b.Until(`window.ran?.length === 1`)
	d.wait("/frame.html", 1)
	b.Gone()

	// A client router takes the marked elements away, and brings new ones.
	b.Run(`document.querySelector('#go').click()`)
	b.Until(`!document.querySelector('main')`)
	b.Run(`document.querySelector('#go').click()`)
	b.Until(`ran.length === 2`)
	b.Until(`document.querySelector('iframe').src.endsWith('/frame.html')`)
	b.withdraw()
	b.Until(`document.querySelectorAll('sluice-frame').length === 1`)
	b.Run(`document.querySelector('#go').click()`)
	b.Until(`!document.querySelector('main') && !document.querySelector('sluice-frame')`)

	// A visitor who agreed: the script has run before React hydrates.
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Accept all", "dialog")
	b.Gone()
	b.Visit(d.URL + "/react.html?again")
	b.Until(`ran.length > 0`)
	b.Run(`hydrate()`)
	b.Until(`window.hydrated`)
	b.Settle()
	if got := eval[[]string](b, `ran`); !slices.Equal(got, []string{"one"}) {
		t.Errorf("on a later page ran %q, want it once", got)
	}
	if got := eval[[]string](b, `window.recovered ?? []`); len(got) > 0 {
		t.Errorf("React had to render a later page anew: %q", got)
	}
	for _, line := range b.Console() {
		if strings.HasPrefix(line, "exception") {
			t.Errorf("the console shows %s", line)
		}
	}
}
