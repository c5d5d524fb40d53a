package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answer is what a door said.
type answer struct {
	Status  int
	Type    string
	Dropped string // the header
	Body    string
}

// post sends a body to a door of the site, as a page of it would.
func (r *rig) post(door, kind, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.site.URL+door, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Origin", r.origin())
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Sluice-Dropped"), string(b)}
}

// grant decides for everything and returns the token.
func (r *rig) grant(purposes string) string {
	r.t.Helper()
	a := r.post("/_s/d", "application/json", `{"site":"localhost","purposes":`+purposes+`,"method":"custom","notice":"2025-07"}`)
	var out struct{ Token string }
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Status != http.StatusCreated {
		r.t.Fatalf("decision: %+v %v", a, err)
	}
	return out.Token
}

const jsonType = "application/json"

// TestBadInput knocks at the doors of the real server with what no browser
// sends: each time a problem document that says what to do, never a 500.
func TestBadInput(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	token := r.grant(`{"analytics":true}`)
	event := `{"name":"pageview","url":"` + r.origin() + `/a"}`
	one := func(site, token, event string) string {
		return fmt.Sprintf(`{"site":%q,"token":%q,"sent":%d,"events":[%s]}`, site, token, time.Now().UnixMilli(), event)
	}
	tests := []struct {
		name, door, kind, body string
		headers                []string
		want                   int
	}{
		{"unknown site", "/_s/e", jsonType, one("nobody.example", token, event), nil, 404},
		{"not JSON", "/_s/e", jsonType, `{"site":`, nil, 400},
		{"an array", "/_s/e", jsonType, `[]`, nil, 422},
		{"two values", "/_s/e", jsonType, `{} {}`, nil, 400},
		{"oversized", "/_s/e", jsonType, one("localhost", token, `{"name":"`+strings.Repeat("a", 70_000)+`"}`), nil, 413},
		{"10 000 events", "/_s/e", jsonType, one("localhost", token, strings.Repeat(`{},`, 9_999)+`{}`), nil, 413},
		{"101 events", "/_s/e", jsonType, one("localhost", token, strings.Repeat(event+",", 100)+event), nil, 413},
		{"form type", "/_s/e", "application/x-www-form-urlencoded", "site=localhost", nil, 415},
		{"gzip", "/_s/e", jsonType, gzipBomb(t), []string{"Content-Encoding", "gzip"}, 415},
		{"events is a string", "/_s/e", jsonType, `{"site":"localhost","events":"x"}`, nil, 422},
		{"no events", "/_s/e", jsonType, `{"site":"localhost"}`, nil, 422},
		{"another origin", "/_s/e", jsonType, one("localhost", token, event), []string{"Origin", "https://evil.example"}, 403},
		{"decision: unknown purpose", "/_s/d", jsonType, `{"site":"localhost","purposes":{"world-domination":true},"method":"custom","notice":"2025-07"}`, nil, 422},
		{"decision: wrong type", "/_s/d", jsonType, `{"site":"localhost","purposes":{"analytics":"yes"},"method":"custom","notice":"2025-07"}`, nil, 422},
		{"decision: withdraw with a yes", "/_s/d", jsonType, `{"site":"localhost","purposes":{"analytics":true},"method":"withdraw","notice":"2025-07"}`, nil, 422},
		{"decision: old notice", "/_s/d", jsonType, `{"site":"localhost","purposes":{"analytics":true},"method":"custom","notice":"2024"}`, nil, 409},
		{"decision: forged shown", "/_s/d", jsonType, `{"site":"localhost","purposes":{},"method":"custom","notice":"2025-07","shown":"AAAA"}`, nil, 422},
		{"decision: oversized", "/_s/d", jsonType, `{"site":"` + strings.Repeat("a", 9_000) + `"}`, nil, 413},
		{"preferences without a grant", "/_s/p", jsonType, `{"site":"localhost","set":{"lang":"de"}}`, nil, 403},
		{"unknown door", "/_s/x", jsonType, `{}`, nil, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := r.post(tt.door, tt.kind, tt.body, tt.headers...)
			if got.Status != tt.want {
				t.Errorf("status %d, want %d: %s", got.Status, tt.want, got.Body)
			}
			if strings.HasPrefix(tt.door, "/_s/") {
				checkProblem(t, got)
			}
		})
	}
}

// checkProblem fails unless the answer is a problem document with a sentence.
func checkProblem(t *testing.T, a answer) {
	t.Helper()
	var p struct {
		Title, Detail string
		Status        int
	}
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil || a.Type != "application/problem+json" || p.Status != a.Status || len(p.Detail) < 20 {
		t.Errorf("not a problem document that says what to do: %+v", a)
	}
}

// gzipBomb is a megabyte of zeros, small.
func gzipBomb(t *testing.T) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDrops sends good and bad events together: the good ones are stored, the
// bad ones named and counted, and what is stored is shown without harm.
func TestDrops(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	token := r.grant(`{"analytics":true}`)
	week := int64(7 * 24 * time.Hour / time.Millisecond)
	sent := time.Now().UnixMilli() + week // the client's clock is a week ahead
	hostile := "</script><script>alert(1)</script>\\u0000\\u0007\\u202e"
	events := []string{
		fmt.Sprintf(`{"id":"1","name":"pageview","url":"%s/good","ts":%d}`, r.origin(), sent),
		`{"id":"2","name":"pageview","url":"not a url"}`,
		`{"id":"3","name":"pageview","url":"javascript:alert(1)"}`,
		`{"id":"4","name":"pageview","url":"https://elsewhere.example/"}`,
		`{"id":"5","name":7,"url":"` + r.origin() + `/"}`,
		`"an event"`,
		fmt.Sprintf(`{"id":"7","name":"%s","url":"%s/%s","title":"%s","referrer":"https://a.example/%s","props":{"%s":"%s"}}`,
			hostile, r.origin(), hostile, hostile, hostile, hostile, hostile),
		fmt.Sprintf(`{"id":"1","name":"pageview","url":"%s/again"}`, r.origin()),
		fmt.Sprintf(`{"id":"9","name":"pageview","url":"%s/early","ts":%d}`, r.origin(), sent-3_600_000),
	}
	body := fmt.Sprintf(`{"site":"localhost","token":%q,"sent":%d,"events":[%s]}`, token, sent, strings.Join(events, ","))
	got := r.post("/_s/e", "text/plain", body)
	want := answer{202, "application/json", "invalid, wrong_site, duplicate, no_consent",
		`{"accepted":2,"dropped":[{"index":1,"reason":"invalid","detail":"url is not an absolute http or https address"},` +
			`{"index":2,"reason":"invalid","detail":"url is not an absolute http or https address"},{"index":3,"reason":"wrong_site","detail":"url is not on a host of the site"},` +
			`{"index":4,"reason":"invalid","detail":"name is not a string"},{"index":5,"reason":"invalid","detail":"is not an object"},{"index":7,"reason":"duplicate"},{"index":8,"reason":"no_consent"}]}`}
	got.Body = strings.TrimSpace(got.Body)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for name, bad := range map[string]string{"forged": token[:50] + "AAAA" + token[54:], "truncated": token[:80], "empty": ""} {
		reason := "bad_token"
		if bad == "" {
			reason = "no_consent"
		}
		got := r.post("/_s/e", jsonType, fmt.Sprintf(`{"site":"localhost","token":%q,"events":[%s]}`, bad, events[0]))
		if got.Status != 202 || got.Dropped != reason {
			t.Errorf("%s token: %+v, want %s", name, got, reason)
		}
	}
	other := r.post("/_s/d", jsonType, `{"site":"other.example","purposes":{"analytics":true},"method":"custom","notice":"1"}`, "Origin", "https://other.example")
	var foreign struct{ Token string }
	if err := json.Unmarshal([]byte(other.Body), &foreign); err != nil || foreign.Token == "" {
		t.Fatalf("decision at the other site: %+v", other)
	}
	if got := r.post("/_s/e", jsonType, fmt.Sprintf(`{"site":"localhost","token":%q,"events":[%s]}`, foreign.Token, events[0])); got.Dropped != "wrong_site" {
		t.Errorf("token of another site: %+v", got)
	}
	r.wantRows("SELECT count(), countIf(abs(dateDiff('second', ts, now())) < 60) FROM events", "2,2")
	r.wantRows("SELECT key, sum(n) FROM counters WHERE kind = 'refusal' GROUP BY key ORDER BY key",
		"bad_token,2", "duplicate,1", "invalid,4", "no_consent,2", "wrong_site,2")
	r.wantRows("SELECT sum(n) FROM counters WHERE kind = 'event'", "2")

	page := r.dashboard("/dashboards/localhost?period=day")
	if strings.Contains(page, "<script>alert") {
		t.Error("the dashboard runs what a visitor sent")
	}
	if !strings.Contains(page, "&lt;/script&gt;") {
		t.Error("the dashboard does not show the hostile event at all")
	}
	if i := strings.IndexAny(page, "\x00\x07\u202e"); i >= 0 {
		t.Errorf("the dashboard shows a control character: %q", page[max(0, i-40):i+40])
	}
}

// dashboard logs in and returns a page.
func (r *rig) dashboard(path string) string {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	form := url.Values{"email": {user}, "password": {password}, "next": {"/dashboards"}}
	req, err := http.NewRequest(http.MethodPost, r.sluice+"/dashboards/login", strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", r.sluice)
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	resp, err = client.Get(r.sluice + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || strings.Contains(string(b), `name="password"`) {
		r.t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return string(b)
}

// TestStatistics asks for the same figures by the API and on the page.
func TestStatistics(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	token := r.grant(`{"analytics":true}`)
	for i, path := range []string{"/", "/a", "/a"} {
		got := r.post("/_s/e", jsonType, fmt.Sprintf(`{"site":"localhost","token":%q,"events":[{"id":"%d","name":"pageview","url":"%s%s","visitor":"v1","session":"100.x"}]}`, token, i, r.origin(), path))
		if got.Dropped != "" {
			t.Fatalf("dropped: %+v", got)
		}
	}
	r.wantRows("SELECT count() FROM events", "3")
	ask := func(key, body string) (int, string) {
		req, err := http.NewRequest(http.MethodPost, r.sluice+"/api/v2/query", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var out struct{ Results json.RawMessage }
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(out.Results)
	}
	tests := []struct {
		name, key, body string
		status          int
		want            string
	}{
		{"totals", apiKey, `{"site_id":"localhost","metrics":["visitors","visits","pageviews","bounce_rate"],"date_range":"day"}`, 200, `[{"metrics":[1,1,3,0],"dimensions":[]}]`},
		{"by page", apiKey, `{"site_id":"localhost","metrics":["pageviews"],"date_range":"day","dimensions":["event:page"]}`, 200, `[{"metrics":[2],"dimensions":["/a"]},{"metrics":[1],"dimensions":["/"]}]`},
		{"empty", apiKey, `{"site_id":"localhost","metrics":["visitors","bounce_rate"],"date_range":["2020-01-01","2020-01-02"]}`, 200, `[{"metrics":[0,0],"dimensions":[]}]`},
		{"a wrong key", "guess", `{"site_id":"localhost","metrics":["visitors"],"date_range":"day"}`, 401, ""},
		{"a site not of the key", apiKey, `{"site_id":"other.example","metrics":["visitors"],"date_range":"day"}`, 403, ""},
		{"an unknown metric", apiKey, `{"site_id":"localhost","metrics":["happiness"],"date_range":"day"}`, 422, ""},
	}
	for _, tt := range tests {
		status, results := ask(tt.key, tt.body)
		if status != tt.status || results != tt.want {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, results, tt.status, tt.want)
		}
	}
	if page := r.dashboard("/dashboards/localhost?period=day"); !strings.Contains(page, "/a") {
		t.Error("the page does not list /a")
	}
}
