package forward

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin"
)

// TestAbandon ends what waits in a queue that nobody reads any more, and not
// what has ended before.
func TestAbandon(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		token := q.token(analytics)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503, Times: 1})
		q.admit(token, "sent")
		time.Sleep(10 * time.Second)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		q.admit(token, "a")
		time.Sleep(3 * time.Second)
		q.visit(q.token(analytics), "b", 2) // by which a is put back
		time.Sleep(time.Minute)
		q.end()
		q.mu.Lock()
		q.recorded = nil
		q.refuse = 1
		q.mu.Unlock()
		o := Options{Queue: q.queue, Outcomes: q}
		if _, n, err := Abandon(t.Context(), o); err == nil || n != 0 {
			t.Errorf("%d events recorded where nothing can be, %v", n, err)
		}
		service, n, err := Abandon(t.Context(), o)
		if err != nil || service != "google-analytics" || n != 2 {
			t.Errorf("%d events for %s, %v", n, service, err)
		}
		want := map[string]string{"a": "dead" + Unconfigured, "b": "dead" + Unconfigured}
		if diff := cmp.Diff(want, q.ends()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		for _, f := range q.recorded {
			if f.State != collector.Dead || f.Site != "example.com" || f.Destination != "google-analytics" || f.EventSeq == 0 {
				t.Errorf("outcome %+v", f)
			}
		}
		if err := os.Remove(filepath.Join(q.queue, serviceName)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Abandon(t.Context(), o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a queue of an earlier version: %v", err)
		}
	})
}
