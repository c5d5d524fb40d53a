package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sluice/server/config"
)

// TestLoginOverHTTPS: where a proxy that is believed says https, the cookies keep
// to it, whatever public_url says; and the browser is known from then on.
func TestLoginOverHTTPS(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	secret, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := config.ParsePasswordHash(config.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	r.auth.users["ada@example.com"] = config.User{Email: "ada@example.com", Role: "admin"}
	r.auth.hashes["ada@example.com"] = &hash
	login := func(query, body, scheme string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.public+"/dashboards/login"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Forwarded-Proto", scheme)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		return resp
	}
	form := url.Values{"email": {"Ada@example.com"}, "password": {"correct horse"}}.Encode()
	for scheme, prefix := range map[string]string{"https": "__Host-", "http": ""} {
		resp := login("", form, scheme)
		var names []string
		for _, c := range resp.Cookies() {
			names = append(names, c.Name)
			if c.Secure != (scheme == "https") || !c.HttpOnly {
				t.Errorf("over %s: %v", scheme, c)
			}
			if c.Name == prefix+deviceCookie && !r.auth.devices.knows(c.Value, "ada@example.com") {
				t.Errorf("over %s the device is not known afterwards", scheme)
			}
		}
		if want := []string{prefix + sessionCookie, prefix + deviceCookie}; resp.StatusCode != http.StatusSeeOther || !slices.Equal(names, want) {
			t.Errorf("over %s: %d with cookies %q, want %q", scheme, resp.StatusCode, names, want)
		}
	}
	if resp := login("?"+form, "", "https"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a password in the address: %d, want 401", resp.StatusCode)
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/dashboards/example.com?period=7d":     "/dashboards/example.com?period=7d",
		"/dashboards/a/../b":                    "/dashboards/b",
		"/dashboards/../..//evil.example":       "/dashboards",
		"/dashboards/..%2f..%2f%2fevil.example": "/dashboards",
		"//evil.example/dashboards/":            "/dashboards",
		"https://evil.example/dashboards/":      "/dashboards",
		"/dashboards/login":                     "/dashboards",
		"/dashboards/x/../login":                "/dashboards",
		"/_s/me":                                "/dashboards",
		"":                                      "/dashboards",
	} {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
}
