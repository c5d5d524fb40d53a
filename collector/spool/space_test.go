package spool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestDiskWithoutRoom fills the disk around a spool again and again, now and
// then crashing it there. Without room an append is refused with ErrFull and
// never acknowledged, consumers go on, and once there is room so do appends,
// with nothing done to the spool.
func TestDiskWithoutRoom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := &life{t: t, rnd: rand.New(rand.NewPCG(seed, 9)), acked: map[uint64]bool{}, taken: map[uint64]bool{}}
			d := newMemDisk(seed)
			d.capacity = 96 << 10
			s := l.reopen(d)
			refused := 0
			for range 12 {
				d.fill(l.rnd.Int64N(12 << 10))
				for range 60 {
					refused += l.appendOne(s)
				}
				l.consume(s, 3)
				if l.rnd.IntN(3) == 0 {
					crashed := d.crash()
					if err := s.Close(); err != nil {
						t.Errorf("close on a full disk: %v", err)
					}
					d = crashed
					s = l.reopen(d)
				}
				d.fill(-1)
				// Room is noticed at the next append, or the one after the janitor.
				before := len(l.acked)
				for range 2 {
					l.appendOne(s)
				}
				if len(l.acked) == before {
					t.Fatalf("nothing is accepted though there is room for %d bytes: %+v", d.room(), s.Stats())
				}
				l.drain(s)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			l.verify(d)
			t.Logf("%d of %d appends were refused", refused, l.asked)
			if refused == 0 {
				t.Error("no append was refused: the disk never was full")
			}
		})
	}
}

// reopen opens a spool that was there before, which needs no room.
func (l *life) reopen(d *memDisk) *Spool {
	l.t.Helper()
	s, err := Open("", l.options(d))
	if err != nil {
		l.t.Fatalf("open on a full disk: %v", err)
	}
	return s
}

// appendOne appends a record and returns 1 where it was refused.
func (l *life) appendOne(s *Spool) int {
	l.t.Helper()
	l.asked++
	err := s.Append(l.t.Context(), stamped(l.asked, 100+l.rnd.IntN(700)))
	switch {
	case err == nil:
		l.acked[l.asked] = true
		return 0
	case !errors.Is(err, ErrFull):
		l.t.Errorf("append on a full disk: got %v, want ErrFull", err)
	}
	return 1
}

// drain has the consumer take everything, and the janitor what it frees.
func (l *life) drain(s *Spool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
	defer cancel()
	until := s.Stats().Next
	fresh := true
	err := s.Consume(ctx, "a", sink(func(_ context.Context, b Batch) error {
		l.check(b, fresh)
		fresh, l.sunk, l.tookIt = false, &b, true
		for _, r := range b.Records {
			id, _ := unstamp(r.Data)
			l.taken[id] = true
		}
		if b.Last+1 >= until {
			cancel()
		}
		return nil
	}), ConsumerOptions{MaxRecords: 50, MaxWait: time.Microsecond, MinBackoff: time.Microsecond, MaxBackoff: time.Microsecond})
	if err != nil {
		l.t.Errorf("consume: %v", err)
	}
	if next := s.Stats().Consumers[0].Next; next < until {
		l.t.Errorf("the consumer stands at %d, want %d", next, until)
	}
	s.Retain("test", until-1)
	s.reap()
}

// yielder takes nothing until it is let, and notes what it gave up.
type yielder struct {
	gathered
	freed chan struct{} // closed: it takes what it is given

	yield sync.Mutex
	given []uint64
}

func (y *yielder) Deliver(ctx context.Context, b Batch) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-y.freed:
		return y.gathered.Deliver(ctx, b)
	}
}

func (y *yielder) Yield(_ context.Context, b Batch) error {
	y.yield.Lock()
	defer y.yield.Unlock()
	for _, r := range b.Records {
		y.given = append(y.given, r.Seq)
	}
	return nil
}

// TestYielderMakesRoom: where only consumers that would yield hold the disk,
// appends go on; where another holds it too, nothing is given up.
func TestYielderMakesRoom(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, "", Options{MaxBytes: 64 << 10, disk: newMemDisk(1)})
	defer mustClose(t, s)
	slow := &yielder{gathered: gathered{want: math.MaxInt, done: make(chan struct{})}, freed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Consume(ctx, "slow", slow, ConsumerOptions{MaxWait: time.Millisecond}); err != nil {
			t.Error(err)
		}
	})
	defer func() { cancel(); running.Wait() }()

	if err := s.Register("firm"); err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	fill := func() error {
		for range 10_000 {
			if err := s.Append(t.Context(), stamped(n, 300)); err != nil {
				return err
			}
			n++
		}
		return nil
	}
	if err := fill(); !errors.Is(err, ErrFull) {
		t.Fatalf("with another consumer in the way: got %v after %d records, want ErrFull", err, n)
	}
	if y := s.Stats().Consumers[1].Yielded; y != 0 {
		t.Fatalf("%d records were given up though it made no room", y)
	}

	running.Go(func() {
		if err := s.Consume(ctx, "firm", sink(func(context.Context, Batch) error { return nil }), ConsumerOptions{MaxWait: time.Millisecond}); err != nil {
			t.Error(err)
		}
	})
	// An append may come before the janitor; its caller is told to come back.
	for until := n + 1000; n < until; {
		switch err := s.Append(t.Context(), stamped(n, 300)); {
		case err == nil:
			n++
		case !errors.Is(err, ErrFull):
			t.Fatal(err)
		default:
			runtime.Gosched()
		}
	}
	close(slow.freed)
	last := s.Stats().Next - 1
	mustAppend(t, s, text("the last one"))
	for s.Stats().Consumers[1].Next <= last {
		runtime.Gosched()
	}

	slow.yield.Lock()
	defer slow.yield.Unlock()
	seen := map[uint64]int{}
	for _, seq := range slow.given {
		seen[seq]++
	}
	slow.mu.Lock()
	defer slow.mu.Unlock()
	for _, b := range slow.batches {
		for _, r := range b.Records {
			seen[r.Seq]++
		}
	}
	for seq := uint64(1); seq <= last; seq++ {
		if seen[seq] != 1 {
			t.Fatalf("record %d of %d: delivered or given up %d times, want once", seq, last, seen[seq])
		}
	}
	if y := s.Stats().Consumers[1].Yielded; y == 0 || y != uint64(len(slow.given)) {
		t.Errorf("%d records counted as given up, want %d", y, len(slow.given))
	}
}
