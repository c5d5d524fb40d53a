package static_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"sluice/static/browsertest"
)

// TestGateUserMarkup shows what visitors wrote, as a sanitizer lets it pass:
// links and data-… attributes.
func TestGateUserMarkup(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/marked.html")
	b.Asked()
	b.Run(`document.body.insertAdjacentHTML('beforeend', ` + "`" + `
		<a data-purpose="essential" data-src="javascript:ran.push('a')">a</a>
		<map><area data-purpose="essential" data-src="javascript:ran.push('area')" alt="area"></map>
		<svg><a data-purpose="essential" data-src="javascript:ran.push('svg')"><text y="9">svg</text></a></svg>
		<iframe data-purpose="essential" data-src=" java&#10;script:parent.ran.push('frame')"></iframe>
		<iframe data-purpose="essential" data-src="http://["></iframe>
		<img data-purpose="essential" data-src="/pixel.gif?user" alt="">` + "`" + `)`)
	d.wait("/pixel.gif", 1)
	if got := eval[[]string](b, `[...document.querySelectorAll('[data-purpose=essential]:is([src],[href])')].map((e) => e.outerHTML)`); len(got) != 1 || !strings.Contains(got[0], "<img") {
		t.Errorf("given an address: %q, want the image alone", got)
	}
	if got := eval[[]string](b, `ran`); !slices.Equal(got, []string{"essential"}) {
		t.Errorf("ran %q, want what the page marked, and nothing that a visitor wrote", got)
	}
}

// withdrawnElsewhere is a statement that does what another window's withdrawal
// does to this one.
const withdrawnElsewhere = `document.cookie = 'sl_choice=1:2025-07:::1763934999;path=/';`

// TestGateWithdrawnInAnotherWindow has a browser that tells nobody about a
// changed cookie, as on a page without TLS.
func TestGateWithdrawnInAnotherWindow(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := &tab{browsertest.Open(t), d}
	b.BeforeEachPage(`Object.defineProperty(window, 'cookieStore', {value: undefined})`)
	b.Visit(d.URL + "/gate.html")
	b.Asked()
	b.choose("analytics-statistics")
	b.Until(`ran.includes('module')`)
	b.Gone()
	const place = `document.querySelector('iframe[data-service=hotjar]').previousSibling`
	b.Until(place + `.shadowRoot?.querySelector('button')`)
	b.Run(`(() => {` + withdrawnElsewhere + place + `.shadowRoot.querySelectorAll('button')[1].click(); })()`)
	if got := granted(d.wait("/_s/d", 2).Body["services"]); got != "hotjar" {
		t.Errorf("Always load, after a withdrawal in another window, grants %q, want hotjar alone", got)
	}
}

// TestGateWithdrawnBetweenScripts has another window withdraw while a script
// holds up the next one.
func TestGateWithdrawnBetweenScripts(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.handle("GET /window.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		if _, err := io.WriteString(w, withdrawnElsewhere); err != nil {
			t.Error(err)
		}
	})
	b := &tab{browsertest.Open(t), d}
	b.BeforeEachPage(`Object.defineProperty(window, 'cookieStore', {value: undefined})`)
	b.Visit(d.URL + "/marked.html")
	b.Asked()
	b.Run(`document.querySelector('script[data-service=statistics]').insertAdjacentHTML('beforebegin',
		'<script type="text/plain" data-service="statistics" data-src="/window.js"></script>')`)
	b.choose("analytics-statistics")
	b.Until(`document.cookie.includes(1763934999)`)
	b.Settle()
	if got := eval[[]string](b, `ran`); !slices.Equal(got, []string{"essential", "from file"}) {
		t.Errorf("ran %q, want nothing after the withdrawal in another window", got)
	}

	// And the same before a script is inserted.
	b.Run(`(document.cookie = 'sl_choice=1:2025-07:analytics:statistics:1763935000;path=/', document.dispatchEvent(new Event('visibilitychange', {bubbles: true})))`)
	b.Until(`ran.includes('inline after 2')`)
	b.Run(`(() => {` + withdrawnElsewhere + `
		document.body.insertAdjacentHTML('beforeend', '<script type="text/plain" data-service="statistics">ran.push("late")</script>');
	})()`)
	b.Settle()
	if got := eval[[]string](b, `ran`); slices.Contains(got, "late") {
		t.Errorf("ran %q: the last one was inserted after the withdrawal in another window", got)
	}
}

// mark inserts a script of a service before the second one of gate.html.
func (b *tab) mark(src, service string) {
	b.t.Helper()
	b.Run(fmt.Sprintf(`(() => {
		const s = Object.assign(document.createElement('script'), {type: 'text/plain'});
		Object.assign(s.dataset, {src: %q, service: %q});
		document.querySelector('#second').before(s);
	})()`, src, service))
}

// held answers path with a script that notes its query once the test lets go.
func (d *door) held(path string) (release func()) {
	let := make(chan struct{})
	release = sync.OnceFunc(func() { close(let) })
	d.t.Cleanup(release)
	d.handle("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		<-let
		http.ServeFile(w, r, "testdata/ran.js")
	})
	return release
}

func TestGateWithdrawnWhileLoading(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	release := d.held("/held.js")
	b := d.open("/gate.html")
	b.Asked()
	b.mark("/held.js?async", "hotjar") // one that would load the page anew, had it run
	b.Run(`(document.querySelector('#second').previousSibling.async = true, window.same = true)`)
	b.mark("/held.js?held", "statistics")
	b.choose("analytics-statistics", "analytics-hotjar")
	d.wait("/held.js", 2)
	b.Gone()
	b.withdraw()
	b.Gone()
	release()
	b.Settle()
	b.Settle()
	if got := eval[[]any](b, `[window.same, ...ran]`); !cmp.Equal(got, []any{true, "essential", "slow"}) {
		t.Errorf("the page still there, and what ran: %v; want what had run before the withdrawal", got)
	}

	// Granted again, they run, and so does what stood behind them.
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Accept all", "dialog")
	b.Until(`ran.includes('module')`)
	if got := strings.Join(eval[[]string](b, `ran.filter((r) => r !== 'async')`), " "); got != "essential slow held second hotjar deferred module" {
		t.Errorf("granted again, ran %q", got)
	}
	b.strictly()
}

// TestGateGoesOn has scripts whose turn cannot come, or does not end: the others
// run all the same.
func TestGateGoesOn(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, page, before, after, last string }{
		{"removed before its turn", "/gate.html", "", `document.querySelector('#second').remove()`, "module"},
		{"an inline module that the policy refuses", "/gate.html", `(() => {
			const s = document.createElement('script');
			s.type = 'text/plain'; s.dataset.service = 'statistics'; s.dataset.type = 'module';
			s.append('ran.push("refused")');
			document.querySelector('#second').before(s);
		})()`, "", "module"},
		{"an attribute that a script cannot set", "/marked.html", `document.querySelector('h1').insertAdjacentHTML('beforebegin',
			'<script type="text/plain" data-service="statistics" data-src="/ran.js?odd" =odd></script>')`, "", "inline after 3"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			release := d.held("/held.js")
			b := d.open(c.page)
			b.Asked()
			if c.before != "" {
				b.Run(c.before)
			}
			if c.after != "" {
				b.mark("/held.js?held", "statistics")
			}
			b.choose("analytics-statistics")
			if c.after != "" {
				d.wait("/held.js", 1)
				b.Run(c.after)
			}
			release()
			b.Until(`ran.at(-1) === '` + c.last + `'`)
		})
	}
}

func TestGateHandlers(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/marked.html")
	b.Asked()
	b.Run(`document.body.insertAdjacentHTML('beforeend',
		'<script type="text/plain" data-service="statistics" data-src="/marked.js" onload="ran.push(this.src && \'loaded\')"></script>' +
		'<script type="text/plain" data-service="statistics" data-src="/nowhere.js" onerror="ran.push(\'failed\')"></script>')`)
	b.choose("analytics-statistics")
	b.Until(`ran.length > 4`)
	want := []string{"essential", "from file", "inline after 2", "from file", "loaded", "failed"}
	b.Until(`ran.includes('failed')`)
	if got := eval[[]string](b, `ran`); !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

// TestGateCopies copies frames and moves them about, as carousels and routers
// do that keep a page for later.
func TestGateCopies(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/gate.html")
	b.Asked()
	b.Run(`(() => {
		const i = document.createElement('img');
		i.dataset.service = 'statistics'; i.dataset.srcset = '/pixel.gif?set 1x'; i.alt = '';
		document.body.append(i);
	})()`)
	b.choose("analytics-statistics")
	b.Gone()
	const loaded = `[...document.querySelectorAll('iframe[src]')].length`
	b.Until(loaded + ` === 1 && document.querySelector('img[srcset]')`)
	b.Run(`(() => {
		const frame = document.querySelector('iframe[src]');
		window.kept = frame.cloneNode(true);
		frame.src += '?player'; // as a player's script does
		frame.after(frame.cloneNode(true));
	})()`)
	d.wait("/frame.html", 2)
	b.Settle()
	if got := eval[int](b, `[...document.querySelectorAll('iframe[src$=player]')].length`); got != 2 {
		t.Errorf("%d frames of 2 kept the address that a script of the page gave them", got)
	}
	b.withdraw()
	b.Gone()
	b.Until(`!` + loaded)
	if eval[bool](b, `!!document.querySelector('img[srcset]')`) {
		t.Error("the image still has its srcset after the withdrawal")
	}
	b.Run(`document.body.append(kept)`)
	b.Until(`document.querySelectorAll('sluice-frame').length === 4 && !` + loaded)

	// Blocked, and elsewhere while the grant comes.
	b.Run(`(() => {
		const frame = document.querySelector('iframe[data-service=hotjar]');
		window.kept = [frame, frame.cloneNode(true)];
		frame.remove();
	})()`)
	b.Settle()
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Accept all", "dialog")
	b.Gone()
	b.Run(`document.body.append(...kept)`)
	b.Until(loaded + ` === 5`)
	if got := eval[[]string](b, `[...document.querySelectorAll('iframe')].map((f) => getComputedStyle(f).display)`); slices.Contains(got, "none") {
		t.Errorf("display of the frames under the grant: %q", got)
	}
	b.strictly()
}

// TestGateWithoutFacts is told nothing about the services, for a while.
func TestGateWithoutFacts(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.withhold = "/_s/m"
	b := d.open("/gate.html")
	b.Asked()
	b.heard("/_s/m answers 404")
	d.set(func(d *door) { d.withhold = "" })
	b.mark("/ran.js?late", "statistics")
	b.Until(`[...document.querySelectorAll('sluice-frame')].filter((p) => p.shadowRoot.querySelector('button')).length === 2`)
}

func TestGateReloadWithoutFacts(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.withhold = "/_s/m"
	b := d.open("/gate.html")
	b.Asked()
	b.choose("analytics-hotjar")
	b.Until(`ran.includes('hotjar')`)
	b.Gone()
	b.Run(`window.same = true`)
	b.withdraw()
	b.Until(`!window.same && window.sluice?.consent`) // whether it can be stopped is not known
}

func TestGateAlwaysWithCookiesStripped(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.stripCookies = true
	b := d.open("/gate.html")
	b.Asked()
	b.Until(`document.querySelector('sluice-frame')?.shadowRoot.querySelector('button')`)
	b.Run(`document.querySelector('sluice-frame').shadowRoot.querySelectorAll('button')[1].click()`)
	d.wait("/frame.html", 1)
	b.heard("Let the web server pass Set-Cookie on")
	if got := d.wait("/_s/e", 1).Body["token"]; got != "token-analytics" {
		t.Errorf("token of the first event: %v", got)
	}
	b.Gone()
}

// TestGateFocus presses "Always load" by the keyboard.
func TestGateFocus(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/gate.html")
	b.Asked()
	b.Until(`document.querySelector('sluice-frame')?.shadowRoot.querySelector('button')`)
	b.Run(`document.querySelector('sluice-frame').shadowRoot.querySelectorAll('button')[1].focus()`)
	b.Press(kb.Enter)
	d.wait("/frame.html", 1)
	b.Settle()
	if got := eval[string](b, `document.activeElement.title || document.activeElement.localName`); got != "Statistics" {
		t.Errorf("the focus is on %s, want the frame that was loaded", got)
	}
}
