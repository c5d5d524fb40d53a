package forward

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
)

// TestStopAndGoOn stops in the middle of a batch: what was sent is not sent
// again, neither by the same sink nor by the next one.
func TestStopAndGoOn(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.sink.o.Parallel = 1
				one := r.token(analytics)
				b := batch(r.record(one, r.event("a")), r.record(r.token(analytics), r.event("b")))
				ctx, stop := context.WithCancel(t.Context())
				go func() {
					time.Sleep(50 * time.Millisecond)
					stop()
				}()
				r.google.Fail(standin.Fault{Kind: standin.Slow, Delay: 100 * time.Millisecond, Times: 1})
				if err := r.sink.Deliver(ctx, b); err == nil {
					t.Fatal("Deliver reports success although it was stopped")
				}
				if diff := cmp.Diff([]outcome{{"a", collector.Acknowledged, "", 1}}, r.outcomes()); diff != "" {
					t.Fatalf("a request under way is not seen through (-want +got):\n%s", diff)
				}
				if restart {
					r.sink.client.close()
					r.sink = r.open()
					data, err := r.recorded[0].AppendBinary(nil)
					if err != nil {
						t.Fatal(err)
					}
					if err := r.sink.Replay(spool.Record{Seq: 17, Kind: spool.KindForward, Data: data}); err != nil {
						t.Fatal(err)
					}
					b.Recovered = true
				}
				if err := r.sink.Deliver(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([][]string{{"page_view a"}, {"page_view b"}}, names(t, r.google.Hits())); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestStopSoon leaves a server that is about to stop the time that it needs.
func TestStopSoon(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.google.Fail(standin.Fault{Kind: standin.Slow, Delay: time.Minute})
		ctx, stop := context.WithCancel(t.Context())
		stopped := time.AfterFunc(time.Second, stop)
		defer stopped.Stop()
		began := time.Now()
		if err := r.sink.Deliver(ctx, batch(r.record(r.token(analytics), r.event("a")))); err == nil {
			t.Error("Deliver reports success without an answer")
		}
		if took := time.Since(began); took != time.Second+stopTimeout {
			t.Errorf("took %s, want %s", took, time.Second+stopTimeout)
		}
	})
}
