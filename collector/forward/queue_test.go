package forward

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
	"sluice/consent"
)

// queued is a rig whose sink has a queue and reads a spool, as in a server.
type queued struct {
	*rig
	spool *spool.Spool
	end   func() // stops the sink and waits
}

func newQueued(t *testing.T, change ...func(*rig)) *queued {
	t.Helper()
	r := newRig(t)
	r.queue = t.TempDir()
	for _, f := range change {
		f(r)
	}
	sp, err := spool.Open(t.TempDir(), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := &queued{rig: r, spool: sp}
	q.start()
	t.Cleanup(func() {
		q.end()
		if err := sp.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// start starts a sink, as after a restart: it is told the outcomes of those
// before it.
func (q *queued) start() {
	q.t.Helper()
	s := q.open()
	q.mu.Lock()
	past := slices.Clone(q.recorded)
	q.mu.Unlock()
	for _, f := range past {
		data, err := f.AppendBinary(nil)
		if err != nil {
			q.t.Fatal(err)
		}
		if err := s.Replay(spool.Record{Seq: q.seq + 1, Kind: spool.KindForward, Data: data}); err != nil {
			q.t.Fatal(err)
		}
	}
	q.sink = s
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, q.spool) }()
	q.end = func() {
		stop()
		if err := <-done; err != nil {
			q.t.Error(err)
		}
		if err := s.Close(); err != nil {
			q.t.Error(err)
		}
		q.end = func() {}
	}
}

// admit appends events to the spool.
func (q *queued) admit(token consent.Token, ids ...string) {
	q.t.Helper()
	for _, id := range ids {
		r := q.record(token, q.event(id))
		if err := q.spool.Append(q.t.Context(), entry{r.Kind, r.Data}); err != nil {
			q.t.Fatal(err)
		}
	}
}

func queueBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// TestQueue keeps what an endpoint that is away does not take, frees the
// server's spool of it, and sends it in order once the endpoint is back.
func TestQueue(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		token := q.token(analytics)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		q.admit(token, "a", "b")
		time.Sleep(10 * time.Second)
		q.admit(token, "c")
		time.Sleep(10 * time.Second)
		if c := q.spool.Stats().Consumers[0]; c.Behind != 0 {
			t.Errorf("%d records of the server's spool wait for the endpoint", c.Behind)
		}
		if n, oldest := q.sink.Waiting(); n != 3 || time.Since(oldest) < 20*time.Second {
			t.Errorf("%d wait, the oldest for %s; want 3, 20 s", n, time.Since(oldest))
		}
		q.google.Reset()
		time.Sleep(10 * time.Minute)
		var order []string
		for _, events := range names(t, q.google.Hits()) {
			order = append(order, events...)
		}
		if diff := cmp.Diff([]string{"page_view a", "page_view b", "page_view c"}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if n, oldest := q.sink.Waiting(); n != 0 || !oldest.IsZero() || len(q.outcomes()) != 3 {
			t.Errorf("%d wait, %d ended", n, len(q.outcomes()))
		}
	})
}

// TestAwayCostsLittle: while an endpoint is away nothing is mapped to requests
// but what asks whether it is back, however much waits for it.
func TestAwayCostsLittle(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		for i := range 200 {
			r := q.record(q.token(analytics), q.event(fmt.Sprint(i), func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", i+1) }))
			if err := q.spool.Append(t.Context(), entry{r.Kind, r.Data}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		q.mu.Lock()
		defer q.mu.Unlock()
		if requests := len(q.google.Hits()); requests < 10 || q.packed != requests {
			t.Errorf("mapped %d times for %d requests", q.packed, requests)
		}
	})
}

// TestQueueRestart neither loses nor repeats what waits across restarts.
func TestQueueRestart(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		token := q.token(analytics)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		q.admit(token, "a")
		time.Sleep(3 * time.Second)
		q.end()
		q.start()
		q.admit(token, "b")
		time.Sleep(3 * time.Second)
		q.end()
		q.google.Reset()
		q.start()
		if n, _ := q.sink.Waiting(); n != 2 {
			t.Errorf("%d wait after the restart, want 2", n)
		}
		time.Sleep(10 * time.Minute)
		q.end()
		q.start()
		q.admit(token, "c")
		time.Sleep(10 * time.Second)
		var order []string
		for _, events := range names(t, q.google.Hits()) {
			order = append(order, events...)
		}
		if diff := cmp.Diff([]string{"page_view a", "page_view b", "page_view c"}, order); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// TestQueueWithdrawn sends nothing of what waits once it was taken back.
func TestQueueWithdrawn(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t)
		token := q.token(analytics)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		q.admit(token, "a")
		time.Sleep(3 * time.Second)
		q.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
		q.google.Reset()
		time.Sleep(10 * time.Minute)
		got := q.outcomes()
		if len(got) != 1 || got[0].State != collector.Cancelled || got[0].Reason != "withdrawn" || len(q.google.Hits()) != 0 {
			t.Errorf("outcomes = %v, %d requests", got, len(q.google.Hits()))
		}
	})
}

// TestEquality loses nothing and doubles no purchase while every fifth request
// fails, in each way that an answer can be lost or refused.
func TestEquality(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]standin.Fault{
		"refused": {Kind: standin.Refuse, Every: 5}, "answer lost": {Kind: standin.Reset, Every: 5}, "500": {Kind: standin.Answer, Status: 500, Every: 5},
		"503": {Kind: standin.Answer, Status: 503, RetryAfter: 5 * time.Second, Every: 5}, "400": {Kind: standin.Answer, Status: 400, Every: 5},
		"too slow": {Kind: standin.Slow, Delay: time.Minute, Every: 5},
	} {
		t.Run(name, func(t *testing.T) {
			queueBubble(t, func(t *testing.T) {
				const visitors, each = 40, 3
				q := newQueued(t)
				q.google.Fail(fault)
				for v := range visitors {
					token := q.token(analytics)
					for i := range each {
						r := q.record(token, q.event(fmt.Sprintf("e%d", v*each+i), func(ev *collector.Event) {
							ev.Name, ev.GAClientID = "purchase", fmt.Sprintf("1.%d", v+1)
						}))
						if err := q.spool.Append(t.Context(), entry{r.Kind, r.Data}); err != nil {
							t.Fatal(err)
						}
					}
					if v%10 == 0 {
						q.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
					}
					if v%8 == 0 {
						time.Sleep(2 * time.Second)
					}
				}
				time.Sleep(26 * time.Hour)
				got := q.sink.Stats()
				waiting, _ := q.sink.Waiting()
				if sum := int(got.Acknowledged+got.Cancelled+got.Dead) + waiting; sum != visitors*each || waiting != 0 {
					t.Errorf("%d acknowledged + %d cancelled + %d dead + %d waiting = %d, want %d", got.Acknowledged, got.Cancelled, got.Dead, waiting, sum, visitors*each)
				}
				purchases := q.google.Purchases()
				for page, n := range purchases {
					if n != 1 {
						t.Errorf("%s counts %d times", page, n)
					}
				}
				if len(purchases) < int(got.Acknowledged) || got.Acknowledged == 0 {
					t.Errorf("%d purchases count, %d were acknowledged", len(purchases), got.Acknowledged)
				}
			})
		})
	}
}

// TestQueueFull ends what finds no room as dead, and nothing that found some.
func TestQueueFull(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t, func(r *rig) { r.room = 64 << 10 })
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		token := q.token(analytics)
		for i := range 400 {
			q.admit(token, fmt.Sprintf("%d-%s", i, strings.Repeat("x", 50)))
			if i%50 == 0 {
				time.Sleep(2 * time.Second)
			}
		}
		time.Sleep(time.Minute)
		waiting, _ := q.sink.Waiting()
		full := 0
		for _, o := range q.outcomes() {
			if o.State != collector.Dead || o.Reason != QueueFull {
				t.Fatalf("outcome %v, want dead: %s", o, QueueFull)
			}
			full++
		}
		if full == 0 || waiting == 0 || full+waiting != 400 {
			t.Errorf("%d dead, %d waiting; want some of each, 400 in all", full, waiting)
		}
		q.google.Reset()
		time.Sleep(time.Hour)
		if n := len(q.outcomes()); n != 400 || q.sink.Stats().Unreadable != 0 {
			t.Errorf("%d have ended once the endpoint is back, want 400; %d cannot be read", n, q.sink.Stats().Unreadable)
		}
	})
}

// TestQueueTakesLargeEvents: what waits may be more than an append takes.
func TestQueueTakesLargeEvents(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.queue = t.TempDir()
		r.sink = r.open()
		r.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		token := r.token(analytics)
		var records []spool.Record
		for i := range 600 {
			records = append(records, r.record(token, r.event(fmt.Sprint(i), func(ev *collector.Event) {
				ev.GAClientID, ev.Items = fmt.Sprint("1.", i+1), strings.Repeat("x", 20<<10)
			})))
		}
		r.deliver(records...)
		if n, _ := r.sink.Waiting(); n != len(records) || len(r.outcomes()) > 0 {
			t.Errorf("%d wait, outcomes %v; want all %d to wait", n, r.outcomes(), len(records))
		}
		if err := r.sink.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPieces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		all  []int
		want [][]int
	}{
		{nil, nil},
		{[]int{1, 2, 3}, [][]int{{1, 2}, {3}}},
		{[]int{9, 1, 9, 9}, [][]int{{9}, {1}, {9}, {9}}},
		{[]int{3, 1, 1, 1}, [][]int{{3}, {1, 1, 1}}},
	} {
		got := slices.Collect(pieces(tt.all, 3, func(n int) int { return n }))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.all, diff)
		}
	}
}

func TestWaitingEncoding(t *testing.T) {
	t.Parallel()
	want := waiting{
		due: time.UnixMilli(1795435200123), began: time.Unix(0, 1795435200123456789), attempts: 7, unanswered: 1,
		spool: consent.ID{1, 2, 3}, seq: 1 << 40, event: []byte("event"), back: true,
	}
	b, _ := want.Commit(nil, 0)
	got, err := decodeWaiting(b)
	want.queued = true
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(waiting{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	first := slices.Concat([]byte{1}, b[1:fixedWaiting1], []byte("event"))
	want.began, want.spool, want.back = time.Time{}, consent.ID{}, false
	got, err = decodeWaiting(first)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(waiting{})); err != nil || diff != "" {
		t.Errorf("version 1: %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range [][]byte{nil, b[:fixedWaiting-1], first[:fixedWaiting1-1], append([]byte{9}, b[1:]...)} {
		if _, err := decodeWaiting(bad); err == nil {
			t.Errorf("%x is taken for a waiting event", bad)
		}
	}
}

// TestBreaker lets one request at a time ask whether the endpoint is back.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var b breaker
	now := time.Unix(1795435200, 0)
	for range breakAfter {
		if wait := b.enter(now, false); wait != 0 {
			t.Fatalf("waits %s before the endpoint has failed often enough", wait)
		}
		b.leave(false, true, now)
	}
	wait := b.enter(now, false)
	if others := b.enter(now, false); wait <= 0 || wait > firstPause || others != wait {
		t.Fatalf("waits %s, and others %s", wait, others)
	}
	later := now.Add(wait)
	if b.enter(later, false) != 0 || b.enter(later, false) != probePause {
		t.Error("more or less than one asks")
	}
	b.leave(false, false, later) // stopped by consent: says nothing of the endpoint
	if b.enter(later, false) != 0 {
		t.Error("nobody may ask again")
	}
	b.leave(false, true, later)
	if b.enter(later, false) == 0 {
		t.Error("it failed again, and the next one goes at once")
	}
	if next := later.Add(b.enter(later, false)); b.enter(next, true) != probePause {
		t.Error("one that has often failed itself asks as soon as others")
	}
	b.leave(true, true, later)
	for range 2 {
		if b.enter(later, false) != 0 {
			t.Error("it is back, and something waits still")
		}
	}
}
