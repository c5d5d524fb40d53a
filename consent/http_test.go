package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
)

// doors is a house with its doors, and a browser that keeps cookies.
type doors struct {
	*house
	handler *Handler
	jar     map[string]string
	error   error // what the last handler returned
}

// words reads the texts that ship with the banner.
func shippedWords(t testing.TB, lang string) map[string]string {
	t.Helper()
	content, err := os.ReadFile("../static/texts/" + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(content, &texts); err != nil {
		t.Fatal(err)
	}
	return texts
}

// banners answers every site with its name.
type banners struct{}

func (banners) For(site, wanted string) (http.Handler, string, bool) {
	lang := "en"
	if strings.HasPrefix(wanted, "de") {
		lang = "de"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "banner of "+site+" in "+lang)
	}), lang, site != "silent.example"
}

func newDoors(t testing.TB, sites ...*Site) *doors {
	t.Helper()
	h := newHouse(t, sites...)
	d := &doors{house: h, jar: map[string]string{}}
	texts := map[string]map[string]string{"en": shippedWords(t, "en"), "de": shippedWords(t, "de")}
	d.handler = &Handler{
		Ledger: h.Ledger, Counter: h.journal, Banner: banners{},
		Match: func(wanted string) string {
			if strings.HasPrefix(wanted, "de") {
				return "de"
			}
			return "en"
		},
		Texts:   func(lang string) map[string]string { return texts[lang] },
		Country: func(echo.Context) string { return "DE" },
		Subject: func(_ context.Context, consent ID) (any, error) {
			return map[string]any{"events": []string{"of " + consent.String()}}, nil
		},
		Receipts: func(_ context.Context, consent ID) ([]json.RawMessage, error) {
			var out []json.RawMessage
			for _, c := range h.journal.commitments {
				if c.Receipt != nil && c.Receipt.ConsentID == consent {
					b, err := c.Receipt.Canonical()
					if err != nil {
						return nil, err
					}
					out = append(out, b)
				}
			}
			return out, nil
		},
	}
	return d
}

// send makes a request from a page of the site, with the browser's cookies,
// and keeps those of the answer.
func (d *doors) send(handler echo.HandlerFunc, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "example.com"
	r.Header.Set("Origin", "https://example.com")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	var cookies []string
	for name, value := range d.jar {
		cookies = append(cookies, name+"="+value)
	}
	if len(cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "Host":
			r.Host = headers[i+1]
		case headers[i+1] == "":
			r.Header.Del(headers[i])
		default:
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	d.error = handler(echo.New().NewContext(r, w))
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(d.jar, c.Name)
		} else {
			d.jar[c.Name] = c.Value
		}
	}
	return w
}

const acceptAnalytics = `{"site":"example.com","purposes":{"analytics":true},"method":"custom","notice":"2025-07","lang":"de"}`

// answer decodes JSON.
func answer[T any](t *testing.T, w *httptest.ResponseRecorder) (out T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return out
}

func TestPostDecision(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	w := d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics)
	if d.error != nil || w.Code != http.StatusCreated {
		t.Fatalf("%d, %v", w.Code, d.error)
	}
	got := answer[decided](t, w)
	if got.Token != d.jar[ProofCookie] || len(got.Token) != TokenLength {
		t.Errorf("token %q, cookie %q", got.Token, d.jar[ProofCookie])
	}
	var receipt Receipt
	if err := json.Unmarshal(got.Receipt, &receipt); err != nil {
		t.Fatal(err)
	}
	if got.ConsentID != receipt.ConsentID.String() || receipt.Country != "DE" || receipt.Language != "de" || receipt.N != 1 {
		t.Errorf("consent id %s, receipt %s", got.ConsentID, got.Receipt)
	}
	if want := noon.Add(days(180)); !got.Expires.Equal(want) {
		t.Errorf("expires %s, want %s", got.Expires, want)
	}
	if _, err := new(Verifier).Check(got.Receipt); err != nil {
		t.Errorf("the visitor cannot verify the receipt: %v", err)
	}
	if cache := w.Header().Get("Cache-Control"); cache != "private, no-store" {
		t.Errorf("Cache-Control %q", cache)
	}
	if w.Header().Get("Access-Control-Allow-Origin") != "https://example.com" {
		t.Errorf("headers %v", w.Header())
	}

	d.clock.Add(time.Hour)
	w = d.send(d.handler.PostDecision, "POST", "/_s/d", `{"site":"example.com","purposes":{},"method":"withdraw","notice":"2025-07"}`)
	gone := answer[decided](t, w)
	if gone.Token != "" || gone.ConsentID != got.ConsentID {
		t.Errorf("withdrawal: token %q, consent id %q, want the same id and no token", gone.Token, gone.ConsentID)
	}
	if diff := cmp.Diff([]string{ChoiceCookie}, keys(d.jar)); diff != "" {
		t.Errorf("cookies after the withdrawal: %s", diff)
	}
	if reason := d.Live(d.policy, d.token(t, got.Token), StatisticsUse); reason != Withdrawn {
		t.Errorf("when the answer arrives the token is %s", verdict(reason))
	}
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestPostDecisionRefusalLeavesNoToken(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	w := d.send(d.handler.PostDecision, "POST", "/_s/d", `{"site":"example.com","purposes":{"analytics":false},"method":"reject_all","notice":"2025-07"}`)
	got := answer[map[string]any](t, w)
	if got["token"] != "" || got["consent_id"] != "" {
		t.Errorf("got %s, want empty token and id", w.Body)
	}
	if diff := cmp.Diff([]string{ChoiceCookie}, keys(d.jar)); diff != "" {
		t.Error(diff)
	}
}

func TestPostDecisionTokenPrecedence(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	cookie := d.decide(t, AcceptAll, "", Analytics)
	header := d.decide(t, AcceptAll, "", Analytics)
	body := d.decide(t, AcceptAll, "", Analytics)
	d.jar[ProofCookie] = cookie.Signed
	for _, tc := range []struct {
		name, header, body string
		want               ID // zero: a new one
	}{
		{"the cookie", "", "", cookie.Receipt.ConsentID},
		{"the header before the cookie", header.Signed, "", header.Receipt.ConsentID},
		{"the body before both", header.Signed, body.Signed, body.Receipt.ConsentID},
		{"a bad header never falls back", "bad", "", ID{}},
		{"a bad body never falls back", header.Signed, "bad", ID{}},
	} {
		d.jar = map[string]string{ProofCookie: cookie.Signed}
		d.clock.Add(time.Minute)
		in := strings.Replace(acceptAnalytics, `{`, fmt.Sprintf(`{"token":%q,`, tc.body), 1)
		w := d.send(d.handler.PostDecision, "POST", "/_s/d", in, TokenHeader, tc.header)
		got := answer[decided](t, w).ConsentID
		known := []string{cookie.Receipt.ConsentID.String(), header.Receipt.ConsentID.String(), body.Receipt.ConsentID.String()}
		if tc.want != (ID{}) && got != tc.want.String() || tc.want == (ID{}) && slices.Contains(known, got) {
			t.Errorf("%s: continued %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestPostDecisionRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		headers    []string
		want       error
	}{
		{"an unknown site", `{"site":"example.net"}`, nil, ErrUnknownSite},
		{"no site", `{}`, nil, ErrUnknownSite},
		{"a page of somebody else", acceptAnalytics, []string{"Origin", "https://evil.example"}, ErrForbiddenOrigin},
		{"no origin of any kind", acceptAnalytics, []string{"Origin", ""}, ErrForbiddenOrigin},
		{"not JSON", `{"site"`, nil, ErrNotJSON},
		{"a form", `site=example.com`, []string{"Content-Type", "application/x-www-form-urlencoded"}, ErrMediaType},
		{"gzip", acceptAnalytics, []string{"Content-Encoding", "gzip"}, ErrMediaType},
		{"too large", `{"site":"` + strings.Repeat("x", maxDecision) + `"}`, nil, ErrTooLarge},
		{"an old notice", strings.Replace(acceptAnalytics, "2025-07", "2024-01", 1), nil, ErrStaleNotice},
	} {
		d := newDoors(t)
		w := d.send(d.handler.PostDecision, "POST", "/_s/d", tc.body, tc.headers...)
		if !errors.Is(d.error, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, d.error, tc.want)
		}
		if len(d.journal.commitments) != 0 || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s: something was recorded or set", tc.name)
		}
	}
	d := newDoors(t)
	d.send(d.handler.PostDecision, "POST", "/_s/d", `{"site":"example.com","purposes":["analytics"],"method":"custom"}`)
	if !errors.As(d.error, new(*FieldError)) {
		t.Errorf("a list for an object: %v, want a *FieldError", d.error)
	}
	d.handler.APIKey = func(r *http.Request, site string) bool { return r.Header.Get("Authorization") == "Bearer "+site }
	d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics, "Origin", "", "Authorization", "Bearer example.com")
	if d.error != nil {
		t.Errorf("a backend with a key: %v", d.error)
	}
}

func TestPostDecisionDiskFull(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	d.journal.err = ErrUnavailable
	w := d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics)
	if !errors.Is(d.error, ErrUnavailable) || len(w.Result().Cookies()) != 0 {
		t.Errorf("got %v with cookies %v, want ErrUnavailable and none", d.error, w.Result().Cookies())
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	w := d.send(d.handler.Preflight, "OPTIONS", "/_s/d", "", "Origin", "https://www.example.com")
	if d.error != nil || w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != "https://www.example.com" {
		t.Errorf("%d, %v, %v", w.Code, d.error, w.Header())
	}
	if d.send(d.handler.Preflight, "OPTIONS", "/_s/d", "", "Origin", "https://evil.example"); !errors.Is(d.error, ErrForbiddenOrigin) {
		t.Errorf("somebody else: %v", d.error)
	}
}

func TestPostPreferences(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	d.send(d.handler.PostDecision, "POST", "/_s/d", `{"site":"example.com","purposes":{"preference":true},"method":"custom","notice":"2025-07"}`)
	set := func(body string, headers ...string) *httptest.ResponseRecorder {
		return d.send(d.handler.PostPreferences, "POST", "/_s/p", `{"site":"example.com","set":`+body+`}`, headers...)
	}
	set(`{"theme":"dark; <b>","columns":3,"sound":false,"größe":"x"}`)
	if !errors.As(d.error, new(*FieldError)) {
		t.Fatalf("a name with umlauts: %v", d.error)
	}
	w := set(`{"theme":"dark; <b> ü","columns":3,"sound":false}`)
	if d.error != nil || w.Code != http.StatusNoContent {
		t.Fatalf("%d, %v", w.Code, d.error)
	}
	text, err := url.PathUnescape(d.jar[PreferenceCookie])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"theme": "dark; <b> ü", "columns": 3.0, "sound": false}, got); diff != "" {
		t.Error(diff)
	}
	line := cookieNamed(w.Header().Values("Set-Cookie"), PreferenceCookie)
	if seconds := days(180).Seconds(); !strings.Contains(line, fmt.Sprintf("Max-Age=%d;", int(seconds))) {
		t.Errorf("%s: want no longer than the consent", line)
	}
	set(`{"columns":null,"font":"large"}`)
	if text, _ := url.PathUnescape(d.jar[PreferenceCookie]); !strings.Contains(text, "dark") || strings.Contains(text, "columns") || !strings.Contains(text, "large") {
		t.Errorf("set and taken away: %s", text)
	}
	set(`{"theme":null,"font":null,"sound":null}`)
	if _, left := d.jar[PreferenceCookie]; left {
		t.Error("nothing is preferred, and the cookie stays")
	}
	many := map[string]int{}
	for i := range maxPreferences + 1 {
		many[fmt.Sprint("p", i)] = i
	}
	tooMany, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"none": `{}`, "a list": `{"a":[1]}`, "an object": `{"a":{}}`, "too long a value": `{"a":"` + strings.Repeat("x", maxPreferenceValue+1) + `"}`,
		"too many": string(tooMany), "too large a cookie": `{"a":"` + strings.Repeat("ü", 500) + `","b":"` + strings.Repeat("<", 200) + `"}`,
	} {
		if set(body); !errors.As(d.error, new(*FieldError)) {
			t.Errorf("%s: %v, want a *FieldError", name, d.error)
		}
	}
	d.jar[PreferenceCookie] = "%7Bdamaged"
	if set(`{"a":"b"}`); d.error != nil || d.jar[PreferenceCookie] != "%7B%22a%22%3A%22b%22%7D" {
		t.Errorf("a damaged cookie: %v, %s", d.error, d.jar[PreferenceCookie])
	}
}

func TestPreferencesNeedAGrant(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	ask := func(what string) {
		t.Helper()
		w := d.send(d.handler.PostPreferences, "POST", "/_s/p", `{"site":"example.com","set":{"a":"b"}}`)
		if !errors.Is(d.error, ErrNotGranted) || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %v, want ErrNotGranted", what, d.error)
		}
	}
	ask("no choice")
	d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics)
	ask("analytics alone")
	both := strings.Replace(acceptAnalytics, `"analytics":true`, `"analytics":true,"preference":true`, 1)
	d.clock.Add(time.Second)
	d.send(d.handler.PostDecision, "POST", "/_s/d", both)
	token := d.jar[ProofCookie]
	d.clock.Add(time.Second)
	d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics)
	d.jar[ProofCookie] = token
	ask("granted, and taken back since")
	d.clock.Add(days(180))
	ask("expired")
	d.jar[ProofCookie] = "forged"
	ask("forged")
}

func TestMe(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	for name, proof := range map[string]string{"no token": "", "forged": "forged"} {
		d.jar = map[string]string{}
		if proof != "" {
			d.jar[ProofCookie] = proof
		}
		if d.send(d.handler.GetMe, "GET", "/_s/me", ""); !errors.Is(d.error, ErrUnauthorised) {
			t.Errorf("GET, %s: %v, want ErrUnauthorised", name, d.error)
		}
		if d.send(d.handler.DeleteMe, "DELETE", "/_s/me", ""); !errors.Is(d.error, ErrUnauthorised) {
			t.Errorf("DELETE, %s: %v, want ErrUnauthorised", name, d.error)
		}
	}
	d.jar = map[string]string{}
	d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics)
	w := d.send(d.handler.GetMe, "GET", "/_s/me", "")
	if d.error != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v", w.Code, d.error)
	}
	got := answer[held](t, w)
	id := d.journal.last(t).Receipt.ConsentID.String()
	if got.ConsentID != id || got.Notice != "2025-07" || !strings.Contains(w.Body.String(), "of "+id) {
		t.Errorf("got %s", w.Body)
	}
	want := map[Purpose]bool{Analytics: true, Preference: false, Media: false, "research": false}
	if diff := cmp.Diff(want, got.Purposes) + cmp.Diff(map[string]bool{"statistics": true, "hotjar": true, "chat": false}, got.Services); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{ChoiceCookie, VisitorCookie, ProofCookie}, keys(got.Cookies)); diff != "" {
		t.Errorf("cookies: %s", diff)
	}

	if d.send(d.handler.DeleteMe, "DELETE", "/_s/me", "", "Origin", "https://evil.example"); !errors.Is(d.error, ErrForbiddenOrigin) {
		t.Errorf("a page of somebody else: %v, want ErrForbiddenOrigin", d.error)
	}
	if d.send(d.handler.DeleteMe, "DELETE", "/_s/me", "", "Origin", ""); !errors.Is(d.error, ErrForbiddenOrigin) {
		t.Errorf("a cookie and no origin: %v, want ErrForbiddenOrigin", d.error)
	}
	for name, headers := range map[string][]string{
		"from the site": nil, "by header": {"Origin", "", TokenHeader, d.jar[ProofCookie]},
	} {
		w = d.send(d.handler.DeleteMe, "DELETE", "/_s/me", "", headers...)
		tomb := d.journal.last(t).Tombstone
		if d.error != nil || w.Code != http.StatusAccepted || tomb == nil || tomb.ConsentID.String() != id {
			t.Errorf("%s: %d, %v, %+v", name, w.Code, d.error, tomb)
		}
	}

	d.handler.Subject = func(context.Context, ID) (any, error) { return nil, errors.New("away") }
	if d.send(d.handler.GetMe, "GET", "/_s/me", ""); !errors.Is(d.error, ErrUnavailable) {
		t.Errorf("database away: %v, want ErrUnavailable", d.error)
	}
}

func TestGetGPC(t *testing.T) {
	t.Parallel()
	undated, ignores := shop(), shop()
	undated.Domain, undated.Notice.Updated = "undated.example", ""
	ignores.Domain, ignores.HonourGPC = "ignores.example", false
	d := newDoors(t, shop(), undated, ignores)
	for host, want := range map[string]string{
		"www.example.com": `{"gpc":true,"lastUpdate":"2025-07-01"}`, "undated.example": `{"gpc":true,"lastUpdate":"2026-11-23"}`,
	} {
		w := d.send(d.handler.GetGPC, "GET", "/.well-known/gpc.json", "", "Host", host)
		if got := strings.TrimSpace(w.Body.String()); got != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s (%s), want %s", host, got, w.Header().Get("Content-Type"), want)
		}
	}
	if d.send(d.handler.GetGPC, "GET", "/_s/gpc.json?site=ignores.example", ""); !errors.Is(d.error, echo.ErrNotFound) {
		t.Errorf("a site that ignores the signal: %v, want echo.ErrNotFound", d.error)
	}
	if d.send(d.handler.GetGPC, "GET", "/_s/gpc.json", "", "Host", "example.net"); !errors.Is(d.error, ErrUnknownSite) {
		t.Errorf("another host: %v, want ErrUnknownSite", d.error)
	}
}

func TestGetBanner(t *testing.T) {
	t.Parallel()
	ignores, silent := shop(), shop()
	ignores.Domain, ignores.HonourGPC = "ignores.example", false
	silent.Domain = "silent.example"
	d := newDoors(t, shop(), ignores, silent)
	count := func(site string, kind CountKind, key, lang string) *Count {
		c := NewCount(site, kind, key, noon)
		c.Notice, c.Language = "2025-07", lang
		return &c
	}
	for _, tc := range []struct {
		name, target string
		headers      []string
		code         int
		body         string
		count        *Count
	}{
		{"in English", "/_s/b?site=example.com&lang=en", nil, 200, "banner of example.com in en", count("example.com", CountView, "", "en")},
		{"in the browser's language", "/_s/b?site=example.com&lang=", []string{"Accept-Language", "de-AT,en;q=0.5"}, 200, "banner of example.com in de", count("example.com", CountView, "", "de")},
		{"of the host's site", "/_s/b", nil, 200, "banner of example.com in en", count("example.com", CountView, "", "en")},
		{"under the signal", "/_s/b?site=example.com", []string{"Sec-GPC", "1"}, 204, "", count("example.com", CountGPC, "", "")},
		{"under the signal, opened", "/_s/b?site=example.com&open=1", []string{"Sec-GPC", "1"}, 200, "banner of example.com in en", count("example.com", CountView, "open", "en")},
		{"under a signal that is ignored", "/_s/b?site=ignores.example", []string{"Sec-GPC", "1"}, 200, "banner of ignores.example in en", count("ignores.example", CountView, "", "en")},
		{"under half a signal", "/_s/b?site=example.com", []string{"Sec-GPC", "true"}, 200, "banner of example.com in en", count("example.com", CountView, "", "en")},
	} {
		d.journal.counts = nil
		w := d.send(d.handler.GetBanner, "GET", tc.target, "", tc.headers...)
		if d.error != nil || w.Code != tc.code || w.Body.String() != tc.body {
			t.Errorf("%s: %d %q, %v; want %d %q", tc.name, w.Code, w.Body, d.error, tc.code, tc.body)
		}
		if diff := cmp.Diff([]Count{*tc.count}, d.journal.counts); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
		if w.Header().Get("Cache-Control") != "private, no-store" || w.Header().Get("Vary") != "Sec-GPC" || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %v", tc.name, w.Header())
		}
	}
	d.journal.counts = nil
	d.send(d.handler.GetBanner, "HEAD", "/_s/b?site=example.com", "")
	if len(d.journal.counts) > 0 {
		t.Error("a HEAD is counted as a view")
	}
	if d.send(d.handler.GetBanner, "GET", "/_s/b?site=example.net", ""); !errors.Is(d.error, ErrUnknownSite) {
		t.Errorf("unknown site: %v", d.error)
	}
	if d.send(d.handler.GetBanner, "GET", "/_s/b?site=silent.example", ""); d.error == nil {
		t.Error("a banner that was not composed: no error")
	}
}
