package static_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"testing"

	"github.com/andybalholm/brotli"

	"sluice/static"
	"sluice/static/browsertest"
)

// managers are the banners that are measured, each embedded as its own
// documentation says, with two purposes to ask about.
var managers = []struct{ name, head, banner string }{
	{"no banner", "", ""},
	{"Sluice", `<script async src="/_s/s.js"></script>`, `sluice-choices section`},
	{
		"CookieConsent",
		`<link rel="stylesheet" href="/npm/vanilla-cookieconsent/dist/cookieconsent.css"><script type="module" src="/cookieconsent.js"></script>`,
		`#cc-main .cm`,
	},
	{
		"Orejime",
		`<script>window.orejimeConfig = {privacyPolicyUrl: '/privacy', purposes: [
			{id: 'analytics', title: 'Analytics', description: 'Counts visits and shows which pages are useful.', cookies: ['_ga']},
			{id: 'preference', title: 'Preferences', description: 'Remembers settings such as language or layout.', cookies: ['theme']}]}</script>
		<script src="/npm/orejime/dist/orejime-standard-en.js"></script><link rel="stylesheet" href="/npm/orejime/dist/orejime-standard.css">`,
		`.orejime-Banner`,
	},
}

const cookieConsentConfig = `import '/npm/vanilla-cookieconsent/dist/cookieconsent.umd.js';
CookieConsent.run({
	guiOptions: { consentModal: { layout: 'box', equalWeightButtons: true } },
	categories: { necessary: { enabled: true, readOnly: true }, analytics: {}, preference: {} },
	language: { default: 'en', translations: { en: {
		consentModal: { title: 'You decide', description: 'Example GmbH asks for your consent. Nothing beyond the essential is stored or sent until you agree.',
			acceptAllBtn: 'Accept all', acceptNecessaryBtn: 'Reject all', showPreferencesBtn: 'Choose' },
		preferencesModal: { title: 'Your choice', acceptAllBtn: 'Accept all', acceptNecessaryBtn: 'Reject all', savePreferencesBtn: 'Save', sections: [
			{ title: 'Essential', description: 'Needed for the site to work, and to remember your choice.', linkedCategory: 'necessary' },
			{ title: 'Analytics', description: 'Counts visits and shows which pages are useful.', linkedCategory: 'analytics' },
			{ title: 'Preferences', description: 'Remembers settings such as language or layout.', linkedCategory: 'preference' }] },
	} } },
});`

const benchPage = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Bench</title>%s
<main><h1>A page with a heading and a paragraph</h1><p>The paragraph is what a visitor came for. It goes on for a few lines, as
paragraphs do, so that the browser has something to paint, and takes it for the largest thing that there is on this page.</p></main></html>`

// watch notes when the banner is painted first (in view, and not transparent),
// and what the browser says of the page meanwhile.
const watch = `(() => {
	const seen = window.seen = { visible: 0, long: 0, shift: 0, lcp: 0, lcpIsBanner: false };
	const inside = (node, end) => { for (; node; node = node.parentNode ?? node.host) if (node === end) return true; return false; };
	const find = () => {
		const [host, within] = '%s'.split(' ');
		const at = document.querySelector(host);
		return within ? (at?.shadowRoot ?? at)?.querySelector(within) : at;
	};
	const opaque = (node) => {
		for (; node; node = node.parentNode ?? node.host) {
			if (!(node instanceof Element)) continue;
			const style = getComputedStyle(node);
			if (style.visibility === 'hidden' && node === find() || style.opacity < 0.01) return false;
		}
		return true;
	};
	const look = () => {
		const banner = find(), box = banner?.getBoundingClientRect();
		if (box?.height && box.top < innerHeight && box.bottom > 0 && opaque(banner)) return void ((seen.visible = performance.now()), seen.told?.());
		next();
	};
	const { port1, port2 } = new MessageChannel(); // after the frame's own layout: nothing is laid out for the sake of looking
	port1.onmessage = look;
	const next = () => requestAnimationFrame(() => port2.postMessage(0));
	if ('%[1]s') next();
	const observe = (type, then) => new PerformanceObserver((list) => list.getEntries().forEach(then)).observe({ type, buffered: true });
	observe('longtask', (entry) => (seen.long += entry.duration - 50));
	observe('layout-shift', (entry) => (seen.shift += entry.value));
	observe('largest-contentful-paint', (entry) => {
		seen.lcp = entry.startTime;
		seen.lcpIsBanner = !entry.element || inside(entry.element, find()); // null: in a shadow tree
	});
})()`

type figures struct {
	Visible, Long, Shift, LCP float64
	LCPIsBanner               bool
	// script is the time of the page's scripts, and unslowed that of another
	// visit, at this machine's own speed: what slows the processor down does so by
	// the clock, and counts a wait for another process, or for a busy machine, as
	// work four times over. The second has little of that.
	script, unslowed float64
}

// BenchmarkBanner shows each banner to a new visitor with an empty cache on a
// slow phone, seven times, and prints the medians beside what was promised. What
// is compared is compared within a round: both sides had the same neighbours.
func BenchmarkBanner(b *testing.B) {
	const runs = 7
	server := benchServer(b)
	for range b.N {
		all := map[string][]figures{}
		for range runs {
			for _, m := range managers { // in turn: what slows the machine down slows all of them down
				f := measure(b, server.URL, m.name, m.banner, browsertest.Phone)
				f.unslowed = measure(b, server.URL, m.name, m.banner, 1).script
				all[m.name] = append(all[m.name], f)
			}
		}
		report(b, all)
	}
}

func measure(b *testing.B, url, name, banner string, cpu float64) figures {
	tab := browsertest.Open(b)
	defer tab.Close()
	tab.Look(browsertest.View{Width: 412, Height: 823})
	tab.Slow(cpu)
	tab.Unwatched()
	tab.BeforePages(fmt.Sprintf(watch, banner))
	scripts := tab.TimeScripts(url)
	tab.Visit(url + "/?" + name)
	if banner != "" { // asking again and again would count as the page's scripts
		tab.Run(`seen.visible || new Promise((done) => (seen.told = done))`)
	}
	tab.Run(`new Promise((done) => setTimeout(done, 700))`) // what comes after the banner counts as well
	out := browsertest.Eval[figures](tab, `seen`)
	out.script = scripts()
	return out
}

func report(b *testing.B, all map[string][]figures) {
	visible := func(f figures) float64 { return f.Visible }
	long := func(f figures) float64 { return f.Long }
	shift := func(f figures) float64 { return f.Shift }
	lcp := func(f figures) float64 { return f.LCP }
	script := func(f figures) float64 { return f.script }
	unslowed := func(f figures) float64 { return f.unslowed }

	// compared is the median of what rounds say of a banner beside another.
	compared := func(name, other string, how func(one, other figures) float64) float64 {
		var values []float64
		for round, f := range all[name] {
			values = append(values, how(f, all[other][round]))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	median := func(name string, of func(figures) float64) float64 {
		return compared(name, name, func(f, _ figures) float64 { return of(f) })
	}
	later := func(name string, of func(figures) float64) float64 { // than without a banner
		return compared(name, "no banner", func(f, none figures) float64 { return of(f) - of(none) })
	}
	// What the measuring itself runs, on a page without scripts, is none of theirs.
	ratio := func(of func(figures) float64) float64 {
		none := median("no banner", of)
		return compared("Sluice", "CookieConsent", func(ours, theirs figures) float64 { return (of(ours) - none) / (of(theirs) - none) })
	}
	largest := func(name string) bool {
		return slices.ContainsFunc(all[name], func(f figures) bool { return f.LCPIsBanner })
	}
	fmt.Printf("%-14s %10s %10s %12s %10s %6s %10s %s\n", "", "visible ms", "script ms", "unslowed ms", "long ms", "CLS", "LCP +ms", "banner is LCP")
	for _, m := range managers {
		fmt.Printf("%-14s %10.0f %10.1f %12.1f %10.0f %6.3f %10.0f %v\n",
			m.name, median(m.name, visible), later(m.name, script), later(m.name, unslowed), median(m.name, long), median(m.name, shift), later(m.name, lcp), largest(m.name))
	}
	fmt.Printf("script time beside CookieConsent's: %.2f, at this machine's own speed %.2f\n", ratio(script), ratio(unslowed))
	met := func(what string, ok bool) {
		fmt.Printf("%-70s %s\n", what, map[bool]string{true: "met", false: "MISSED"}[ok])
	}
	met("visible no later than the faster of the two", median("Sluice", visible) <= min(median("CookieConsent", visible), median("Orejime", visible)))
	met("script time at most half of CookieConsent's", ratio(script) <= 0.5 && ratio(unslowed) <= 0.5)
	met("no long task", median("Sluice", long) == 0)
	met("CLS 0", median("Sluice", shift) == 0)
	met("LCP at most 10 ms later than without a banner", later("Sluice", lcp) <= 10)
	met("never the LCP element", !largest("Sluice"))
	b.ReportMetric(median("Sluice", visible), "visible-ms")
	b.ReportMetric(ratio(script), "script/CookieConsent's")
	b.ReportMetric(ratio(unslowed), "unslowed/CookieConsent's")
	b.ReportMetric(0, "ns/op")
}

// benchServer serves the page with each banner, everything compressed alike.
func benchServer(b *testing.B) *httptest.Server {
	content, err := os.ReadFile("testdata/banner.json")
	if err != nil {
		b.Fatal(err)
	}
	if !json.Valid(content) {
		b.Fatal("testdata/banner.json is no JSON")
	}
	content = bytes.Replace(content, []byte(`"site": "example.com"`), []byte(`"site": "127.0.0.1"`), 1)
	banner, err := static.ComposeBanner(content)
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /_s/s.js", static.Script())
	mux.Handle("GET /_s/b", banner.First())
	mux.HandleFunc("GET /npm/", func(w http.ResponseWriter, r *http.Request) {
		body, err := os.ReadFile("../node_modules" + path.Clean(r.URL.Path)[len("/npm"):])
		if err != nil {
			http.NotFound(w, r)
			return
		}
		send(w, mime.TypeByExtension(path.Ext(r.URL.Path)), body)
	})
	mux.HandleFunc("GET /cookieconsent.js", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "text/javascript", []byte(cookieConsentConfig))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		for _, m := range managers {
			if r.URL.Query().Has(m.name) {
				send(w, "text/html", fmt.Appendf(nil, benchPage, m.head))
			}
		}
	})
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	return server
}

func send(w http.ResponseWriter, kind string, body []byte) {
	var buf bytes.Buffer
	z := brotli.NewWriterLevel(&buf, brotli.BestCompression)
	if _, err := z.Write(body); err != nil {
		panic(err) // into memory
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Encoding", "br")
	_, _ = w.Write(buf.Bytes())
}
