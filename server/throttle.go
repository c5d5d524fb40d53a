package server

import (
	"sync"
	"time"
)

// A login may fail a few times; then each further failure doubles the wait, from
// firstWait up to longestWait. That leaves at most 20 guesses a day for one
// account, from however many addresses. In one network many may mistype theirs:
// its limit is against guessing one password of everybody.
const (
	accountFailures = 5
	networkFailures = 50
	firstWait       = 15 * time.Minute
	longestWait     = 2 * time.Hour
	forgetAfter     = 24 * time.Hour
	maxThrottled    = 10_000
)

// throttle slows down guessing, per key: an account, a device, or a network.
type throttle struct {
	free int // failures before the first wait
	now  func() time.Time

	mu    sync.Mutex
	byKey map[string]failures
}

type failures struct {
	n    int
	last time.Time
}

func newThrottle(free int, now func() time.Time) *throttle {
	return &throttle{free: free, now: now, byKey: map[string]failures{}}
}

// begin counts a try as a failure before anybody knows how it ends: tries side by
// side are no more than tries in turn. Where the key has to wait instead nothing
// is counted, and undo is nil. undo takes the try back: it was none.
func (t *throttle) begin(key string) (wait time.Duration, undo func()) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.byKey[key]
	if now.Sub(before.last) >= forgetAfter {
		before = failures{}
	}
	if wait := before.last.Add(t.pause(before.n)).Sub(now); wait > 0 {
		return wait, nil
	}
	t.byKey[key] = failures{n: before.n + 1, last: now}
	t.bound(key, now)
	return 0, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if f := t.byKey[key]; f.n > 1 {
			t.byKey[key] = failures{n: f.n - 1, last: before.last}
		} else {
			delete(t.byKey, key)
		}
	}
}

// pause is the wait after n failures.
func (t *throttle) pause(n int) time.Duration {
	if n < t.free {
		return 0
	}
	return min(longestWait, firstWait<<min(n-t.free, 16))
}

// bound keeps the table small: what was forgotten anyway goes first, then what
// has waited longest.
func (t *throttle) bound(newest string, now time.Time) {
	if len(t.byKey) <= maxThrottled {
		return
	}
	oldest := newest
	for k, f := range t.byKey {
		if now.Sub(f.last) >= forgetAfter {
			delete(t.byKey, k)
		} else if f.last.Before(t.byKey[oldest].last) {
			oldest = k
		}
	}
	if len(t.byKey) > maxThrottled {
		delete(t.byKey, oldest)
	}
}

// succeeded forgets the key's failures.
func (t *throttle) succeeded(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, key)
}
