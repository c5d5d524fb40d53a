package server

import (
	"net/http"
	"testing"

	"sluice/server/config"
)

// TestListOfSites asks for the first page of the dashboards with and without
// the slash that people type.
func TestListOfSites(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	r.auth.users["ada@example.com"] = config.User{Email: "ada@example.com", Role: "admin"}
	session := r.auth.cookie(r.auth.sessions.start("ada@example.com"))
	for _, page := range []string{"/dashboards", "/dashboards/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.public+page, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.AddCookie(session)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %d, want 200", page, resp.StatusCode)
		}
	}
}
