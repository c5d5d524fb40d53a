package forward

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
	"sluice/consent"
)

// running runs a sink of one site behind its own spool until the benchmark
// ends; change is made to its options before.
func running(b *testing.B, r *rig, sp *spool.Spool, endpoint string, change func(*Options)) *Sink {
	b.Helper()
	o := Options{
		Policy: r.policy, Service: "google-analytics", Destination: google(b, endpoint), Gate: r.index, Outcomes: r, Queue: b.TempDir(),
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, sp) }()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func openSpool(b *testing.B) *spool.Spool {
	b.Helper()
	sp, err := spool.Open(b.TempDir(), spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := sp.Close(); err != nil {
			b.Error(err)
		}
	})
	return sp
}

// BenchmarkWithdrawalToLastSend withdraws a consent while 100 000 of its hits
// wait, and measures how long after the withdrawal had returned the last of them
// began. What may still come is what was on the wire; the promise is one second.
func BenchmarkWithdrawalToLastSend(b *testing.B) {
	const waiting = 100_000
	var last atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		last.Store(time.Now().UnixNano())
		time.Sleep(20 * time.Millisecond)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer web.Close()
	worst := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		last.Store(0)
		r := &rig{t: b, policy: policy(b), index: consent.NewIndex()}
		sp := openSpool(b)
		token := r.token(analytics)
		var entries []spool.Entry
		for i := range waiting {
			rec := r.record(token, r.event(fmt.Sprint(i), func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", i+1) }))
			if entries = append(entries, entry{rec.Kind, rec.Data}); len(entries) == 2000 {
				if err := sp.Append(b.Context(), entries...); err != nil {
					b.Fatal(err)
				}
				entries = nil
			}
		}
		b.StartTimer()
		running(b, r, sp, web.URL+"/mp/collect", nil)
		for tick := time.NewTicker(time.Millisecond); last.Load() == 0; <-tick.C {
		}
		r.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
		returned := time.Now().UnixNano()
		for tick := time.NewTicker(10 * time.Millisecond); len(r.outcomes()) < waiting; <-tick.C {
		}
		worst = max(worst, time.Duration(last.Load()-returned))
	}
	b.ReportMetric(max(0, worst.Seconds()*1000), "ms-to-last-send")
}

// BenchmarkDeadNeighbour measures how long events of one site take to be
// acknowledged beside a site whose endpoint answers, and beside one whose
// endpoint refuses every connection, and reports the two p99 and their ratio, of
// several rounds (-benchtime 5x) the medians: at most 1.1 on a machine with
// nothing else to do. Events come at a rate of their own: had each to wait for
// the one before, a neighbour that takes less time would bring more of them, and
// so larger batches.
func BenchmarkDeadNeighbour(b *testing.B) {
	heard := standin.New(standin.Options{Keep: 1})
	heard.Fail(standin.Fault{Kind: standin.Slow, Delay: 20 * time.Millisecond})
	web := httptest.NewServer(heard)
	defer web.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	measure := func(neighbour string) time.Duration {
		sp := openSpool(b)
		live := newLatency(b)
		running(b, live.rig, sp, web.URL+"/mp/collect", func(o *Options) { o.Outcomes = live })
		other := &rig{t: b, policy: policy(b), index: consent.NewIndex()}
		other.policy.Site.Domain = "example.org"
		running(b, other, sp, neighbour+"/mp/collect", nil)
		token := live.token(analytics)
		const events = 1500
		due := time.NewTicker(4 * time.Millisecond)
		defer due.Stop()
		for i := range events {
			<-due.C
			id := fmt.Sprint(i)
			live.mu2.Lock()
			live.began[id] = time.Now()
			live.mu2.Unlock()
			mine := live.record(token, live.event(id, func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", i+1) }))
			theirs := live.record(token, live.event(id, func(ev *collector.Event) { ev.Site = "example.org" }))
			if err := sp.Append(b.Context(), entry{mine.Kind, mine.Data}, entry{theirs.Kind, theirs.Data}); err != nil {
				b.Fatal(err)
			}
		}
		for tick := time.NewTicker(10 * time.Millisecond); live.count() < events; <-tick.C {
		}
		return live.p99()
	}
	var besideAlive, besideDead []time.Duration
	for b.Loop() {
		besideAlive, besideDead = append(besideAlive, measure(web.URL)), append(besideDead, measure(gone.URL))
	}
	slices.Sort(besideAlive)
	slices.Sort(besideDead)
	alive, dead := besideAlive[len(besideAlive)/2], besideDead[len(besideDead)/2]
	b.ReportMetric(float64(alive.Milliseconds()), "ms-p99-beside-alive")
	b.ReportMetric(float64(dead.Milliseconds()), "ms-p99-beside-dead")
	b.ReportMetric(float64(dead)/float64(alive), "ratio")
}

// latency is an [Outcomes] that measures from append to acknowledgement.
type latency struct {
	*rig
	mu2   sync.Mutex
	began map[string]time.Time
	took  []time.Duration
}

func newLatency(b *testing.B) *latency {
	return &latency{rig: &rig{t: b, policy: policy(b), index: consent.NewIndex()}, began: map[string]time.Time{}}
}

func (l *latency) Record(_ context.Context, outcomes []collector.Forward) error {
	l.mu2.Lock()
	defer l.mu2.Unlock()
	for _, f := range outcomes {
		l.took = append(l.took, time.Since(l.began[f.EventID]))
	}
	return nil
}

func (l *latency) count() int {
	l.mu2.Lock()
	defer l.mu2.Unlock()
	return len(l.took)
}

func (l *latency) p99() time.Duration {
	l.mu2.Lock()
	defer l.mu2.Unlock()
	slices.Sort(l.took)
	return l.took[len(l.took)*99/100]
}
