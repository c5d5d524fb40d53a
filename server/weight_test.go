package server

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"sluice/server/config"
	"sluice/static"
)

// TestWeightOfMeasuring: what measures with the settings of a site that says
// nothing is 2.5 kB at most, as browsers get it.
func TestWeightOfMeasuring(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte("sites: [{domain: example.com}]"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := static.ComposeExtras(static.Measure(c.Sites[0].Measure))
	if err != nil || len(a.Brotli) > 2500 {
		t.Errorf("%d bytes, %v; want 2500 at most", len(a.Brotli), err)
	}
}

// TestWeightOfAFirstVisit: the site that README shows is asked about in 6 kB, as
// browsers get it, in the languages that take most.
func TestWeightOfAFirstVisit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := config.Parse(fmt.Appendf(nil, `
server: {listen: "127.0.0.1:0", metrics_listen: "localhost:0"}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
sites:
  - domain: example.com
    services:
      - {preset: google-analytics, measurement_id: G-ABC1234567, api_secret: a-secret-of-the-test}
      - {preset: hotjar, id: "1234567"}
`, dir), dir)
	if err != nil {
		t.Fatal(err)
	}
	r := startOf(t, c, time.Now)
	for _, lang := range []string{"uk", "el", "cs", "en"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.public+"/_s/b?site=example.com&lang="+lang, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "br")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := len(static.Script().Brotli) + len(body); resp.Header.Get("Content-Encoding") != "br" || n > 6000 {
			t.Errorf("in %s: %d bytes (%s), want 6000 at most", lang, n, resp.Header.Get("Content-Encoding"))
		}
	}
}
