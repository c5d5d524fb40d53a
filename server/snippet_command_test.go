package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/server/doctor"
)

// TestSnippetCommand says what is missing, and takes from the configuration
// what it holds.
func TestSnippetCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	const text = `
server: {listen: "0.0.0.0:9000"}
sites:
  - {domain: example.com, public_url: "https://example.com/stats", accept: {plausible: true, goatcounter: true}}
  - {domain: example.org, public_url: "https://data.example.org/_s"}
  - {domain: shop.example, public_url: "https://stats.shop.example:8443/_s"}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string // in the output, or with a status in what is said about the command line
		bad  bool
	}{
		"a site":            {[]string{"caddy", "--site", "example.com"}, "handle /stats/* {\n\treverse_proxy 127.0.0.1:9000", false},
		"its root doors":    {[]string{"caddy", "--site", "example.com", "--only", "proxy"}, "@trackers path /api/event /count\n", false},
		"on another host":   {[]string{"nginx", "--site", "example.org"}, `src="https://data.example.org/_s/s.js" data-site="example.org"`, false},
		"on another port":   {[]string{"nginx", "--site", "shop.example"}, `src="https://stats.shop.example:8443/_s/s.js"`, false},
		"another upstream":  {[]string{"apache", "--site", "example.org", "--upstream", "http://sluice:8080/"}, `ProxyPass "http://sluice:8080/_s/"`, false},
		"no target":         {nil, "name what the site runs on: apache, caddy, next, nginx, static, wordpress", true},
		"an unknown target": {[]string{"iis", "--site", "example.com"}, `there is no snippet for "iis"`, true},
		"several sites":     {[]string{"nginx"}, "name one of the sites with --site: example.com, example.org, shop.example", true},
		"an unknown site":   {[]string{"nginx", "--site", "example.net"}, "name one of the sites with --site", true},
		"an unknown part":   {[]string{"nginx", "--site", "example.com", "--only", "all"}, "it has proxy, tag, noscript", true},
		"a bad upstream":    {[]string{"nginx", "--site", "example.com", "--upstream", "sluice:8080"}, "is not an address such as http://127.0.0.1:8080", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			err := Run(t.Context(), append([]string{"snippet", "--config", file}, c.args...), strings.NewReader(""), &out, &errs)
			status := Report(&errs, err)
			got := out.String()
			if c.bad {
				got = errs.String()
			}
			if c.bad != (status == 2) || !strings.Contains(got, c.want) {
				t.Errorf("status %d, want %q in:\n%s", status, c.want, got)
			}
		})
	}
}

// TestDoctorStaysHome gives the doctor a page that leads elsewhere in every
// way: nobody else is asked.
func TestDoctorStaysHome(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for name, page := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"in circles": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+r.URL.Path, http.StatusFound) },
		"a script of another site": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<script async src="%s/_s/s.js" data-site="localhost"></script>`, elsewhere.URL)
		},
		"a page without an end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for range 1 << 12 { // 16 MiB, of which 2 are read
				if _, err := w.Write(bytes.Repeat([]byte("<p>"), 1<<12/3)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := httptest.NewServer(page)
			t.Cleanup(site.Close)
			report, err := doctor.Examine(t.Context(), doctor.Options{URL: strings.Replace(site.URL, "127.0.0.1", "localhost", 1) + "/"})
			if err != nil {
				t.Fatal(err)
			}
			if report.OK && name != "a script of another site" {
				t.Errorf("nothing is called wrong: %+v", report.Findings)
			}
		})
	}
	t.Cleanup(func() {
		if n := asked.Load(); n != 0 {
			t.Errorf("another host was asked %d times", n)
		}
	})
	if err := Run(t.Context(), []string{"doctor", "--config", filepath.Join(t.TempDir(), "none.yaml"), "https://example.com/"}, strings.NewReader(""), io.Discard, io.Discard); Report(io.Discard, err) != 2 {
		t.Errorf("a configuration that is not there: %v", err)
	}
}
