package forward

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/consent"
)

// TestYield: what the spool has no room for is dead, what was sent or withdrawn
// keeps that outcome, and a full spool holds nobody up.
func TestYield(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sent, waits, gone := r.token(analytics), r.token(analytics), r.token(analytics)
		b := batch(
			r.record(sent, r.event("sent")),
			r.record(waits, r.event("waits", func(ev *collector.Event) { ev.GAClientID = "9.9" })),
			r.record(gone, r.event("gone", func(ev *collector.Event) { ev.GAClientID = "8.8" })),
		)
		r.deliver(b.Records[0])
		r.index.Apply(gone.Consent, &consent.Cut{All: consent.Forever, Expires: gone.Issued + 9e6})
		if err := r.sink.Yield(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		want := []outcome{
			{"sent", collector.Acknowledged, "", 1},
			{"waits", collector.Dead, NoRoom, 0},
			{"gone", collector.Cancelled, string(consent.Withdrawn), 0},
		}
		if diff := cmp.Diff(want, r.outcomes()); diff != "" {
			t.Errorf("outcomes (-want +got)\n%s", diff)
		}

		r.refuse = 1
		begun := time.Now()
		late := batch(r.record(waits, r.event("late")))
		if err := r.sink.Yield(t.Context(), late); err != nil || time.Since(begun) > 0 {
			t.Errorf("yielding while nothing can be recorded: %v after %v, want nil at once", err, time.Since(begun))
		}
		if got := r.sink.Stats().Dead; got != 2 {
			t.Errorf("%d dead events counted, want 2", got)
		}
	})
}
