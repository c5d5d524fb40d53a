package server

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/server/config"
	"sluice/server/doctor"
)

// goodTag is what sluice snippet prints for the site of these tests.
const goodTag = `<script async src="/_s/s.js" data-site="localhost" data-cfasync="false" nowprocket data-no-optimize="1" data-no-defer="1"></script>`

// installed is a site with its web server in front of a machine; the fields
// break it.
type installed struct {
	tag, body string
	page      func(http.Header)                                 // of the page's answer
	ask       func(*httputil.ProxyRequest)                      // what the proxy changes on the way in
	answer    func(*http.Response) error                        // and on the way out
	instead   func(http.ResponseWriter, *http.Request) bool     // what answers in Sluice's place
	trusted   string                                            // of Sluice's configuration; default: the proxy
	around    func(sluice http.Handler, at string) http.Handler // a proxy further out
}

// TestDoctor breaks an installation in one way each and wants exactly that
// found.
func TestDoctor(t *testing.T) {
	t.Parallel()
	stripSetCookie := func(r *http.Response) error { r.Header.Del("Set-Cookie"); return nil }
	keeper := &keeping{}
	for name, c := range map[string]struct {
		installed
		want map[string]string // check → a part of the line that mends it
	}{
		"whole":    {want: map[string]string{}},
		"stripped": {installed{ask: func(p *httputil.ProxyRequest) { p.Out.URL.Path = strings.TrimPrefix(p.Out.URL.Path, "/_s") }}, map[string]string{}},
		"not handed on": {installed{instead: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<!doctype html><title>The site</title>")
			return true
		}}, map[string]string{"prefix": "sluice snippet nginx --site localhost"}},
		"redirected": {installed{instead: func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/en"+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}}, map[string]string{"prefix": "redirects"}},
		"slash on POST": {installed{instead: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			http.Redirect(w, r, r.URL.Path+"/", http.StatusPermanentRedirect)
			return true
		}}, map[string]string{"post": "skipTrailingSlashRedirect"}},
		"POST refused": {installed{instead: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				http.Error(w, "firewall", http.StatusForbidden)
			}
			return r.Method == http.MethodPost
		}}, map[string]string{"post": "allow POST"}},
		"only the script": {installed{instead: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/s.js") {
				return false
			}
			http.NotFound(w, r)
			return true
		}}, map[string]string{"doors": "sluice snippet"}},
		"host replaced": {installed{ask: func(p *httputil.ProxyRequest) {
			p.Out.Host = "10.9.8.7:8080"
			p.Out.Header.Del("X-Forwarded-Host")
		}}, map[string]string{"host": "proxy_set_header Host $host;"}},
		"no address": {installed{ask: func(p *httputil.ProxyRequest) { p.Out.Header.Del("X-Forwarded-For") }},
			map[string]string{"address": "proxy_set_header X-Forwarded-For"}},
		"proxy not believed": {installed{trusted: "10.0.0.0/8"}, map[string]string{"address": "127.0.0.0/8"}},
		"a CDN not believed": {installed{trusted: "127.0.0.1/32", around: cdn},
			map[string]string{"address": "client_ip_header: Cf-Connecting-Ip"}},
		"cookies taken off":     {installed{answer: stripSetCookie}, map[string]string{"cookies": "proxy_pass_header Set-Cookie;"}},
		"cookies not passed on": {installed{ask: func(p *httputil.ProxyRequest) { p.Out.Header.Del("Cookie") }}, map[string]string{"cookies": "Cookie"}},
		"signal taken off":      {installed{ask: func(p *httputil.ProxyRequest) { p.Out.Header.Del("Sec-Gpc") }}, map[string]string{"signal": "Sec-GPC"}},
		"cached":                {installed{instead: keeper.serve, answer: keeper.keep}, map[string]string{"caching": "proxy_cache off;"}},
		"kept for a year": {installed{answer: func(r *http.Response) error { r.Header.Set("Cache-Control", "max-age=31536000"); return nil }},
			map[string]string{"caching": "expires off;", "script-cache": "expires off;"}},
		"an age":       {installed{answer: func(r *http.Response) error { r.Header.Set("Age", "7"); return nil }}, map[string]string{"caching": "proxy_cache off;"}},
		"packed twice": {installed{answer: packAgain}, map[string]string{"compression": "switch compression off"}},
		"no tag":       {installed{tag: "<!-- none -->"}, map[string]string{"tag": goodTag}},
		"another site": {installed{tag: strings.Replace(goodTag, `"localhost"`, `"example.com"`, 1)},
			map[string]string{"tag": goodTag, "host": goodTag}},
		"held back": {installed{tag: strings.Replace(goodTag, "<script", `<script type="rocketlazyloadscript"`, 1)}, map[string]string{"tag": goodTag}},
		"policy": {installed{page: func(h http.Header) {
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-x' https://cdn.example; require-trusted-types-for 'script'; trusted-types other")
		}}, map[string]string{"csp": "trusted-types sluice other"}},
		"policy that fits": {installed{page: func(h http.Header) {
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types sluice")
		}}, map[string]string{}},
		"unmarked": {installed{body: `<script async src="https://www.googletagmanager.com/gtag/js?id=G-X"></script>
			<script>(function(h){h.src='https://static.hotjar.com/c/hotjar-1.js'})({})</script>
			<iframe src="https://www.youtube.com/embed/x"></iframe>
			<noscript><img src="https://www.facebook.com/tr?id=1"></noscript>
			<script type="text/plain" data-service="clarity" data-src="https://www.clarity.ms/tag/x"></script>`},
			map[string]string{"unmarked": `<script type="text/plain" data-service="google-analytics" data-src="https://www.googletagmanager.com/gtag/js?id=G-X"></script>`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := c.examine(t)
			got := map[string]string{}
			for _, f := range report.Findings {
				if f.State == doctor.Wrong {
					got[f.Check] += f.Mend + "\n"
				}
			}
			for check, mend := range c.want {
				if !strings.Contains(got[check], mend) {
					t.Errorf("%s: the line that mends it is %q, want one with %q", check, got[check], mend)
				}
			}
			for check := range got {
				if _, ok := c.want[check]; !ok {
					t.Errorf("%s is called wrong as well: %s", check, got[check])
				}
			}
			if report.OK != (len(c.want) == 0) {
				t.Errorf("ok: %v with %d things wrong", report.OK, len(c.want))
			}
			if t.Failed() {
				t.Logf("%+v", report.Findings)
			}
		})
	}
}

// examine starts everything and runs the command.
func (in installed) examine(t *testing.T) doctor.Report {
	t.Helper()
	if in.trusted == "" {
		in.trusted = "127.0.0.0/8"
	}
	dir := t.TempDir()
	text := fmt.Sprintf("server: {listen: \"127.0.0.1:0\", metrics_listen: \"\", trusted_proxies: [%s]}\ndata_dir: %s\nclickhouse: {url: \"http://127.0.0.1:1/sluice\"}\nsites: [{domain: localhost, public_url: \"http://localhost/_s\"}]\n",
		in.trusted, filepath.Join(dir, "data"))
	c, err := config.Parse([]byte(text), dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := assemble(c, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.abandon(); err != nil {
			t.Error(err)
		}
	})
	sluice := httptest.NewServer(m.handler)
	t.Cleanup(sluice.Close)
	site := httptest.NewServer(in.webServer(t, sluice.URL))
	t.Cleanup(site.Close)
	var out, errs bytes.Buffer
	err = Run(t.Context(), []string{"doctor", strings.Replace(site.URL, "127.0.0.1", "localhost", 1) + "/", "--config", file, "--json"}, strings.NewReader(""), &out, &errs)
	var report doctor.Report
	if jsonErr := json.Unmarshal(out.Bytes(), &report); jsonErr != nil {
		t.Fatalf("%v: %v\n%s", err, jsonErr, out.String())
	}
	if status := Report(io.Discard, err); (status == 0) != report.OK || status > 1 {
		t.Errorf("exit status %d, ok %v", status, report.OK)
	}
	return report
}

// webServer is the site's own, as a developer has set it up.
func (in installed) webServer(t *testing.T, sluice string) http.Handler {
	t.Helper()
	target, err := url.Parse(sluice)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		ModifyResponse: in.answer,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
			if in.ask != nil {
				in.ask(p)
			}
		},
	}
	tag := in.tag
	if tag == "" {
		tag = goodTag
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_s/", func(w http.ResponseWriter, r *http.Request) {
		if in.instead == nil || !in.instead(w, r) {
			proxy.ServeHTTP(w, r)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if in.page != nil {
			in.page(w.Header())
		}
		fmt.Fprintf(w, "<!doctype html><html><head>%s</head><body>%s</body></html>", tag, in.body)
	})
	if in.around != nil {
		return in.around(mux, sluice)
	}
	return mux
}

// cdn is a proxy further out, at an address of its own that nobody named.
func cdn(inner http.Handler, _ string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visitor, _, _ := net.SplitHostPort(r.RemoteAddr)
		r.Header.Set("X-Forwarded-For", visitor)
		r.Header.Set("Cf-Connecting-Ip", visitor)
		r.RemoteAddr = "203.0.113.9:443"
		inner.ServeHTTP(w, r)
	})
}

// keeping is a cache that keeps the first answer of each path for everybody.
type keeping struct{ arrival atomic.Pointer[[]byte] }

func (k *keeping) serve(w http.ResponseWriter, r *http.Request) bool {
	kept := k.arrival.Load()
	if kept == nil || r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, doctor.Door) {
		return false
	}
	w.Header().Set("Set-Cookie", doctor.Cookie+"=1")
	w.Header().Set("Cache-Control", "private, no-store")
	_, _ = w.Write(*kept)
	return true
}

func (k *keeping) keep(r *http.Response) error {
	if r.Request.Method != http.MethodGet || !strings.HasSuffix(r.Request.URL.Path, doctor.Door) {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	k.arrival.Store(&body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// packAgain compresses what is compressed.
func packAgain(r *http.Response) error {
	if r.Header.Get("Content-Encoding") == "" {
		return nil
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.Copy(z, r.Body)
	r.Header.Add("Content-Encoding", "gzip")
	r.Header.Del("Content-Length")
	r.ContentLength = int64(packed.Len())
	err = errors.Join(err, z.Close())
	r.ContentLength = int64(packed.Len())
	r.Body = io.NopCloser(&packed)
	return err
}

// TestDoctorsDoor keeps pages out, and addresses in.
func TestDoctorsDoor(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	ask := func(header ...string) (int, string, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.public+"/_s"+doctor.Door, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body), resp.Header
	}
	for name, header := range map[string][]string{
		"a page":        {"Sec-Fetch-Site", "same-origin", doctor.AddressHeader, "203.0.113.5"},
		"another page":  {"Origin", "https://example.com", doctor.AddressHeader, "203.0.113.5"},
		"a browser tab": {},
	} {
		if status, body, h := ask(header...); status != http.StatusForbidden || h.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s %v", name, status, body, h)
		}
	}
	for _, c := range []struct {
		said, forwarded string
		want            doctor.Arrival
	}{
		{"203.0.113.5", "198.51.100.7, 203.0.113.5", doctor.Arrival{Peer: "127.0.0.0/8", Believed: true, Hops: 2, Unread: 1, Address: doctor.Public, Yours: new(true)}},
		{"203.0.113.6", "203.0.113.5", doctor.Arrival{Peer: "127.0.0.0/8", Believed: true, Hops: 1, Address: doctor.Public, Yours: new(false)}},
		{"203.0.113.5", "203.0.113.5, 127.0.0.9", doctor.Arrival{Peer: "127.0.0.0/8", Believed: true, Hops: 2, Address: doctor.Public, Yours: new(true)}},
	} {
		status, body, _ := ask(doctor.AddressHeader, c.said, "X-Forwarded-For", c.forwarded)
		var got doctor.Arrival
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		got.ID, got.Method, got.Path, got.Host = "", "", "", ""
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.forwarded, diff)
		}
		if strings.Contains(body, "203.0.113") || strings.Contains(body, "198.51.100") {
			t.Errorf("the door names an address: %s", body)
		}
	}
}
