// Package browsertest drives a real Chromium in tests.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// visitor is the user agent of a visitor with this browser: its own says that
// it is headless, and machines are not counted; nor are those whose version
// differs from the one in the client hints.
func visitor(program string) (string, error) {
	out, err := exec.Command(program, "--version").Output() // "Chromium 156.0.7812.1 built on …"
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", program, err)
	}
	major := regexp.MustCompile(`[0-9]+`).FindString(string(out))
	return "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" + major + ".0.0.0 Safari/537.36", nil
}

// Patience bounds every wait; nothing waits that long unless it fails.
const Patience = 60 * time.Second

// used says that some test asked for the browser.
var used atomic.Bool

// browser is the one Chromium of a test binary. Tabs are kept apart by browser
// contexts: each has cookies, storage and cache of its own.
var browser = sync.OnceValues(func() (started, error) {
	program, err := find()
	if err != nil {
		return started{}, err
	}
	userAgent, err := visitor(program)
	if err != nil {
		return started{}, err
	}
	profile, err := os.MkdirTemp("", "sluice-chromium")
	if err != nil {
		return started{}, err
	}
	allocator, leave := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.Env("TMPDIR="+profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserAgent(userAgent), chromedp.Flag("disable-blink-features", "AutomationControlled"), // sets navigator.webdriver
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true))...)
	ctx, cancel := chromedp.NewContext(allocator)
	return started{ctx, func() { cancel(); leave(); _ = os.RemoveAll(profile) }}, chromedp.Do(ctx)
})

type started struct {
	ctx  context.Context
	stop func()
}

// Main runs a package's tests and stops the browser that they started; call it
// in TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if used.Load() {
		if b, _ := browser(); b.stop != nil {
			b.stop()
		}
	}
	return code
}

func find() (string, error) {
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

// Tab is one page of a visitor.
type Tab struct {
	t     testing.TB
	ctx   context.Context
	close context.CancelFunc

	mu       sync.Mutex
	console  []string
	requests []Request
}

// Request is one that the page made, redirects among them.
type Request struct {
	Method, URL string
	Headers     map[string]string
}

// Open starts a tab of a new visitor, or of the visitor whose tab is beside.
// The test is skipped where there is no Chromium, unless
// SLUICE_REQUIRE_CHROMIUM turns that into a failure.
func Open(t testing.TB, beside ...*Tab) *Tab {
	t.Helper()
	used.Store(true)
	parent, err := browser()
	if err != nil {
		if os.Getenv("SLUICE_REQUIRE_CHROMIUM") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	option := chromedp.WithNewBrowserContext()
	if len(beside) > 0 {
		option = chromedp.WithExistingBrowserContext(chromedp.FromContext(beside[0].ctx).BrowserContextID)
	}
	b := &Tab{t: t}
	ctx, cancel := chromedp.NewContext(parent.ctx, option, chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	b.ctx, b.close = ctx, cancel
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

// Close closes the tab before the test ends.
func (b *Tab) Close() { b.close() }

func (b *Tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		for _, arg := range ev.Args {
			b.console = append(b.console, fmt.Sprintf("%s %s %s", ev.Type, arg.Value, arg.Description))
		}
	case *runtime.EventExceptionThrown:
		b.console = append(b.console, "exception "+ev.ExceptionDetails.Text+" "+ev.ExceptionDetails.Exception.Description)
	case *network.EventRequestWillBeSent:
		r := Request{Method: ev.Request.Method, URL: ev.Request.URL, Headers: map[string]string{}}
		for name, value := range ev.Request.Headers {
			r.Headers[name] = fmt.Sprint(value)
		}
		b.requests = append(b.requests, r)
	}
}

// Console returns what the page's console shows so far.
func (b *Tab) Console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.console)
}

// Requests returns what the page asked for so far, oldest first.
func (b *Tab) Requests() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// Visit loads a page.
func (b *Tab) Visit(url string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(url))
}

// Do runs actions.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v; console: %q", err, b.Console())
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

// Until waits for a JavaScript expression to hold in the page, also across
// navigations: while there is no page to ask, it does not hold.
func (b *Tab) Until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](helpers+"!!("+expression+")})()"))
		if err == nil && holds {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("waiting for %s: %v; console: %q", expression, err, b.Console())
		case <-tick.C:
		}
	}
}

// Eval runs an expression in the page and returns its value, waiting for a
// promise.
func Eval[T any](b *Tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](helpers+expression+"})()", chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v; console: %q", expression, err, b.Console())
	}
	return got
}

// Run evaluates an expression for its effect.
func (b *Tab) Run(expression string) {
	b.t.Helper()
	Eval[chromedp.Void](b, expression)
}

// Settle returns once a navigation within the page would have been counted: a
// timer set now fires after the script's, which is shorter and was set before.
func (b *Tab) Settle() {
	b.t.Helper()
	b.Run(`new Promise((done) => setTimeout(done, 80))`)
}

// Asked waits for the first layer; Gone for it and the preferences to leave.
func (b *Tab) Asked() { b.t.Helper(); b.Until(`$('section')?.matches(':popover-open')`) }

// Gone waits until neither layer is shown.
func (b *Tab) Gone() { b.t.Helper(); b.Until(`!$('section') && !$('dialog')`) }

// Click presses the button with this label in the first layer ("section") or
// in the preferences ("dialog").
func (b *Tab) Click(label, within string) {
	b.t.Helper()
	b.Run(fmt.Sprintf("button(%q, %q).click()", label, within))
}

// Paths returns the paths that were asked for on origin, with their methods,
// and fails on a request to any other.
func (b *Tab) Paths(origin string) []string {
	b.t.Helper()
	var out []string
	for _, r := range b.Requests() {
		path, ours := strings.CutPrefix(r.URL, origin)
		if !ours {
			b.t.Errorf("a request left the site: %s %s", r.Method, r.URL)
			continue
		}
		path, _, _ = strings.Cut(path, "?")
		out = append(out, r.Method+" "+path)
	}
	return out
}

// Cookies returns the cookies that the given addresses would be sent, the
// HttpOnly ones too, by name.
func (b *Tab) Cookies(urls ...string) map[string]network.Cookie {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	out := map[string]network.Cookie{}
	got, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: urls})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range got.Cookies {
		out[c.Name] = *c
	}
	return out
}

// BeforeEachPage runs a script in every page from the next one on, before the
// page's own.
func (b *Tab) BeforeEachPage(script string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		b.t.Fatal(err)
	}
}

// PrivacyControl makes the browser send Global Privacy Control from the next
// page on, by header and by navigator.globalPrivacyControl.
func (b *Tab) PrivacyControl() {
	b.t.Helper()
	b.BeforeEachPage(`Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {value: true})`)
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Sec-GPC": "1"}}); err != nil {
		b.t.Fatal(err)
	}
}
