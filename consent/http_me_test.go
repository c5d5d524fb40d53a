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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
)

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
	if got.ConsentID != id || got.Notice != "2025-07" || !strings.HasSuffix(w.Body.String(), `},"stored":{"events":["of `+id+`"]}`+"\n}\n") {
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

	d.handler.Subject = func(context.Context, ID, io.Writer) error { return errors.New("away") }
	if d.send(d.handler.GetMe, "GET", "/_s/me", ""); !errors.Is(d.error, ErrUnavailable) {
		t.Errorf("database away: %v, want ErrUnavailable", d.error)
	}
	d.handler.Subject = func(_ context.Context, _ ID, to io.Writer) error {
		_, err := io.WriteString(to, `{"receipts":[`)
		return errors.Join(err, errors.New("away"))
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is never wrapped
			t.Errorf("database away in the middle: %v, want the connection dropped", p)
		}
	}()
	d.send(d.handler.GetMe, "GET", "/_s/me", "")
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
		{"under the signal, opened", "/_s/b?site=example.com&open=1", []string{"Sec-GPC", "1"}, 200, "banner and preferences of example.com in en", count("example.com", CountView, "open", "en")},
		{"the preferences, from a banner that was counted", "/_s/b?site=example.com&more=1", []string{"Sec-GPC", "1"}, 200, "preferences of example.com in en", nil},
		{"under a signal that is ignored", "/_s/b?site=ignores.example", []string{"Sec-GPC", "1"}, 200, "banner of ignores.example in en", count("ignores.example", CountView, "", "en")},
		{"under half a signal", "/_s/b?site=example.com", []string{"Sec-GPC", "true"}, 200, "banner of example.com in en", count("example.com", CountView, "", "en")},
	} {
		d.journal.counts = nil
		w := d.send(d.handler.GetBanner, "GET", tc.target, "", tc.headers...)
		if d.error != nil || w.Code != tc.code || w.Body.String() != tc.body {
			t.Errorf("%s: %d %q, %v; want %d %q", tc.name, w.Code, w.Body, d.error, tc.code, tc.body)
		}
		var want []Count
		if tc.count != nil {
			want = []Count{*tc.count}
		}
		if diff := cmp.Diff(want, d.journal.counts); diff != "" {
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

// TestMeOfADatabaseThatHangs answers before the server gives up writing.
func TestMeOfADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoors(t)
		d.send(d.handler.PostDecision, "POST", "/_s/d", acceptAnalytics)
		d.handler.Subject = func(ctx context.Context, _ ID, _ io.Writer) error {
			<-ctx.Done()
			return ctx.Err()
		}
		begun := time.Now()
		d.send(d.handler.GetMe, "GET", "/_s/me", "")
		if took := time.Since(begun); !errors.Is(d.error, ErrUnavailable) || took >= 15*time.Second {
			t.Errorf("after %v: %v, want ErrUnavailable in less than 15 s", took, d.error)
		}
	})
}
