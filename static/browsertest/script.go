package browsertest

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// TimeScripts starts to trace the tab. What it returns stops that, and tells for
// how many milliseconds of its own time (not the clock's: what else the machine
// runs does not count) the main thread was busy with scripts from origin:
// evaluation and compilation, callbacks, and the microtasks that go on where a
// promise resolved, in which a product that starts by `await` spends half of its
// time. (The ScriptDuration of the Performance domain leaves those out.) Style,
// layout and the parsing of style sheets are not script, even where a script has
// to wait for them. What the test itself runs has no address, and does not
// count, but for its microtasks: a page without scripts has those too.
func (b *Tab) TimeScripts(origin string) (stop func() float64) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	var events []traceEvent
	complete := make(chan struct{})
	err := chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *tracing.EventDataCollected:
			for _, raw := range ev.Value {
				var e traceEvent
				if json.Unmarshal(raw, &e) == nil && e.Phase == "X" { // other phases have other arguments, and no duration
					events = append(events, e)
				}
			}
		case *tracing.EventTracingComplete:
			close(complete)
		}
	})
	if err == nil {
		_, err = chromedp.Call(ctx, tracing.Start, tracing.StartParams{TraceConfig: &tracing.TraceConfig{
			IncludedCategories: []string{"devtools.timeline", "v8", "v8.execute", "blink_style"}, ExcludedCategories: []string{"*"},
		}})
	}
	if err != nil {
		cancel()
		b.t.Fatal(err)
	}
	return func() float64 {
		b.t.Helper()
		defer cancel()
		if _, err := chromedp.Call(ctx, tracing.End, cdp.Empty{}); err != nil {
			b.t.Fatal(err)
		}
		select {
		case <-complete:
		case <-ctx.Done():
			b.t.Fatal("the browser did not hand over its trace")
		}
		return scriptTime(events, origin)
	}
}

// traceEvent is a span of time on a thread, in microseconds.
type traceEvent struct {
	Name    string  `json:"name"`
	Phase   string  `json:"ph"`
	Process int     `json:"pid"`
	Thread  int     `json:"tid"`
	Start   float64 `json:"ts"`
	Length  float64 `json:"dur"`
	Busy    float64 `json:"tdur"` // of the thread itself
	Args    struct {
		Data struct {
			URL string `json:"url"`
		} `json:"data"`
		File string `json:"fileName"`
	} `json:"args"`
}

func (e traceEvent) end() float64 { return e.Start + e.Length }

// script reports whether a span is one of a script from origin; of modules and
// microtasks the browser does not say where they are from.
func (e traceEvent) script(origin string) bool {
	switch e.Name {
	case "EvaluateScript", "FunctionCall", "v8.compile", "v8.compileModule":
		return strings.HasPrefix(cmp.Or(e.Args.Data.URL, e.Args.File), origin)
	case "v8.evaluateModule", "RunMicrotasks":
		return true
	}
	return false
}

var styling = []string{"UpdateLayoutTree", "Layout", "Document::updateStyle", "Document::updateActiveStyle", "CSSParserImpl::parseStyleSheet"}

// scriptTime adds up the spans of scripts, each nested one once, without the
// styling inside of them.
func scriptTime(events []traceEvent, origin string) float64 {
	slices.SortStableFunc(events, func(a, b traceEvent) int {
		return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Thread, b.Thread), cmp.Compare(a.Start, b.Start), cmp.Compare(b.Length, a.Length))
	})
	var total float64
	var script, style traceEvent // the outermost that were met last
	within := func(e, outer traceEvent) bool {
		return e.Process == outer.Process && e.Thread == outer.Thread && e.Start < outer.end()
	}
	for _, e := range events {
		switch {
		case within(e, style):
		case slices.Contains(styling, e.Name):
			style = e
			if within(e, script) {
				total -= e.Busy
			}
		case within(e, script):
		case e.script(origin):
			script = e
			total += e.Busy
		}
	}
	return total / 1000
}
