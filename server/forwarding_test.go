package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/server/config"
)

// TestForwarderUnconfigured: what waits for a service that is taken out of the
// configuration has an outcome all the same. A queue of an earlier version does
// not say whose it is.
func TestForwarderUnconfigured(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		earlier bool
		want    []string
		log     string
	}{
		"named":              {false, []string{"google-analytics dead unconfigured"}, "what waited in its queue is dead"},
		"of earlier version": {true, nil, "has no outcome"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			i.away()
			r := i.serve("http://127.0.0.1:1/sluice")
			r.mustVisit(t, r.agrees(t, "example.com"), "/a")
			eventually(t, "the event waits", func() bool {
				n, _ := r.sinks[0].Waiting()
				return n == 1
			})
			queue := filepath.Join(r.queues(), r.sinks[0].Name())
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if tt.earlier {
				if err := os.Remove(filepath.Join(queue, "service")); err != nil {
					t.Fatal(err)
				}
			}
			c, err := config.Load(i.file("http://127.0.0.1:1/sluice"))
			if err != nil {
				t.Fatal(err)
			}
			c.Sites[0].Services = nil
			r = startOf(t, c, time.Now)
			if _, err := os.Stat(queue); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the queue is still there: %v", err)
			}
			var got []string
			err = r.state.journal.spool.Replay(0, func(rec spool.Record) error {
				if rec.Kind != spool.KindForward {
					return nil
				}
				f, err := collector.DecodeForward(rec.Data)
				got = append(got, strings.Join([]string{f.Destination, string(f.State), f.Reason}, " "))
				return err
			})
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("outcomes %q, %v, want %q", got, err, tt.want)
			}
			if !strings.Contains(r.log.String(), tt.log) {
				t.Errorf("the log does not say that it %s:\n%s", tt.log, r.log)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
