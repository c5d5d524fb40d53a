package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

func (banners) For(v View) (http.Handler, error) {
	if v.Site == "silent.example" {
		return nil, errors.New("none was composed")
	}
	words := [...]string{"banner", "preferences", "banner and preferences"}[v.Part] + " of " + v.Site + " in " + v.Language
	if v.Variant != "" {
		words += ", variant " + v.Variant
	}
	if v.Since != 0 {
		words += fmt.Sprintf(", asked %05b", v.Asked)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, words) }), nil
}

func newDoors(t testing.TB, sites ...*Site) *doors {
	t.Helper()
	h := newHouse(t, sites...)
	d := &doors{house: h, jar: map[string]string{}}
	texts := map[string]map[string]string{"en": shippedWords(t, "en"), "de": shippedWords(t, "de")}
	d.handler = &Handler{
		Ledger: h.Ledger, Counter: h.journal, Banner: banners{},
		Match: func(wanted ...string) string {
			if slices.ContainsFunc(wanted, func(w string) bool { return strings.HasPrefix(w, "de") }) {
				return "de"
			}
			return "en"
		},
		Texts:   func(lang string) map[string]string { return texts[lang] },
		Country: func(echo.Context) string { return "DE" },
		Subject: func(_ context.Context, consent ID, to io.Writer) error {
			return json.NewEncoder(to).Encode(map[string]any{"events": []string{"of " + consent.String()}})
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

// A tag outside the gate is counted with the decision that tells of it, and is
// no part of the receipt.
func TestPostDecisionOutside(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	for body, want := range map[string]int{
		acceptAnalytics: 0,
		strings.Replace(acceptAnalytics, `{`, `{"outside":true,`, 1): 1,
	} {
		d.journal.counts = nil
		w := d.send(d.handler.PostDecision, "POST", "/_s/d", body)
		outside := slices.DeleteFunc(slices.Clone(d.journal.counts), func(c Count) bool { return c != NewCount("example.com", CountOutside, "google", noon) })
		if len(outside) != want || strings.Contains(w.Body.String(), "outside") {
			t.Errorf("%s: %d counts of a tag outside the gate, want %d; answer %s", body, len(outside), want, w.Body)
		}
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
	for body, want := range map[string][]string{
		`{}`: {"site"},
		`{"site":"example.com","purposes":["analytics"],"method":5}`:             {"purposes", "method"},
		`{"site":"example.com","purposes":{"analytics":true},"method":"custom"}`: {"notice"},
	} {
		d.send(d.handler.PostDecision, "POST", "/_s/d", body)
		bad := new(FieldError)
		errors.As(d.error, &bad)
		var got []string
		for _, f := range bad.Fields {
			got = append(got, f.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: fields complained about (-want +got):\n%s", body, diff)
		}
	}
	d.handler.APIKey = func(r *http.Request, site string) bool { return r.Header.Get("Authorization") == "Bearer "+site }
	d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics, "Origin", "", "Authorization", "Bearer example.com")
	if d.error != nil {
		t.Errorf("a backend with a key: %v", d.error)
	}
}

// A page that belongs to two sites may use the one that its request names, with
// the cookies of that one.
func TestPostDecisionOfNestedSites(t *testing.T) {
	t.Parallel()
	inner := shop()
	inner.Domain, inner.PublicURL = "shop.example.com", "https://shop.example.com/_s"
	d := newDoors(t, shop(), inner)
	w := d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics, "Host", "stats.example.com", "Origin", "https://shop.example.com")
	if d.error != nil {
		t.Fatal(d.error)
	}
	h := w.Result().Header
	want := []string{"https://shop.example.com", "true", "Origin, Sec-GPC"}
	got := []string{h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials"), strings.Join(h.Values("Vary"), ", ")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("origin, credentials, vary (-want +got):\n%s", diff)
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
