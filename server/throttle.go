package server

import (
	"net/netip"
	"sync"
	"time"
)

// A login may fail freeFailures times; then each further failure doubles the
// wait, from firstWait up to longestWait. That leaves at most 20 guesses a day
// for one account, from however many addresses, and never locks it for good.
const (
	freeFailures = 5
	firstWait    = 15 * time.Minute
	longestWait  = 2 * time.Hour
	forgetAfter  = 24 * time.Hour
	maxThrottled = 10_000
)

// throttle slows down guessing, per key: an account, or a network prefix.
type throttle struct {
	now func() time.Time

	mu    sync.Mutex
	byKey map[string]failures
}

type failures struct {
	n    int
	last time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, byKey: map[string]failures{}}
}

// wait returns how long the key has to wait before its next try; 0: go ahead.
func (t *throttle) wait(key string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.byKey[key]
	if !ok || f.n < freeFailures {
		return 0
	}
	return max(0, f.last.Add(f.pause()).Sub(t.now()))
}

func (f failures) pause() time.Duration {
	if f.n < freeFailures {
		return 0
	}
	return min(longestWait, firstWait<<min(f.n-freeFailures, 16))
}

// failed counts a failure. The table is bounded: what was forgotten anyway
// goes first, then what has waited longest.
func (t *throttle) failed(key string) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.byKey[key]
	if now.Sub(f.last) >= forgetAfter {
		f.n = 0
	}
	t.byKey[key] = failures{n: f.n + 1, last: now}
	if len(t.byKey) <= maxThrottled {
		return
	}
	oldest := key
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

// prefixOf is what one household or office shares: a /24 or a /64.
func prefixOf(a netip.Addr) string {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return "none"
	}
	return p.String()
}
