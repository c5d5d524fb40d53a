package server

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/consent"
)

// crashCopy is what a server killed now would leave to the next.
func crashCopy(t *testing.T, dataDir string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(dataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dataDir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if !d.Type().IsRegular() || filepath.Ext(path) == ".tmp" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestIssueTimesGoOnAfterACrash: a consent that is changed more than once a
// second has issue times ahead of the clock. After a crash the next change
// still comes after all of them, or a token in another tab would outlive it.
func TestIssueTimesGoOnAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dir)
	decide := func(r *running, previous string, analytics bool) consent.Grant {
		policy, err := r.ledger.Sites.Lookup("example.com")
		if err != nil {
			t.Fatal(err)
		}
		g, err := r.ledger.Decide(t.Context(), policy, consent.Choice{
			Site: "example.com", Purposes: map[string]bool{"analytics": analytics, "preference": true}, Method: "custom", Notice: "1",
		}, previous, false, "")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first := decide(r, "", true)
	newest := first
	for range 15 {
		newest = decide(r, newest.Signed, true)
	}
	r = start(t, crashCopy(t, dir))
	after := decide(r, first.Signed, false)
	if after.Token.Issued <= newest.Token.Issued {
		t.Errorf("issued %d after %d, want it later", after.Token.Issued, newest.Token.Issued)
	}
	for name, token := range map[string]string{"first": first.Signed, "newest": newest.Signed} {
		if _, body := r.ask(t, http.MethodPost, r.public+"/_s/e", oneEvent, token); !strings.Contains(body, "withdrawn") {
			t.Errorf("event under the %s token after analytics were taken back: %s", name, body)
		}
	}
}
