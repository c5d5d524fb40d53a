package demo

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

// Feature is a page for developers: something to write into a page, and the
// same at work beneath it.
type Feature struct {
	Slug, Title, Line string
	Code              template.HTML // shown, and run
	After             string        // what to look at
	Sheet             string        // a style sheet that the page adds, shown too
}

// The services of the third party beside the shop, as the demo's configuration
// names them.
const (
	CounterService = "mill-counter"
	FilmService    = "mill-films"
)

// features are the pages in their order. mill is the third party's origin.
func features(mill string) []Feature {
	return []Feature{
		{
			Slug: "waiting", Title: "What waits for a yes", Line: "A script and an image of a third party stay inert until their service is allowed.",
			Code: template.HTML(fmt.Sprintf(`<script type="text/plain" data-service="%[1]s" data-src="%[2]s/counter.js"></script>
<img data-service="%[1]s" data-src="%[2]s/pixel.svg" alt="Mill's pixel" width="120" height="40">
<p id="mill">Mill's script has not run.</p>`, CounterService, mill)),
			After: "Allow the Mill counter in the preferences, then take it back: its cookie mill_id goes, too. The console says what is held back.",
		},
		{
			Slug: "frame", Title: "A frame with a placeholder", Line: "A film that waits says who would receive the visit, and can be loaded once without a choice for good.",
			Code:  template.HTML(fmt.Sprintf(`<iframe data-service="%s" data-src="%s/film" title="How a vase is thrown" width="560" height="315"></iframe>`, FilmService, mill)),
			After: "“Load once” stores and sends nothing; “Always load” is a decision for this service alone.",
		},
		{
			Slug: "events", Title: "Events of your own", Line: "sluice.track sends an event; without a yes to statistics it does nothing.",
			Code:  `<button class="button" data-track="Postcard ordered" data-motif="kiln">Order a postcard</button>`,
			After: "Look inside: the inspector shows each event, whether it was stored or refused and why, and what the recipient says of it.",
		},
		{
			Slug: "preferences", Title: "Preferences that are kept", Line: "sluice.prefs holds for the page at once, and is kept once the visitor has granted preferences.",
			Code: `<p>Prices in <output data-shows="currency">EUR</output></p>
<button class="button" data-prefers="currency" value="EUR">Euro</button>
<button class="button" data-prefers="currency" value="SEK">Crowns</button>`,
			After: "Load the page again: with the purpose granted the choice is still there, in the cookie sl_pref.",
		},
		{
			Slug: "look", Title: "In the shop's own colours", Line: "Colours, corners and font are custom properties on the banner's element; accept and reject are equal whatever they say.",
			Code:  `<a class="button" data-sluice="choices" href="/_s/choices">Show the preferences</a>`,
			After: "The same keys stand under banner.theme in sluice.yaml, and layout: bar, box or corner. Dark follows the browser.",
			Sheet: "look.css",
		},
		{
			Slug: "choices", Title: "The way back", Line: "A link opens the preferences on every page, and without JavaScript a plain page that does the same.",
			Code: `<a data-sluice="choices" href="/_s/choices">Cookie choices</a>`,
		},
	}
}

// policy is a page's own: nothing inline, nothing from elsewhere but what the
// page marks.
func policy(mill string) string {
	return strings.ReplaceAll("default-src 'none'; script-src 'self' MILL; style-src 'self'; img-src 'self' MILL; frame-src MILL; connect-src 'self'; form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types sluice", "MILL", mill)
}

// Mill is the third party that the pages for developers embed: a counter that
// sets a cookie, a pixel, and a film.
func Mill() http.Handler {
	mux := http.NewServeMux()
	serve := func(path, mediaType, content string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
			_, _ = w.Write([]byte(content)) // the browser may be gone
		})
	}
	serve("/counter.js", "text/javascript; charset=utf-8", `document.cookie = "mill_id=42; path=/; samesite=lax";
document.querySelector("#mill").textContent = "Mill's script ran, and set the cookie mill_id.";
`)
	serve("/pixel.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><rect width="120" height="40" rx="8" fill="#a8452a"/><text x="60" y="26" font-family="sans-serif" font-size="15" fill="#fff" text-anchor="middle">pixel, loaded</text></svg>`)
	serve("/film", "text/html; charset=utf-8", `<!doctype html><html lang="en"><title>A vase on the wheel</title>
<style>body{margin:0;height:100vh;display:grid;place-items:center;background:#1c1917;color:#efe7dd;font:16px sans-serif}svg{height:60vh}ellipse{transform-origin:center;animation:turn 2s linear infinite alternate}@keyframes turn{to{transform:scaleX(.9)}}@media(prefers-reduced-motion:reduce){ellipse{animation:none}}</style>
<figure><svg viewBox="0 0 100 100" role="img" aria-label="A vase turns"><ellipse cx="50" cy="88" rx="40" ry="8" fill="#38322d"/><path d="M38 14h24l-4 16c14 8 20 22 18 40-1 12-8 20-26 20s-25-8-26-20c-2-18 4-32 18-40z" fill="#6f8fb0"/></svg><figcaption>A film of Mill's</figcaption></figure></html>`)
	return mux
}
