package consent

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwns(t *testing.T) {
	t.Parallel()
	s := shop()
	for host, want := range map[string][2]bool{ // test host, owned
		"example.com": {false, true}, "EXAMPLE.com.": {false, true}, "www.example.com:8443": {false, true},
		"a.b.example.com": {false, true}, "localhost": {true, true}, "localhost:3000": {true, true},
		"x.preview.example.dev": {true, true}, "preview.example.dev": {false, false}, "example.dev": {false, false},
		"notexample.com": {false, false}, "example.com.evil.net": {false, false}, "": {false, false}, "null": {false, false},
	} {
		test, ok := s.Owns(host)
		if got := [2]bool{test, ok}; got != want {
			t.Errorf("%q: test host and owned %v, want %v", host, got, want)
		}
	}
}

func TestForHost(t *testing.T) {
	t.Parallel()
	shopSite, blog := shop(), shop()
	blog.Domain, blog.TestHosts = "blog.example.com", []string{"localhost", "stage.example.com"}
	sites := NewSites(testPolicy(t, shopSite), testPolicy(t, blog))
	for host, want := range map[string]string{
		"example.com": "example.com", "www.example.com": "example.com", "blog.example.com": "blog.example.com",
		"a.blog.example.com": "blog.example.com", "stage.example.com": "example.com", "localhost": "blog.example.com",
	} {
		if p, err := sites.ForHost(host); err != nil || p.Site.Domain != want {
			t.Errorf("%s: %v, %v; want %s", host, p, err, want)
		}
	}
	if _, err := sites.ForHost("example.net"); !errors.Is(err, ErrUnknownSite) {
		t.Errorf("another host: %v, want ErrUnknownSite", err)
	}
	if _, err := sites.Lookup("EXAMPLE.com"); err != nil {
		t.Errorf("capitals: %v", err)
	}
	if _, err := sites.Lookup("www.example.com"); !errors.Is(err, ErrUnknownSite) {
		t.Errorf("a subdomain is no site: %v", err)
	}
}

func TestCheckOrigin(t *testing.T) {
	t.Parallel()
	s := shop()
	key := func(*http.Request) bool { return true }
	for _, tc := range []struct {
		name    string
		headers map[string]string
		host    string
		key     func(*http.Request) bool
		test    bool
		ok      bool
	}{
		{"Origin of the site", map[string]string{"Origin": "https://example.com"}, "example.com", nil, false, true},
		{"Origin of a subdomain, other scheme and port", map[string]string{"Origin": "http://www.example.com:81"}, "example.com", nil, false, true},
		{"Origin of a test host", map[string]string{"Origin": "http://localhost:3000"}, "example.com", nil, true, true},
		{"Origin of another site", map[string]string{"Origin": "https://evil.example"}, "example.com", nil, false, false},
		{"Origin of another site, with a key", map[string]string{"Origin": "https://evil.example"}, "example.com", key, false, false},
		{"Origin null", map[string]string{"Origin": "null"}, "example.com", nil, false, false},
		{"Origin null, same-origin", map[string]string{"Origin": "null", "Sec-Fetch-Site": "same-origin"}, "example.com", nil, false, false},
		{"Origin of an extension", map[string]string{"Origin": "chrome-extension://example.com"}, "example.com", nil, false, false},
		{"same-origin", map[string]string{"Sec-Fetch-Site": "same-origin"}, "example.com", nil, false, true},
		{"same-origin on a test host", map[string]string{"Sec-Fetch-Site": "same-origin"}, "localhost:1", nil, true, true},
		{"same-site", map[string]string{"Sec-Fetch-Site": "same-site"}, "example.com", nil, false, true},
		{"cross-site", map[string]string{"Sec-Fetch-Site": "cross-site"}, "example.com", nil, false, false},
		{"cross-site, Referer of the site", map[string]string{"Sec-Fetch-Site": "cross-site", "Referer": "https://example.com/a"}, "example.com", nil, false, true},
		{"Referer of the site", map[string]string{"Referer": "https://www.example.com/a?b"}, "example.com", nil, false, true},
		{"Referer of another site", map[string]string{"Referer": "https://example.com.evil.net/"}, "example.com", key, false, false},
		{"nothing", nil, "example.com", nil, false, false},
		{"nothing but a key", nil, "example.com", key, false, true},
		{"nothing but a wrong key", nil, "example.com", func(*http.Request) bool { return false }, false, false},
	} {
		r := httptest.NewRequest("POST", "/_s/d", nil)
		r.Host = tc.host
		for name, value := range tc.headers {
			r.Header.Set(name, value)
		}
		test, err := s.CheckOrigin(r, tc.key)
		if test != tc.test || (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrForbiddenOrigin) {
			t.Errorf("%s: test host %t, %v; want %t, allowed: %t", tc.name, test, err, tc.test, tc.ok)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	elsewhere := shop()
	elsewhere.PublicURL = "https://collect.example.net/_s"
	for _, tc := range []struct {
		name         string
		site         *Site
		origin, host string
		allowed      bool
		cookies      bool
	}{
		{"the same origin", shop(), "https://example.com", "example.com", true, true},
		{"a sibling", shop(), "https://www.example.com", "stats.example.com", true, true},
		{"a sibling, host replaced by a proxy", shop(), "https://www.example.com", "127.0.0.1:8080", true, true},
		{"a test host, from itself", shop(), "http://localhost:3000", "localhost:8080", true, true},
		{"a test host, to the site", shop(), "http://localhost:3000", "example.com", true, false},
		{"doors elsewhere", elsewhere, "https://example.com", "collect.example.net", true, false},
		{"somebody else", shop(), "https://evil.example", "example.com", false, false},
		{"null", shop(), "null", "example.com", false, false},
		{"no Origin", shop(), "", "example.com", false, false},
	} {
		r := httptest.NewRequest("POST", "/_s/d", nil)
		r.Host = tc.host
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		h := http.Header{}
		tc.site.CORS(h, r)
		if got := h.Get("Access-Control-Allow-Origin"); (got != "") != tc.allowed || tc.allowed && got != tc.origin {
			t.Errorf("%s: allowed %q, want %t", tc.name, got, tc.allowed)
		}
		if got := h.Get("Access-Control-Allow-Credentials") == "true"; got != tc.cookies {
			t.Errorf("%s: cookies %t, want %t", tc.name, got, tc.cookies)
		}
		if got := h.Get("Vary"); got != "Origin" {
			t.Errorf("%s: Vary %q", tc.name, got)
		}
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	type body struct {
		Site string          `json:"site"`
		Set  map[string]bool `json:"set"`
	}
	for _, tc := range []struct {
		name, kind, encoding, content string
		want                          error
		fields                        []Field
	}{
		{"JSON", "application/json", "", `{"site":"a"}`, nil, nil},
		{"JSON with a charset", "application/json; charset=utf-8", "", `{"site":"a"}`, nil, nil},
		{"of a beacon", "text/plain;charset=UTF-8", "", `{"site":"a"}`, nil, nil},
		{"encoded as itself", "application/json", "identity", `{}`, nil, nil},
		{"as large as may be", "application/json", "", `{"site":"` + strings.Repeat("x", 64-11) + `"}`, nil, nil},
		{"a byte larger", "application/json", "", `{"site":"` + strings.Repeat("x", 64-10) + `"}`, ErrTooLarge, nil},
		{"a form", "application/x-www-form-urlencoded", "", `{}`, ErrMediaType, nil},
		{"no type", "", "", `{}`, ErrMediaType, nil},
		{"gzip", "application/json", "gzip", "\x1f\x8b", ErrMediaType, nil},
		{"nothing", "application/json", "", ``, ErrNotJSON, nil},
		{"half", "application/json", "", `{"site":`, ErrNotJSON, nil},
		{"two values", "application/json", "", `{}{}`, ErrNotJSON, nil},
		{"a list", "application/json", "", `[]`, nil, []Field{{"body", "a list where an object is wanted"}}},
		{"a number for a string", "application/json", "", `{"site":1}`, nil, []Field{{"site", "a number where a string is wanted"}}},
		{"a string for an object", "application/json", "", `{"set":"x"}`, nil, []Field{{"set", "a string where an object is wanted"}}},
		{"a string for a boolean", "application/json", "", `{"set":{"a":"x"}}`, nil, []Field{{"set", "a string where a boolean is wanted"}}},
		{"every field is named", "application/json", "", `{"other":1,"Site":{},"set":"x"}`, nil, []Field{{"site", "an object where a string is wanted"}, {"set", "a string where an object is wanted"}}},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(tc.content))
		r.Header.Set("Content-Type", tc.kind)
		r.Header.Set("Content-Encoding", tc.encoding)
		var into body
		err := ReadJSON(r, 64, &into)
		if bad := new(FieldError); errors.As(err, &bad) {
			if diff := cmp.Diff(tc.fields, bad.Fields); diff != "" {
				t.Errorf("%s: %s", tc.name, diff)
			}
			continue
		}
		if !errors.Is(err, tc.want) || tc.fields != nil {
			t.Errorf("%s: got %v, want %v %v", tc.name, err, tc.want, tc.fields)
		}
		if tc.want == nil && err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
