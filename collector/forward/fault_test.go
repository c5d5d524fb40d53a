package forward

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin"
)

// TestFaults is what becomes of an event under each way to fail.
func TestFaults(t *testing.T) {
	t.Parallel()
	purchase := func(ev *collector.Event) {
		ev.Name, ev.Props = "purchase", []collector.Prop{{Key: "transaction_id", Value: "T1"}}
	}
	ack := func(attempts int) outcome { return outcome{"a", collector.Acknowledged, "", attempts} }
	dead := func(reason string, attempts int) outcome { return outcome{"a", collector.Dead, reason, attempts} }
	tests := []struct {
		name  string
		fault standin.Fault
		event func(*collector.Event)
		want  outcome
		kept  int // events that Google would have counted
		least time.Duration
	}{
		{"refused, then taken", standin.Fault{Kind: standin.Refuse, Times: 1}, nil, ack(2), 1, 500 * time.Millisecond},
		{"answer lost once", standin.Fault{Kind: standin.Reset, Times: 1}, nil, ack(2), 2, 500 * time.Millisecond},
		{"answer always lost", standin.Fault{Kind: standin.Reset}, nil, dead(Exhausted, 2), 2, 500 * time.Millisecond},
		{"answer of a purchase lost", standin.Fault{Kind: standin.Reset, Times: 5}, purchase, ack(6), 6, 15 * time.Second},
		{"slow", standin.Fault{Kind: standin.Slow, Delay: 9 * time.Second, Times: 1}, nil, ack(1), 1, 9 * time.Second},
		{"too slow", standin.Fault{Kind: standin.Slow, Delay: time.Minute, Times: 1}, nil, ack(2), 2, 10 * time.Second},
		{"500 thrice", standin.Fault{Kind: standin.Answer, Status: 500, Times: 3}, nil, ack(4), 1, 3500 * time.Millisecond},
		{"429", standin.Fault{Kind: standin.Answer, Status: 429, Times: 1}, nil, ack(2), 1, 500 * time.Millisecond},
		{"503 with Retry-After", standin.Fault{Kind: standin.Answer, Status: 503, RetryAfter: 90 * time.Second, Times: 1}, nil, ack(2), 1, 90 * time.Second},
		{"400", standin.Fault{Kind: standin.Answer, Status: 400, Times: 1}, nil, dead(Rejected, 1), 0, 0},
		{"redirect", standin.Fault{Kind: standin.Answer, Status: 302, Times: 1}, nil, dead(Rejected, 1), 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				began := time.Now()
				r.google.Fail(tt.fault)
				ev := r.event("a")
				if tt.event != nil {
					tt.event(&ev)
				}
				r.deliver(r.record(r.token(analytics), ev))
				if diff := cmp.Diff([]outcome{tt.want}, r.outcomes()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				kept := 0
				for _, h := range r.google.Hits() {
					kept += len(h.Kept())
				}
				if kept != tt.kept {
					t.Errorf("Google counts %d events, want %d", kept, tt.kept)
				}
				if took := time.Since(began); took < tt.least {
					t.Errorf("took %s, want %s at least", took, tt.least)
				}
				if strings.Contains(r.log.String(), secret) {
					t.Errorf("the secret is in the log:\n%s", r.log)
				}
			})
		})
	}
}

// TestOutage tries for a day and not longer.
func TestOutage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		began := time.Now()
		r.google.Fail(standin.Fault{Kind: standin.Answer, Status: 500})
		r.deliver(r.record(r.token(analytics), r.event("a")))
		got := r.outcomes()
		if len(got) != 1 || got[0].State != collector.Dead || got[0].Reason != TooOld || got[0].Attempts < 288 {
			t.Errorf("outcomes = %+v, want dead as too old after a try every five minutes or so", got)
		}
		if took := time.Since(began); took < MaxAge || took > MaxAge+maxPause {
			t.Errorf("took %s, want a day", took)
		}
	})
}
