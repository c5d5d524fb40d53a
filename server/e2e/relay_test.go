package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"sluice/collector/ga4/standin"
	"sluice/server"
)

// gtagPage is a browser with gtag.js on a page of gtag.localhost.
type gtagPage struct {
	r      *rig
	client http.Client
	hits   int
}

func newGtagPage(r *rig) *gtagPage {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, hostPort(r.sluice))
	}
	return &gtagPage{r: r, client: http.Client{Jar: jar, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// send sends a request as the site's own web server hands it on.
func (p *gtagPage) send(path, body string) *http.Response {
	p.r.t.Helper()
	const base = "http://gtag.localhost"
	req, err := http.NewRequestWithContext(p.r.t.Context(), http.MethodPost, base+path, strings.NewReader(body))
	if err != nil {
		p.r.t.Fatal(err)
	}
	req.Header.Set("Origin", base)
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	req.Header.Set("X-Forwarded-For", visitorV4)
	resp, err := p.client.Do(req)
	if err != nil {
		p.r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		p.r.t.Fatal(err)
	}
	return resp
}

// decides sends a choice; the answer's cookie is the proof of it.
func (p *gtagPage) decides(method string, yes bool) {
	p.r.t.Helper()
	resp := p.send("/_s/d", fmt.Sprintf(`{"site":"gtag.localhost","purposes":{"analytics":%v},"method":%q,"notice":"1"}`, yes, method))
	if resp.StatusCode != http.StatusCreated {
		p.r.t.Fatalf("decision: %s", resp.Status)
	}
}

// hit sends what gtag.js does of a page view, and returns why it was dropped.
func (p *gtagPage) hit(path string) string {
	p.r.t.Helper()
	p.hits++
	resp := p.send("/_s/g/collect?"+url.Values{
		"v": {"2"}, "tid": {"G-RELAY"}, "gtm": {"45je5b1v9za200"}, "_p": {"1795435200000"}, "cid": {"1234567.1700000000"}, "sid": {"1795435100"},
		"sct": {"1"}, "seg": {"0"}, "_ss": {"1"}, "_fv": {"1"}, "ul": {"de-de"}, "sr": {"1920x1080"}, "_s": {fmt.Sprint(p.hits)}, "en": {"page_view"},
		"dl": {"http://gtag.localhost" + path + "?gclid=abc&utm_source=mail"}, "dt": {"Write to ada@example.org"},
		"gcs": {"G111"}, "gcd": {"13r3r3r2r5l1"}, "npa": {"0"}, "_uip": {visitorV4}, "em": {"hashed"}, "uid": {"ada"}, "uafvl": {"x"},
	}.Encode(), "")
	if resp.StatusCode != http.StatusNoContent {
		p.r.t.Fatalf("hit: %s", resp.Status)
	}
	return resp.Header.Get("Sluice-Dropped")
}

// TestRelay follows hits of gtag.js to the stand-in for Google where a site
// relays them: not before a yes, as gtag wrote them but for what must not
// leave, and not after a withdrawal, though they were accepted before it.
func TestRelay(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	p := newGtagPage(r)
	if got := p.hit("/before"); got != "no_consent" {
		t.Errorf("a hit before any decision: dropped %q, want no_consent", got)
	}
	p.decides("accept_all", true)
	if got := p.hit("/yes"); got != "" {
		t.Errorf("a hit after a yes: dropped %q", got)
	}
	r.wantRows("SELECT state, reason FROM forwards FINAL", "acknowledged,")
	hits := r.google.Hits()
	if len(hits) != 1 || hits[0].Path != standin.HitPath || !hits[0].Verdict.Clean() {
		t.Fatalf("the stand-in got %d requests: %v", len(hits), hits)
	}
	want := url.Values{
		"v": {"2"}, "tid": {"G-RELAY"}, "gtm": {"45je5b1v9za200"}, "_p": {"1795435200000"}, "cid": {"1234567.1700000000"}, "sid": {"1795435100"},
		"sct": {"1"}, "seg": {"0"}, "_ss": {"1"}, "_fv": {"1"}, "ul": {"de-de"}, "sr": {"1920x1080"}, "_s": {"2"}, "en": {"page_view"},
		"dl": {"http://gtag.localhost/yes?utm_source=mail"}, "dt": {"Write to *email*"}, "gcs": {"G101"}, "gcd": {"13p3r3p2p5l1"}, "npa": {"1"},
	}
	if got := hits[0].Query.Encode(); got != want.Encode() {
		t.Errorf("relayed:\n%s\nwant:\n%s", got, want.Encode())
	}
	r.wantShown(hits[0].Query.Encode() + "\n")

	r.google.Fail(standin.Fault{Kind: standin.Answer, Status: http.StatusServiceUnavailable})
	p.hit("/waits")
	r.eventually("Google was asked", func() error {
		if n := len(r.google.Hits()); n < 2 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	p.decides("withdraw", false)
	asked := len(r.google.Hits())
	r.google.Fail(standin.Fault{})
	r.wantRows("SELECT state, reason FROM forwards FINAL ORDER BY n", "acknowledged,", "cancelled,withdrawn")
	if got := len(r.google.Hits()); got != asked {
		t.Errorf("%d requests after the withdrawal", got-asked)
	}
	if got := p.hit("/after"); got == "" {
		t.Error("a hit after the withdrawal is taken")
	}
}

// wantShown holds what `sluice forwards show` says was sent of the one event
// that was forwarded against what was.
func (r *rig) wantShown(sent string) {
	r.t.Helper()
	id := r.sql("SELECT event_id FROM forwards FINAL")[0][0]
	var out, errs bytes.Buffer
	if err := server.Run(r.t.Context(), []string{"forwards", "show", "--config", r.config, id}, strings.NewReader(""), &out, &errs); err != nil {
		r.t.Fatalf("sluice forwards show: %v\n%s", err, errs.String())
	}
	var shown []struct {
		Sent  string
		Check string `json:"sent_check"`
	}
	if err := json.Unmarshal(out.Bytes(), &shown); err != nil {
		r.t.Fatal(err)
	}
	if len(shown) != 1 || shown[0].Sent != sent || shown[0].Check != "matches the logged hash" {
		r.t.Errorf("shown: %+v, want %q", shown, sent)
	}
}
