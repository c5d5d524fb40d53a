package forward

import (
	"sync"
	"time"
)

const (
	// breakAfter is how many requests in a row fail before the endpoint counts
	// as away: from then on one at a time asks whether it is back.
	breakAfter = 5
	// probePause is how long the others wait while one asks.
	probePause = time.Second
)

// breaker keeps requests from an endpoint that is away. The zero value lets
// everything through.
type breaker struct {
	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // while it is away: when to ask next
	asking   bool      // somebody does
}

// enter says how long to wait before a request; 0: go, and call leave. One that
// has often failed itself lets others ask first.
func (b *breaker) enter(now time.Time, failed bool) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	until := b.until
	if failed {
		until = until.Add(probePause)
	}
	switch {
	case b.failures < breakAfter:
		return 0
	case now.Before(until):
		return until.Sub(now)
	case b.asking:
		return probePause
	}
	b.asking = true
	return 0
}

// leave says how a request went that entered: whether the endpoint answered as
// one that is there does. counts is false where that says nothing of the
// endpoint: there was nothing to send, or consent or the caller stopped it.
func (b *breaker) leave(there, counts bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
	switch {
	case there:
		b.failures = 0
	case counts:
		b.failures++
		if b.failures >= breakAfter {
			b.until = now.Add(backoff(b.failures - breakAfter + 1))
		}
	}
}
