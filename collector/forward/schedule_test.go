package forward

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
	"sluice/consent"
)

// TestSchedules plays random schedules of withdrawals, erasures and failures
// under a fake clock. In each: no request begins for a consent whose withdrawal
// has returned, or for an event whose erasure has, and every event ends exactly
// once.
func TestSchedules(t *testing.T) {
	t.Parallel()
	for seed := range schedulesWanted(t, 1000, 100) {
		synctest.Test(t, func(t *testing.T) { schedule(t, uint64(seed)) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// erasure is up to which record it reaches, and when it had returned.
type erasure struct {
	order int
	upTo  uint64
}

var eventPath = regexp.MustCompile(`example\.com/(e\d+)"`)

func schedule(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t)
	r.sink.o.Parallel = 1 + rnd.IntN(3)

	// order counts what happens: first bytes, withdrawals and erasures that returned.
	// Both are counted under r.mu.
	order := 0
	begun := map[string][]int{} // event → when requests with it began
	withdrawn := map[consent.ID]int{}
	erased := map[consent.ID]erasure{}
	r.onWrite = func(b []byte) {
		for _, m := range eventPath.FindAllSubmatch(b, -1) {
			order++
			begun[string(m[1])] = append(begun[string(m[1])], order)
		}
	}

	// Opening a connection takes up to two seconds: time for a withdrawal.
	delays := make([]time.Duration, 16)
	for i := range delays {
		delays[i] = time.Duration(rnd.Int64N(int64(2 * time.Second)))
	}
	var dials atomic.Int32
	r.onDial = func() { time.Sleep(delays[int(dials.Add(1))%len(delays)]) }

	var tokens []consent.Token
	for range 1 + rnd.IntN(4) {
		token := r.token(analytics | uint16(rnd.IntN(2))*marketing)
		if rnd.IntN(5) == 0 {
			token.Denied = googleBit
		}
		tokens = append(tokens, token)
	}
	of := map[string]consent.Token{}
	meant := map[string]bool{}
	place := map[string]uint64{}
	var records []spool.Record
	for i := range 1 + rnd.IntN(12) {
		id := fmt.Sprintf("e%d", i)
		of[id] = tokens[rnd.IntN(len(tokens))]
		records = append(records, r.record(of[id], r.event(id, func(ev *collector.Event) {
			ev.GAClientID = fmt.Sprintf("1.%d", 1+rnd.IntN(3))
			ev.NoForward = rnd.IntN(10) == 0
			meant[id] = !ev.NoForward && of[id].Denied == 0
		})))
		place[id] = r.seq
	}
	for _, token := range tokens {
		what, upTo := rnd.IntN(3), 1+rnd.Uint64N(r.seq)
		if what == 0 {
			continue
		}
		after := time.Duration(rnd.Int64N(int64(5 * time.Second)))
		go func() {
			time.Sleep(after)
			if what == 1 {
				r.bury(token, nil, upTo)
				r.mu.Lock()
				defer r.mu.Unlock()
				order++
				erased[token.Consent] = erasure{order, upTo}
				return
			}
			r.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
			r.mu.Lock()
			defer r.mu.Unlock()
			order++
			withdrawn[token.Consent] = order
		}()
	}
	faults := []standin.Fault{
		{}, {Kind: standin.Refuse}, {Kind: standin.Reset}, {Kind: standin.Answer, Status: 500}, {Kind: standin.Answer, Status: 400, Times: 1},
		{Kind: standin.Answer, Status: 503, RetryAfter: 3 * time.Second}, {Kind: standin.Slow, Delay: 2 * time.Second}, {Kind: standin.Slow, Delay: 20 * time.Second},
	}
	var changes []standin.Fault
	for range rnd.IntN(6) {
		changes = append(changes, faults[rnd.IntN(len(faults))])
	}
	go func() {
		for _, f := range append(changes, standin.Fault{}) {
			r.google.Fail(f)
			time.Sleep(time.Second)
		}
	}()
	r.deliver(records...)
	time.Sleep(time.Minute) // for whoever is still asleep

	r.mu.Lock()
	defer r.mu.Unlock()
	for id, times := range begun {
		if end, ok := withdrawn[of[id].Consent]; ok && times[len(times)-1] > end {
			t.Errorf("%s: a request began after the withdrawal had returned", id)
		}
		if e, ok := erased[of[id].Consent]; ok && place[id] <= e.upTo && times[len(times)-1] > e.order {
			t.Errorf("%s: a request began after the erasure had returned", id)
		}
		if of[id].Denied != 0 {
			t.Errorf("%s: sent although Google was refused", id)
		}
	}
	ended := map[string]int{}
	for _, f := range r.recorded {
		ended[f.EventID]++
		if f.State == collector.Acknowledged && len(begun[f.EventID]) != f.Attempts {
			t.Errorf("%s: acknowledged after %d attempts, %d requests seen", f.EventID, f.Attempts, len(begun[f.EventID]))
		}
	}
	for id := range of {
		want := 0
		if meant[id] {
			want = 1
		}
		if ended[id] != want {
			t.Errorf("%s has %d outcomes, want %d", id, ended[id], want)
		}
	}
}
