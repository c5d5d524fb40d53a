package static_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait of a browser test; nothing waits that long unless
// it fails.
const patience = 20 * time.Second

type hitKey struct{}

func withHit(ctx context.Context, h hit) context.Context { return context.WithValue(ctx, hitKey{}, h) }

func hitOf(ctx context.Context) hit {
	h, _ := ctx.Value(hitKey{}).(hit)
	return h
}

// browser is the one Chromium of this package's tests.
var browser = sync.OnceValues(startBrowser)

func startBrowser() (context.Context, error) {
	program, err := findChromium()
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "sluice-chromium")
	if err != nil {
		return nil, err
	}
	stopBrowser = append(stopBrowser, func() { _ = os.RemoveAll(profile) })
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true))...)
	stopBrowser = append(stopBrowser, cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	stopBrowser = append(stopBrowser, cancel)
	return ctx, chromedp.Do(ctx)
}

var stopBrowser []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(stopBrowser) - 1; i >= 0; i-- {
		stopBrowser[i]()
	}
	os.Exit(code)
}

func findChromium() (string, error) {
	if program := os.Getenv("SLUICE_CHROMIUM"); program != "" {
		return program, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", fmt.Errorf("no Chromium: set SLUICE_CHROMIUM, or install chromium")
}

// A tab is a page of a visitor's own: no cookie or storage is shared with
// another, unless it was opened beside it.
type tab struct {
	*door
	ctx context.Context

	mu      sync.Mutex
	console []string
}

// open shows a page of the door in a fresh profile, or in that of another tab.
func (d *door) open(page string, beside ...*tab) *tab {
	d.t.Helper()
	parent, err := browser()
	if err != nil {
		if os.Getenv("SLUICE_REQUIRE_CHROMIUM") == "1" {
			d.t.Fatal(err)
		}
		d.t.Skip(err)
	}
	options := []chromedp.ContextOption{chromedp.WithNewBrowserContext()}
	if len(beside) > 0 {
		id := chromedp.FromContext(beside[0].ctx).BrowserContextID
		options = []chromedp.ContextOption{chromedp.WithExistingBrowserContext(id)}
	}
	b := &tab{door: d}
	options = append(options, chromedp.WithListener(b.listen))
	ctx, cancel := chromedp.NewContext(parent, options...)
	d.t.Cleanup(cancel)
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		d.t.Fatal(err)
	}
	b.visit(page)
	return b
}

// listen collects what the console shows.
func (b *tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		for _, arg := range ev.Args {
			b.console = append(b.console, fmt.Sprintf("%s %s %s", ev.Type, arg.Value, arg.Description))
		}
	case *runtime.EventExceptionThrown:
		b.console = append(b.console, "exception "+ev.ExceptionDetails.Text+" "+ev.ExceptionDetails.Exception.Description)
	}
}

// said reports whether the console shows a message.
func (b *tab) said(what string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.console {
		if strings.Contains(line, what) {
			return true
		}
	}
	return false
}

func (b *tab) visit(page string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.URL + page))
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err, b.console)
	}
}

// until waits for an expression to hold in the page.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Poll[chromedp.Void](helpers+expression+"})()", chromedp.WithPollingTimeout(patience))); err != nil {
		b.t.Fatalf("waiting for %s: %v; console: %q", expression, err, b.console)
	}
}

// helpers make the banner's parts short to name: $ and $$ look into its shadow
// root, button finds one by its label.
const helpers = `(() => {
	const root = document.querySelector('sluice-choices')?.shadowRoot;
	const $ = (s) => root?.querySelector(s);
	const $$ = (s) => [...root?.querySelectorAll(s) ?? []];
	const button = (label, within = 'section') => $$(within + ' button').find((b) => b.textContent === label);
	return `

// eval runs an expression in the page, waiting for a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](helpers+expression+"})()", chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return got
}

// run evaluates an expression for its effect.
func (b *tab) run(expression string) {
	b.t.Helper()
	eval[chromedp.Void](b, expression)
}

// settle returns once a navigation within the page would have been counted: a
// timer set now fires after the script's, which is shorter and was set before.
func (b *tab) settle() {
	b.t.Helper()
	b.run(`new Promise((done) => setTimeout(done, 80))`)
}

// asked waits for the first layer, and gone for it and the preferences to leave.
func (b *tab) asked() { b.t.Helper(); b.until(`$('section')?.matches(':popover-open')`) }
func (b *tab) gone()  { b.t.Helper(); b.until(`!$('section') && !$('dialog')`) }

func (b *tab) click(label, within string) {
	b.t.Helper()
	b.run(fmt.Sprintf("button(%q, %q).click()", label, within))
}
