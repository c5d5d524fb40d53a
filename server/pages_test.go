package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/server/config"
)

// TestPagesOfTheDashboards asks for pages as a browser does: with the slash that
// people type, and those that do not exist.
func TestPagesOfTheDashboards(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	r.auth.users["ada@example.com"] = config.User{Email: "ada@example.com", Role: "viewer", Sites: []string{"example.com"}}
	session := &http.Cookie{Name: sessionCookie, Value: r.auth.sessions.start("ada@example.com")}
	for _, tt := range []struct {
		method, path, accept string
		status               int
		says                 string
	}{
		{"GET", "/dashboards", "text/html", 200, "Sign out"},
		{"GET", "/dashboards/", "text/html", 200, "Sign out"},
		{"GET", "/dashboards/example.com/?period=7d", "text/html", 200, "example.com"},
		{"GET", "/dashboards/other.example", "text/html,*/*;q=0.8", 404, "There is no such page"},
		{"GET", "/dashboards/example.com/nothing", "text/html", 404, "your login does not include its site"},
		{"GET", "/dashboards/other.example", "application/json", 404, `"status":404`},
		{"GET", "/dashboards/assets/none.js", "*/*", 404, `"status":404`},
		{"DELETE", "/dashboards", "*/*", 405, `"status":405`},
		{"GET", "/api/v2/query", "*/*", 405, "does not take that method"},
		{"GET", "/_s/d", "*/*", 405, "does not take that method"},
		{"POST", "/_s/s.js", "*/*", 405, "does not take that method"},
		{"GET", "/_s/nothing", "*/*", 404, "There is no such door"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, r.public+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", tt.accept)
		req.AddCookie(session)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.says) {
			t.Errorf("%s %s: %d, want %d with %q:\n%s", tt.method, tt.path, resp.StatusCode, tt.status, tt.says, body)
		}
		if allow := resp.Header.Get("Allow"); (resp.StatusCode == 405) != (allow != "") {
			t.Errorf("%s %s: %d with Allow %q", tt.method, tt.path, resp.StatusCode, allow)
		}
	}
}
