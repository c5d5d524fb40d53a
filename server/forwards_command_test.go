package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/collector/ga4/standin"
	"sluice/collector/ga4/standin/standintest"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

// acknowledged waits until so many events were, and are in the tables.
func (r *running) acknowledged(t *testing.T, events uint64) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		got := uint64(0)
		for _, s := range r.sinks {
			got += s.Stats().Acknowledged
		}
		if got >= events {
			r.settled(t)
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d events acknowledged, want %d", got, events)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// shown runs `sluice forwards show`.
func (i *installation) shown(id string) ([]shownForward, error) {
	i.t.Helper()
	out, _, err := run(i.t, "forwards", "show", "--config", i.file("embedded"), id)
	var list []shownForward
	if out != "" && json.Unmarshal([]byte(out), &list) != nil {
		i.t.Fatalf("forwards show %s is no JSON: %s", id, out)
	}
	return list, err
}

// TestForwardsCommands holds what `sluice forwards show` says against what the
// stand-in for Google got, after a withdrawal too, and has both commands find
// rows that were edited.
func TestForwardsCommands(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	google := standintest.New(t, standin.Options{})
	web := httptest.NewServer(google)
	t.Cleanup(web.Close)
	i := newInstallation(t)
	i.google = web.URL
	r := i.serve("embedded")
	stays, leaves := r.agrees(t, "example.com"), r.agrees(t, "example.com")
	r.mustVisit(t, stays, "/a", "/b")
	r.mustVisit(t, leaves, "/c")
	r.acknowledged(t, 3)
	ids := map[string]string{}
	for _, row := range i.rows("embedded", "SELECT path, event_id FROM events") {
		path, id, _ := strings.Cut(row, " ")
		ids[path] = id
	}
	sent := map[string]bool{}
	for _, h := range google.Hits() {
		sent[string(h.Body)] = true
	}
	for _, path := range []string{"/a", "/b", "/c"} {
		list, err := i.shown(ids[path])
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %+v, %v", path, list, err)
		}
		f := list[0]
		sum := sha256.Sum256([]byte(f.Sent))
		switch {
		case !sent[f.Sent] || !strings.Contains(f.Sent, "https://example.com"+path):
			t.Errorf("%s: shown as sent is what nobody got: %q", path, f.Sent)
		case f.SentCheck != "matches the logged hash" || hex.EncodeToString(sum[:]) != f.PayloadHash:
			t.Errorf("%s: %s: %+v", path, f.SentCheck, f)
		case f.Event == nil || f.Receipt == nil || f.State != "acknowledged":
			t.Errorf("%s: %+v", path, f)
		}
	}
	r.decide(t, leaves, consent.Withdraw, false)
	r.settled(t)
	if list, err := i.shown(ids["/c"]); err != nil || len(list) != 1 || list[0].Sent != "" || list[0].SentCheck != "not kept: a withdrawal has emptied it" {
		t.Errorf("after the withdrawal: %+v, %v", list, err)
	}
	if out := mustRun(t, "forwards", "verify", "--config", i.file("embedded")); !strings.Contains(out, "is whole: 3 outcomes up to number 3, 0 gone") {
		t.Errorf("forwards verify: %s", out)
	}
	if _, err := i.shown("nobody"); err == nil || !strings.Contains(err.Error(), "no outcome of event nobody is stored") {
		t.Errorf("an unknown event: %v", err)
	}
	var usage *usageError
	if _, _, err := run(t, "forwards", "show", "--config", i.file("embedded")); !errors.As(err, &usage) {
		t.Errorf("no event: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	i.edited(ids)
}

// edited changes rows as whoever can write to the tables may, and has each
// change found.
func (i *installation) edited(ids map[string]string) {
	i.t.Helper()
	s := storetest.OpenWith(i.t, store.Options{DataDir: i.dir})
	for _, c := range []struct{ what, path, set, undo string }{
		{"what was sent", "/b", "sent = replaceOne(sent, '/b', '/x') WHERE sent != ''", "sent = replaceOne(sent, '/x', '/b') WHERE sent != ''"},
		{"the outcome", "/a", "state = 'dead' WHERE event_id = '" + ids["/a"] + "'", "state = 'acknowledged' WHERE state = 'dead'"},
	} {
		update := func(set string) {
			if err := s.Conn().Exec(i.t.Context(), "ALTER TABLE forwards UPDATE "+set+" SETTINGS mutations_sync = 2"); err != nil {
				i.t.Fatal(err)
			}
		}
		update(c.set)
		if list, err := i.shown(ids[c.path]); err == nil || len(list) != 1 || !strings.HasPrefix(list[0].SentCheck, "does not match") {
			i.t.Errorf("%s edited, forwards show: %v and %d rows", c.what, err, len(list))
		}
		if out, _, err := run(i.t, "forwards", "verify", "--config", i.file("embedded")); err == nil || !strings.Contains(err.Error(), "edited") {
			i.t.Errorf("%s edited, forwards verify: %v %s", c.what, err, out)
		}
		update(c.undo)
	}
	mustRun(i.t, "forwards", "verify", "--config", i.file("embedded"))
}
