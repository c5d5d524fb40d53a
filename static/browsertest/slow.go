package browsertest

import (
	"context"
	"errors"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Phone is how many times slower than this machine Slow's phone is.
const Phone = 4

// Slow makes the tab that of a phone on a mobile network: a processor that is
// slower by the factor given, 150 ms from a request to its answer, 1.6 Mbit/s
// down, 0.75 up.
func (b *Tab) Slow(cpu float64) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	_, processor := chromedp.Call(ctx, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: cpu})
	_, net := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Latency: 150, DownloadThroughput: 1.6e6 / 8, UploadThroughput: 0.75e6 / 8}},
	})
	if err := errors.Join(processor, net); err != nil {
		b.t.Fatal(err)
	}
}

// Unwatched turns off those parts of the developer tools that do work of their
// own within the page's scripts: they parse each text of a constructed style
// sheet a second time, for an editor that nobody has opened.
func (b *Tab) Unwatched() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	_, styles := chromedp.Call(ctx, css.Disable, cdp.Empty{})
	_, nodes := chromedp.Call(ctx, dom.Disable, cdp.Empty{})
	if err := errors.Join(styles, nodes); err != nil {
		b.t.Fatal(err)
	}
}

// BeforePages runs a script in every page from now on, before the page's own.
func (b *Tab) BeforePages(script string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	if err != nil {
		b.t.Fatal(err)
	}
}
