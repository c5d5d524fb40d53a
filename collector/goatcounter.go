package collector

import (
	"net/url"
	"strings"

	"sluice/consent"
)

// readGoatCounter reads the query of GoatCounter's /count
// (goatcounter.com/help/pixel, and what its count.js sends): p the path or an
// event's name, t the title, r the referrer, e that it is an event, s the
// screen as "width,height,scale", q the page's query, b what the script found
// of an automated browser. page is the address of the page that sent it, as
// far as the browser tells; host is its host.
func readGoatCounter(q url.Values, page, host string) wireEvent {
	w := wireEvent{
		name: consent.EventPageview, title: q.Get("t"), referrer: q.Get("r"),
		screen: screenOf(strings.Split(q.Get("s"), ",")),
	}
	// 150 to 153 are PhantomJS, Nightmare, Selenium and navigator.webdriver.
	w.driven = strings.HasPrefix(q.Get("b"), "15")
	path := q.Get("p")
	if event := q.Get("e"); event == "true" || event == "1" {
		w.name, w.url = strings.TrimPrefix(path, "/"), page
		if w.url == "" {
			w.url = onHost(host, "/")
		}
		return w
	}
	if path == "" { // what its own server answers with 400
		w.wrong = true
	}
	// p is the canonical address where the page names one; how the visitor came
	// stands in the query of the real one.
	if query := strings.TrimPrefix(q.Get("q"), "?"); query != "" && !strings.Contains(path, "?") {
		path += "?" + query
	}
	w.url = onHost(host, path)
	return w
}
