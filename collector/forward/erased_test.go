package forward

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
	"sluice/consent"
)

// bury erases what was collected under a token up to a record of the spool.
func (r *rig) bury(token consent.Token, in *spool.Spool, seq uint64) {
	id := consent.ID{}
	if in != nil {
		id = in.ID()
	}
	r.index.Bury(token.Consent, id, seq, time.Now().Add(time.Hour))
}

// TestErased sends nothing of what its visitor has had erased, whenever that
// was, and what came later under the same token all the same.
func TestErased(t *testing.T) {
	t.Parallel()
	erased := func(attempts int) []outcome {
		return []outcome{{"a", collector.Cancelled, Erased, attempts}, {"b", collector.Acknowledged, "", attempts + 1}}
	}
	for _, tt := range []struct {
		name  string
		first standin.Fault
		erase func(r *rig, bury func())
		want  []outcome
		tries int
	}{
		{"before it was looked at", standin.Fault{}, func(_ *rig, bury func()) { bury() }, erased(0), 1},
		{"while the connection was opened", standin.Fault{}, func(r *rig, bury func()) { r.onDial = bury }, erased(0), 1},
		{"between two tries", standin.Fault{Kind: standin.Answer, Status: 500, Times: 1}, func(_ *rig, bury func()) {
			go func() {
				time.Sleep(100 * time.Millisecond)
				bury()
			}()
		}, erased(1), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				token := r.token(analytics)
				a, b := r.record(token, r.event("a")), r.record(token, r.event("b"))
				r.google.Fail(tt.first)
				tt.erase(r, func() { r.bury(token, nil, a.Seq) })
				r.deliver(a, b)
				if diff := cmp.Diff(tt.want, r.outcomes()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				hits := names(t, r.google.Hits())
				if diff := cmp.Diff([]string{"page_view b"}, hits[len(hits)-1]); diff != "" || len(hits) != tt.tries {
					t.Errorf("%d requests, the last (-want +got):\n%s", len(hits), diff)
				}
			})
		})
	}
}

// TestErasedWhileWaiting: what waits in the queue is known by its place in the
// server's spool, across restarts too, and where another spool has followed.
func TestErasedWhileWaiting(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		token, other := q.token(analytics), q.token(analytics)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		q.admit(token, "a")
		q.admit(other, "b")
		time.Sleep(3 * time.Second)
		q.bury(token, q.spool, q.seq-1)
		q.bury(other, nil, 0) // of a spool that is new: all that is older goes
		q.admit(token, "c")
		time.Sleep(3 * time.Second)
		q.end()
		q.google.Reset()
		q.start()
		time.Sleep(10 * time.Minute)
		ended := map[string]string{}
		for _, o := range q.outcomes() {
			ended[o.Event] += string(o.State) + o.Reason
		}
		want := map[string]string{"a": "cancelled" + Erased, "b": "cancelled" + Erased, "c": "acknowledged"}
		if diff := cmp.Diff(want, ended); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([][]string{{"page_view c"}}, names(t, q.google.Hits())); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// TestCutOutcomeIsRecalled: after a restart an outcome that was cut off from its
// receipt still tells what has been sent.
func TestCutOutcomeIsRecalled(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		a, b := r.record(token, r.event("a")), r.record(token, r.event("a"))
		data, err := collector.Forward{Site: "example.com", EventID: "a", EventSeq: a.Seq, Destination: "google-analytics"}.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.sink.Replay(spool.Record{Seq: b.Seq + 1, Kind: spool.KindForward, Data: data}); err != nil {
			t.Fatal(err)
		}
		r.deliver(a)
		if n := len(r.google.Hits()); n != 0 {
			t.Errorf("sent again: %d requests", n)
		}
		r.deliver(b) // somebody else's, of the same name
		if n := len(r.google.Hits()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}
