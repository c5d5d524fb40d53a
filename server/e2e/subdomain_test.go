package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"sluice/static/browsertest"
)

// TestJourneyOnASubdomain serves Sluice from stats.shop.localhost to a page of
// shop.localhost: another origin, but the same site, so the server's cookies
// count for both.
func TestJourneyOnASubdomain(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	target, err := url.Parse(r.sluice)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(req *httputil.ProxyRequest) {
		req.SetURL(target)
		req.Out.Host = req.In.Host
	}})
	t.Cleanup(front.Close)
	stats := strings.Replace(front.URL, "127.0.0.1", "stats.shop.localhost", 1)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en"><title>Elsewhere</title><script async src="` + stats + `/_s/s.js" data-site="shop.localhost"></script><p>A page.`))
	}))
	t.Cleanup(shop.Close)
	page := strings.Replace(shop.URL, "127.0.0.1", "shop.localhost", 1)

	b := browsertest.Open(t)
	b.Visit(page + "/")
	b.Asked()
	b.Click("Accept all", "section")
	b.Gone()
	r.wantRows("SELECT site, name FROM events WHERE name = 'pageview'", "shop.localhost,pageview")
	got := b.Cookies(page+"/", stats+"/_s/d")
	for _, name := range []string{"sl_choice", "sl_id", "sl_proof", "sl_s"} {
		if c, ok := got[name]; !ok || c.Domain != ".shop.localhost" {
			t.Errorf("%s: %+v, want one for .shop.localhost", name, c)
		}
	}
	if stored := browsertest.Eval[float64](b, `localStorage.length`); stored != 0 {
		t.Error("the script keeps the choice itself, though cookies arrive")
	}
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
	b.Gone()
	b.Run(`history.pushState(null, '', '/after')`)
	b.Settle()
	r.wantRows("SELECT countIf(path = '/after'), count() FROM events WHERE name = 'pageview'", "0,1")
}
