package server

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// A limiter is a token bucket for each of very many keys, in memory of a fixed
// size. A bucket is one moment, the one at which it will be full again (the
// generic cell rate algorithm, ITU-T I.371): 16 bytes with its key, 1.1 MiB in
// all. golang.org/x/time/rate takes some 80 bytes each, and a list beside it to
// find out which to forget.
//
// A bucket that is full again is as good as none, so its place may be taken at
// any time and nothing is lost. Only where all eight places that a key may have
// are in debt, the one with the least debt is forgotten: whoever walks through
// a network's addresses to push others out gives them a full bucket.
type limiter struct {
	every time.Duration // between two requests at the allowed rate
	slack time.Duration // how far the bucket may be in debt: a burst
	epoch time.Time
	seed  maphash.Seed // nobody outside can tell which keys share places
	sets  [limiterSets]limiterSet
}

const (
	limiterSets   = 8192
	limiterPlaces = 8
)

type limiterSet struct {
	mu   sync.Mutex
	keys [limiterPlaces]uint64
	full [limiterPlaces]time.Duration // since epoch; zero and before now: full
}

// newLimiter allows perSecond requests of a key in the long run and burst at
// once. It is nil, which allows everything, where perSecond is 0.
func newLimiter(perSecond float64, burst int, now time.Time) *limiter {
	if perSecond <= 0 {
		return nil
	}
	every := max(1, time.Duration(float64(time.Second)/perSecond))
	slack := time.Duration(min(float64(every)*float64(max(burst, 1)), math.MaxInt64/4))
	return &limiter{every: every, slack: slack, epoch: now.Add(-time.Second), seed: maphash.MakeSeed()}
}

// take takes one request out of the key's bucket. Where the bucket is empty it
// takes nothing and returns how long it is until there is one again.
func (l *limiter) take(key string, now time.Time) (wait time.Duration) {
	if l == nil {
		return 0
	}
	at, hash := now.Sub(l.epoch), maphash.String(l.seed, key)
	s := &l.sets[hash%limiterSets]
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.find(hash)
	full := max(s.full[place], at) + l.every
	if debt := full - at; debt > l.slack {
		return debt - l.slack
	}
	s.keys[place], s.full[place] = hash, full
	return 0
}

// find returns the key's place, or the one that is fullest, emptied for it.
func (s *limiterSet) find(hash uint64) int {
	best := 0
	for i, key := range s.keys {
		if key == hash {
			return i
		}
		if s.full[i] < s.full[best] {
			best = i
		}
	}
	s.keys[best], s.full[best] = hash, 0
	return best
}
