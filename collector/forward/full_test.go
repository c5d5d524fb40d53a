package forward

import (
	"fmt"
	"testing"
	"time"

	"sluice/collector/ga4/standin"
)

// TestNearlyFullQueue gives nothing up that found room, while what comes later
// finds none: neither where it stands nor where it would let others go first.
func TestNearlyFullQueue(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t, func(r *rig) { r.room = 32 << 10 })
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		const events = 300
		for i := range events {
			q.visit(q.token(analytics), fmt.Sprint("e", i), i+1)
			time.Sleep(2 * time.Second)
		}
		full := 0
		for _, o := range q.outcomes() {
			if o.Reason != QueueFull {
				t.Fatalf("outcome %v, want dead: %s", o, QueueFull)
			}
			full++
		}
		if n, _ := q.sink.Waiting(); full == 0 || n+full != events {
			t.Errorf("%d found no room, %d wait, want %d", full, n, events)
		}
		q.google.Reset()
		time.Sleep(time.Hour)
		if n := len(q.ends()); n != events || q.sink.Stats().Unreadable != 0 {
			t.Errorf("%d of %d have ended, %d cannot be read", n, events, q.sink.Stats().Unreadable)
		}
	})
}
