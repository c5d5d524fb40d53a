package forward

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
	"sluice/consent"
)

// visit admits an event of one of many visitors.
func (q *queued) visit(token consent.Token, id string, visitor int) {
	q.t.Helper()
	r := q.record(token, q.event(id, func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", visitor) }))
	if err := q.spool.Append(q.t.Context(), entry{r.Kind, r.Data}); err != nil {
		q.t.Fatal(err)
	}
}

// ends is how each event ended.
func (q *queued) ends() map[string]string {
	out := map[string]string{}
	for _, o := range q.outcomes() {
		out[o.Event] += string(o.State) + o.Reason
	}
	return out
}

func (q *queued) sicken(what string) { q.sick.Store(&what) }

// TestPoison: a request that the endpoint always answers 5xx holds up nobody
// else's, and is given up once the endpoint has taken others. What its visitor
// did later is sent then.
func TestPoison(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"many visitors": time.Second, "few": 20 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			queueBubble(t, func(t *testing.T) {
				const others = 20
				q := newQueued(t)
				q.sicken("poison")
				token := q.token(analytics)
				q.visit(token, "poison", 99)
				time.Sleep(5 * time.Second)
				want := map[string]string{"poison": "deadexhausted", "after": "acknowledged"}
				for i := range others {
					id := fmt.Sprint("e", i)
					want[id] = "acknowledged"
					q.visit(q.token(analytics), id, i+1)
					time.Sleep(every)
				}
				q.visit(token, "after", 99)
				time.Sleep(15 * time.Minute)
				if diff := cmp.Diff(want, q.ends()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				q.mu.Lock()
				defer q.mu.Unlock()
				for _, f := range q.recorded {
					if f.EventID == "poison" && f.Attempts > 2*maxAttempts {
						t.Errorf("the poison was sent %d times", f.Attempts)
					}
				}
			})
		})
	}
}

// TestPoisonBehindAnOutage: what an endpoint that was away does not take when it
// is back does not hold up the rest until it is dead, also where it is more than
// is sent at once.
func TestPoisonBehindAnOutage(t *testing.T) {
	t.Parallel()
	for poisons, within := range map[int]time.Duration{1: 30 * time.Minute, 70: 12 * time.Hour} {
		t.Run(fmt.Sprint(poisons), func(t *testing.T) {
			queueBubble(t, func(t *testing.T) {
				q := newQueued(t)
				q.sicken("poison")
				q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
				want := map[string]string{}
				for i := range poisons {
					q.visit(q.token(analytics), fmt.Sprint("poison", i), i+1)
				}
				time.Sleep(time.Minute)
				for i := range 40 {
					id := fmt.Sprint("e", i)
					want[id] = "acknowledged"
					q.visit(q.token(analytics), id, 100+i)
				}
				time.Sleep(time.Hour)
				q.google.Reset()
				time.Sleep(within)
				got := q.ends()
				maps.DeleteFunc(got, func(id, _ string) bool { return strings.HasPrefix(id, "poison") })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPoisonTakesTurns: where requests go one at a time, one that always fails
// lets those of its batch go first.
func TestPoisonTakesTurns(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t, func(r *rig) { r.few = 1 })
		q.end()
		q.start()
		q.sicken("poison")
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		want := map[string]string{"poison": "deadexhausted"}
		q.visit(q.token(analytics), "poison", 99)
		for i := range breakAfter - 2 { // fewer failures than make the endpoint count as away, so that all have been tried
			id := fmt.Sprint("e", i)
			want[id] = "acknowledged"
			q.visit(q.token(analytics), id, i+1)
		}
		time.Sleep(10 * time.Minute)
		q.google.Reset()
		time.Sleep(2 * time.Hour)
		if diff := cmp.Diff(want, q.ends()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// TestPutBackKeepsOrder: what a person did waits while something earlier of
// theirs was put back behind it.
func TestPutBackKeepsOrder(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		q.end()
		q.sink = q.open()
		var entries []spool.Entry
		token := q.token(analytics)
		for _, e := range []struct {
			id            string
			seq           uint64
			person, tries int
			back          bool
		}{{"second", 2, 1, 0, false}, {"other", 3, 2, 2, false}, {"new", 4, 3, 0, false}, {"first", 1, 1, 0, true}} {
			r := q.record(token, q.event(e.id, func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", e.person) }))
			entries = append(entries, &waiting{seq: e.seq, attempts: e.tries, event: r.Data, back: e.back})
		}
		if err := q.sink.queue.Append(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
		if err := q.sink.Close(); err != nil {
			t.Fatal(err)
		}
		q.sink = q.open()
		var records []spool.Record
		err := q.sink.queue.Replay(0, func(r spool.Record) error {
			r.Data = slices.Clone(r.Data)
			records = append(records, r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			records    []spool.Record
			now, later []string
		}{
			{records[:3], []string{"new", "other"}, []string{"second"}},
			{records, []string{"first second", "new", "other"}, nil},
		} {
			now, later := q.sink.queued(batch(tt.records...))
			if diff := cmp.Diff([][]string{tt.now, tt.later}, [][]string{ids(now), ids(later)}); diff != "" {
				t.Errorf("%d records, now and later (-want +got):\n%s", len(tt.records), diff)
			}
		}
		if err := q.sink.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// ids are the events of each lane.
func ids(lanes [][]*shipment) (out []string) {
	for _, lane := range lanes {
		var of []string
		for _, t := range lane {
			for _, ev := range t.events {
				of = append(of, ev.ID)
			}
		}
		out = append(out, strings.Join(of, " "))
	}
	return out
}

// TestPutBackAcrossRestarts: what let others go first is sent once and in order,
// whenever the server stops.
func TestPutBackAcrossRestarts(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		q.sicken("sick")
		token := q.token(analytics)
		q.visit(token, "sick", 99)
		q.visit(token, "second", 99)
		want := map[string]string{"sick": "acknowledged", "second": "acknowledged"}
		for i := range 6 {
			id := fmt.Sprint("e", i)
			want[id] = "acknowledged"
			time.Sleep(3 * time.Second)
			q.visit(q.token(analytics), id, i+1)
			if i%2 == 1 {
				q.end()
				q.start()
			}
		}
		q.sick.Store(nil)
		time.Sleep(time.Second)
		q.end()
		q.start()
		time.Sleep(10 * time.Minute)
		if diff := cmp.Diff(want, q.ends()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		sent := slices.Concat(names(t, q.google.Hits())...)
		if n := len(sent); n != len(want) {
			t.Errorf("%d events were sent, want %d", n, len(want))
		}
		if a, b := slices.Index(sent, "page_view sick"), slices.Index(sent, "page_view second"); a > b {
			t.Errorf("out of order: %v", sent)
		}
		if n, oldest := q.sink.Waiting(); n != 0 || !oldest.IsZero() {
			t.Errorf("%d wait, the oldest since %s", n, oldest)
		}
	})
}

// TestStandsLater: where a crash came between putting an event back and moving
// the queue's cursor, the later of its two records counts.
func TestStandsLater(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		q.visit(q.token(analytics), "a", 1)
		time.Sleep(3 * time.Second)
		q.end()
		q.sink = q.open()
		var waits []*waiting
		err := q.sink.queue.Replay(0, func(r spool.Record) error {
			w, _, err := readWaiting(r)
			w.back, w.event = true, slices.Clone(w.event)
			waits = append(waits, &w)
			return err
		})
		for _, w := range waits {
			err = errors.Join(err, q.sink.queue.Append(t.Context(), w))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := q.sink.Close(); err != nil {
			t.Fatal(err)
		}
		q.google.Reset()
		q.start()
		if n, _ := q.sink.Waiting(); n != 1 || len(waits) != 1 {
			t.Errorf("%d wait, want 1 with %d records", n, len(waits)+1)
		}
		time.Sleep(10 * time.Minute)
		if got := names(t, q.google.Hits()); len(got) != 1 {
			t.Errorf("sent %v, want one request", got)
		}
		if n := len(q.outcomes()); n != 1 {
			t.Errorf("%d outcomes, want 1", n)
		}
	})
}
