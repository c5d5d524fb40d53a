package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"sluice/server"
	"sluice/static/browsertest"
)

// A host is one web server, from its own package, with what `sluice snippet`
// prints in its configuration.
type host struct {
	domain  string
	begin   func(t *testing.T, h *host) // returns once the program runs
	strip   bool
	cached  bool   // a cache stands in front of it
	naive   bool   // it hands on what a visitor says of its own address
	address string // where browsers reach it
	behind  string // where it listens itself; address unless a cache has that
	snippet func(t *testing.T, target, part string) string
}

// hosts are the programs under test. Each has a site of its own at one Sluice.
func hosts() []*host {
	return []*host{
		{domain: "nginx.localhost", begin: beginNginx},
		{domain: "nginx-stripped.localhost", begin: beginNginx, strip: true},
		{domain: "nginx-cached.localhost", begin: beginNginx, cached: true},
		{domain: "caddy.localhost", begin: beginCaddy},
		{domain: "caddy-stripped.localhost", begin: beginCaddy, strip: true},
		{domain: "apache.localhost", begin: beginApache},
		{domain: "apache-stripped.localhost", begin: beginApache, strip: true},
		{domain: "apache-cached.localhost", begin: beginApache, strip: true, cached: true},
		{domain: "htaccess.localhost", begin: beginHtaccess},
		{domain: "htaccess-stripped.localhost", begin: beginHtaccess, strip: true},
	}
}

// Where visitors come from in these tests: other addresses of this machine,
// so that what arrives is what the web server saw, not what a header says. The
// proxies' own address alone is trusted.
const (
	visitorInNorway = "127.0.0.2"
	visitorInJapan  = "127.0.0.3"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	all := hosts()
	r := newHostsRig(t, all)
	for _, h := range all {
		t.Run(h.domain, func(t *testing.T) {
			t.Parallel()
			testHost(t, r.in(t), h)
		})
	}
}

// in is the rig for a test within the one that started it.
func (r *rig) in(t *testing.T) *rig {
	own := *r
	own.t = t
	return &own
}

// testHost starts the program and goes through everything that a site needs of
// it.
func testHost(t *testing.T, r *rig, h *host) {
	t.Helper()
	h.begin(t, h)
	if h.cached {
		beginCache(t, h)
	}
	c := &visitorClient{t: t, host: h, client: clientFrom(t, visitorInNorway, h.address)}
	c.until(http.MethodGet, "/", http.StatusOK)
	c.wantScript()
	c.wantSignal()
	c.wantFreshBanner()
	c.wantPlainPage()
	c.wantProblem()
	c.wantJourney()
	r.wantRows("SELECT name, country FROM events WHERE site = '"+h.domain+"'", "by hand,NO")
	r.wantRows("SELECT country, count() FROM receipts WHERE site = '"+h.domain+"' GROUP BY country", "NO,2")
	browseHost(t, r, h)
	wantHealthy(t, r, h)
}

// newHostsRig starts a Sluice for all hosts, which trusts 127.0.0.1 alone and
// knows the countries of its neighbours.
func newHostsRig(t *testing.T, all []*host) *rig {
	t.Helper()
	requireEngine(t)
	r := &rig{t: t, dir: t.TempDir(), logs: &logs{}}
	r.sluice, r.metrics = "http://"+freeAddress(t), "http://"+freeAddress(t)
	r.config = filepath.Join(r.dir, "sluice.yaml")
	var text strings.Builder
	fmt.Fprintf(&text, "server: {listen: %q, metrics_listen: %q, trusted_proxies: [127.0.0.1/32]}\ndata_dir: %q\ngeo: {database: %q}\nsites:\n",
		hostPort(r.sluice), hostPort(r.metrics), filepath.Join(r.dir, "data"), neighbours(t, r.dir))
	for _, h := range all {
		h.address = namedAddress(t)
		if h.behind = h.address; h.cached {
			h.behind = freeAddress(t)
		}
		fmt.Fprintf(&text, "  - {domain: %s, public_url: \"http://%s/_s\", notice: {version: \"1\"}}\n", h.domain, h.at())
		h.snippet = func(t *testing.T, target, part string) string {
			t.Helper()
			args := []string{"snippet", target, "--config", r.config, "--site", h.domain, "--only", part}
			if h.strip {
				args = append(args, "--strip")
			}
			var out, errs bytes.Buffer
			if err := server.Run(t.Context(), args, strings.NewReader(""), &out, &errs); err != nil {
				t.Fatalf("sluice %q: %v\n%s", args, err, errs.String())
			}
			return out.String()
		}
	}
	if err := os.WriteFile(r.config, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

// at is how a browser names the host; the name leads to this machine.
func (h *host) at() string {
	_, port, _ := net.SplitHostPort(h.address)
	return h.domain + ":" + port
}

// neighbours writes a country database of the addresses on this machine.
func neighbours(t *testing.T, dir string) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for address, code := range map[string]string{"127.0.0.1": "US", visitorInNorway: "NO", visitorInJapan: "JP"} {
		record := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
		if err := tree.Insert(&net.IPNet{IP: net.ParseIP(address).To4(), Mask: net.CIDRMask(32, 32)}, record); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "countries.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// clientFrom is an HTTP client whose connections come from an address of this
// machine, whatever name they are for. It follows no redirect and unpacks
// nothing.
func clientFrom(t *testing.T, from, to string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Second}
	transport := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, to)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: slowest,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// slowest bounds the wait for a program that builds its pages when it is asked
// for them, on a busy machine.
const slowest = 2 * time.Minute

// visitorClient asks one host's doors as a browser would.
type visitorClient struct {
	t      *testing.T
	host   *host
	client *http.Client
}

func (c *visitorClient) do(method, path, body string, header ...string) (*http.Response, string, error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.host.at()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
	req.Header.Set("Origin", "http://"+c.host.at())
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if !c.host.naive {
		req.Header.Set("X-Forwarded-For", visitorInJapan) // what a visitor claims of itself is not believed
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp, string(content), err
}

func (c *visitorClient) must(method, path, body string, want int, header ...string) (*http.Response, string) {
	c.t.Helper()
	resp, content, err := c.do(method, path, body, header...)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != want {
		c.t.Fatalf("%s %s: %s, want %d; %v\n%.500s", method, path, resp.Status, want, resp.Header, content)
	}
	return resp, content
}

// until waits for the program to answer at all.
func (c *visitorClient) until(method, path string, want int) {
	c.t.Helper()
	err := try(func() error {
		resp, _, err := c.do(method, path, "")
		if err == nil && resp.StatusCode != want {
			err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// wantScript: the script is Sluice's, compressed once, and asked for again it
// is not sent again.
func (c *visitorClient) wantScript() {
	c.t.Helper()
	resp, content := c.must(http.MethodGet, "/_s/s.js", "", http.StatusOK, "Accept-Encoding", "br")
	if got := resp.Header.Get("Content-Encoding"); got != "br" {
		c.t.Errorf("the script's Content-Encoding is %q, want br", got)
	}
	if plain := unpacked(c.t, content); !strings.Contains(plain, "sl_choice") {
		c.t.Errorf("this is not the script: %.200q", plain)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-cache" {
		c.t.Errorf("the script's Cache-Control is %q, want no-cache", got)
	}
	want := http.StatusNotModified
	if c.host.cached {
		want = http.StatusOK // nginx's cache asks for the whole of everything
	}
	c.must(http.MethodGet, "/_s/s.js", "", want, "Accept-Encoding", "br", "If-None-Match", resp.Header.Get("ETag"))
	_, known := c.must(http.MethodGet, "/.well-known/gpc.json", "", http.StatusOK)
	if !strings.Contains(known, `"gpc":true`) {
		c.t.Errorf("gpc.json: %q", known)
	}
}

// wantSignal: Global Privacy Control arrives, so there is no banner.
func (c *visitorClient) wantSignal() {
	c.t.Helper()
	c.must(http.MethodGet, "/_s/b?site="+c.host.domain, "", http.StatusNoContent, "Sec-Gpc", "1")
}

// wantFreshBanner: nothing on the way keeps a banner for the next visitor.
func (c *visitorClient) wantFreshBanner() {
	c.t.Helper()
	for range 2 {
		resp, _ := c.must(http.MethodGet, "/_s/b?site="+c.host.domain, "", http.StatusOK)
		if got := resp.Header.Get("Cache-Control"); got != "private, no-store" {
			c.t.Errorf("the banner's Cache-Control is %q", got)
		}
		if got := resp.Header.Get("X-Cache"); got == "HIT" || c.host.cached && got == "" {
			c.t.Errorf("the cache says %q of the banner", got)
		}
	}
}

// wantPlainPage: the page without JavaScript works, its redirect too.
func (c *visitorClient) wantPlainPage() {
	c.t.Helper()
	_, page := c.must(http.MethodGet, "/_s/choices", "", http.StatusOK)
	if !strings.Contains(page, "<form") {
		c.t.Errorf("the plain page has no form: %.300q", page)
	}
	resp, _ := c.must(http.MethodPost, "/_s/choices", "action=save&notice=1", http.StatusSeeOther, "Content-Type", "application/x-www-form-urlencoded")
	to, err := resp.Location()
	if err != nil || to.Host != c.host.at() || to.Path != "/_s/choices" {
		c.t.Errorf("after saving the visitor is sent to %v (%v)", to, err)
	}
}

// wantProblem: what is wrong is said in Sluice's words, not on a page of the
// web server's.
func (c *visitorClient) wantProblem() {
	c.t.Helper()
	resp, content := c.must(http.MethodPost, "/_s/d", `{"site":"nobody.example"}`, http.StatusNotFound, "Content-Type", jsonType)
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		c.t.Errorf("an error arrives as %q: %.200q", got, content)
	}
}

// wantJourney: a choice, its cookies there and back, and an event under it.
func (c *visitorClient) wantJourney() {
	c.t.Helper()
	resp, content := c.must(http.MethodPost, "/_s/d", fmt.Sprintf(`{"site":%q,"purposes":{"analytics":true},"method":"accept_all","notice":"1"}`, c.host.domain),
		http.StatusCreated, "Content-Type", jsonType)
	var cookies []string
	names := map[string]bool{}
	for _, cookie := range resp.Cookies() {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
		names[cookie.Name] = cookie.Value != ""
	}
	if !names["sl_choice"] || !names["sl_proof"] || !names["sl_id"] {
		c.t.Fatalf("cookies that arrive: %q; %s", resp.Cookies(), content)
	}
	_, content = c.must(http.MethodPost, "/_s/e", fmt.Sprintf(`{"site":%q,"events":[{"name":"by hand","url":"http://%s/"}]}`, c.host.domain, c.host.at()),
		http.StatusAccepted, "Content-Type", jsonType, "Cookie", strings.Join(cookies, "; "))
	var answer struct{ Accepted int }
	if err := json.Unmarshal([]byte(content), &answer); err != nil || answer.Accepted != 1 {
		c.t.Errorf("the event: %s (%v)", content, err)
	}
}

// wantHealthy asks sluice doctor, which has to agree.
func wantHealthy(t *testing.T, r *rig, h *host) {
	t.Helper()
	var out bytes.Buffer
	err := server.Run(t.Context(), []string{"doctor", "http://" + h.at() + "/", "--config", r.config}, strings.NewReader(""), &out, io.Discard)
	if err != nil || strings.Contains(out.String(), "note") {
		t.Errorf("sluice doctor: %v\n%s", err, out.String())
	}
}

// browseHost goes through the site in Chromium: the tag as it is printed, a
// banner, a yes, a pageview.
func browseHost(t *testing.T, r *rig, h *host) {
	t.Helper()
	b := browsertest.Open(t)
	b.Visit("http://" + h.at() + "/")
	b.Asked()
	b.Click("Accept all", "section")
	b.Gone()
	r.wantRows("SELECT name, country FROM events WHERE name = 'pageview' AND site = '"+h.domain+"'", "pageview,US")
	if stored := browsertest.Eval[float64](b, `localStorage.length`); stored != 0 {
		t.Error("the script keeps the choice itself, though cookies arrive")
	}
	wantQuiet(t, b)
	b.Paths("http://" + h.at())
}
