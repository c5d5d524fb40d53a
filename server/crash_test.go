package server

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		}, previous, consent.Signals{}, "")
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

// TestRepeatedEventAfterACrash: a client whose answer was cut off by a kill
// sends its events again, and they are stored once: straight after, and also
// once what was accepted has left the spool's tail.
func TestRepeatedEventAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dir)
	token := r.grant(t)
	send := func(r *running, id, want string) {
		t.Helper()
		event := `{"site":"example.com","events":[{"id":"` + id + `","name":"pageview","url":"https://example.com/"}]}`
		if status, body := r.ask(t, http.MethodPost, r.public+"/_s/e", event, token); status != 202 || !strings.Contains(body, want) {
			t.Errorf("event %s: %d %s, want %s", id, status, body, want)
		}
	}
	send(r, "early", `"accepted":1`)
	eventually(t, "the event is noted", func() bool {
		found, err := filepath.Glob(filepath.Join(dir, "seen", "*.ids"))
		if err != nil || len(found) != 1 {
			return false
		}
		info, err := os.Stat(found[0])
		return err == nil && info.Size() == 16
	})
	send(r, "late", `"accepted":1`)
	crashed := crashCopy(t, dir)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	for name, dir := range map[string]string{"crash": crashed, "stop": dir} {
		r := start(t, dir)
		t.Log("after a ", name)
		send(r, "early", `"duplicate"`)
		send(r, "late", `"duplicate"`)
		send(r, "new", `"accepted":1`)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("waited in vain until ", what)
		case <-tick.C:
		}
	}
}
