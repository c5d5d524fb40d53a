package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
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
			s := l.openWithRoom(d)
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
					s = l.openWithRoom(d)
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

// openWithRoom opens the spool, which a full disk must not prevent for ever:
// with room for what it has to write it opens.
func (l *life) openWithRoom(d *memDisk) *Spool {
	l.t.Helper()
	s, err := Open("", l.options(d))
	if err != nil {
		if !errors.Is(err, syscall.ENOSPC) {
			l.t.Fatalf("open on a full disk: %v", err)
		}
		d.fill(-1)
		if s, err = Open("", l.options(d)); err != nil {
			l.t.Fatalf("open with room: %v", err)
		}
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
