package server

import (
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	type step struct {
		after time.Duration
		key   string
		n     int // requests
		pass  int // of them
		wait  time.Duration
	}
	start := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		rate  float64
		burst int
		steps []step
	}{
		{"a burst, then the rate", 10, 5, []step{
			{0, "a", 7, 5, 100 * time.Millisecond},
			{100 * time.Millisecond, "a", 2, 1, 100 * time.Millisecond},
			{50 * time.Millisecond, "a", 1, 0, 50 * time.Millisecond},
			{50 * time.Millisecond, "a", 1, 1, 0},
		}},
		{"a full bucket holds no more than a burst", 10, 5, []step{
			{0, "a", 5, 5, 0}, {time.Hour, "a", 6, 5, 100 * time.Millisecond},
		}},
		{"what is refused costs nothing", 1, 1, []step{
			{0, "a", 1000, 1, time.Second}, {time.Second, "a", 1, 1, 0},
		}},
		{"keys are apart", 1, 1, []step{{0, "a", 2, 1, time.Second}, {0, "b", 2, 1, time.Second}}},
		{"slower than one a second", 1.0 / 60, 1, []step{{0, "a", 2, 1, time.Minute}}},
		{"no limit", 0, 1, []step{{0, "a", 1000, 1000, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, now := newLimiter(tt.rate, tt.burst, start), start
			for i, s := range tt.steps {
				now = now.Add(s.after)
				pass, wait := 0, time.Duration(0)
				for range s.n {
					if wait = l.take(s.key, now); wait == 0 {
						pass++
					}
				}
				if pass != s.pass || wait != s.wait {
					t.Errorf("step %d: %d of %d pass and the last waits %v, want %d and %v", i, pass, s.n, wait, s.pass, s.wait)
				}
			}
		})
	}
}

// A flood of other keys takes only places of buckets that are full again, as
// long as there are any: who is in debt stays in debt.
func TestLimiterUnderAFlood(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	l := newLimiter(1, 60, now)
	for range 60 {
		l.take("greedy", now)
	}
	for i := range 1 << 20 { // sixteen times as many as there are places
		l.take(fmt.Sprint(i), now)
		if i%10_000 == 0 {
			now = now.Add(time.Millisecond)
		}
	}
	if wait := l.take("greedy", now); wait == 0 {
		t.Error("other networks' requests have emptied nobody's bucket and filled this one")
	}
}

func BenchmarkLimiter(b *testing.B) {
	now := time.Now()
	l := newLimiter(200, 1000, now)
	b.RunParallel(func(pb *testing.PB) {
		key := []byte{81, 0, 0}
		for i := 0; pb.Next(); i++ {
			key[1], key[2] = byte(i>>8), byte(i)
			l.take(string(key), now)
		}
	})
}
