package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// life drives a spool through appends and deliveries until the disk crashes
// under it, and remembers what outsiders were told.
type life struct {
	t      *testing.T
	rnd    *rand.Rand
	acked  map[uint64]bool // stamps whose append returned nil
	asked  uint64          // the last stamp appended
	taken  map[uint64]bool // stamps that the sink took
	sunk   *Batch          // the last batch the sink saw
	tookIt bool            // and whether it took it
}

func (l *life) options(d *memDisk) Options {
	return Options{disk: d, SegmentBytes: 4 << 10, Logger: testLogger(l.t)}
}

// run opens the spool and uses it, as far as the disk lets it.
func (l *life) run(d *memDisk, appends int) {
	s, err := Open("", l.options(d))
	if err != nil {
		return
	}
	defer s.Close() // fails with the disk
	for i := range appends {
		var entries []Entry
		first := l.asked + 1
		for range 1 + l.rnd.IntN(4) {
			l.asked++
			entries = append(entries, stamped(l.asked, 8+l.rnd.IntN(900)))
		}
		if err := s.Append(l.t.Context(), entries...); err == nil {
			for id := first; id <= l.asked; id++ {
				l.acked[id] = true
			}
		}
		if i%8 == 7 {
			l.consume(s, 2+l.rnd.IntN(3))
		}
	}
}

// consume takes some batches, refusing one now and then.
func (l *life) consume(s *Spool, batches int) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 4*time.Millisecond)
	defer cancel()
	fresh := true
	err := s.Consume(ctx, "a", sink(func(_ context.Context, b Batch) error {
		l.check(b, fresh)
		fresh = false
		l.sunk, l.tookIt = &b, l.rnd.IntN(4) > 0
		if batches--; batches <= 0 {
			cancel()
		}
		if !l.tookIt {
			return errors.New("not now")
		}
		for _, r := range b.Records {
			id, _ := unstamp(r.Data)
			l.taken[id] = true
		}
		return nil
	}), ConsumerOptions{MaxRecords: 5, MaxWait: time.Microsecond, MinBackoff: time.Microsecond, MaxBackoff: time.Microsecond})
	if corrupt := (*CorruptionError)(nil); errors.As(err, &corrupt) {
		l.t.Errorf("consume: %v", err)
	}
}

// check holds a batch against the last one: the one behind it, or the same once
// more. After a crash or a stop in between, the same one says Recovered.
func (l *life) check(b Batch, fresh bool) {
	for _, r := range b.Records {
		if _, ok := unstamp(r.Data); !ok {
			l.t.Errorf("record %d was delivered with wrong bytes", r.Seq)
		}
	}
	if l.sunk == nil {
		return
	}
	switch {
	case b.First == l.sunk.First:
		if b.Last != l.sunk.Last || len(b.Records) != len(l.sunk.Records) {
			l.t.Errorf("batch %d..%d came back as %d..%d", l.sunk.First, l.sunk.Last, b.First, b.Last)
		}
		if b.Attempt <= l.sunk.Attempt && !b.Recovered || fresh && !b.Recovered {
			l.t.Errorf("batch %d..%d came back as attempt %d after %d, recovered %v", b.First, b.Last, b.Attempt, l.sunk.Attempt, b.Recovered)
		}
	case b.First != l.sunk.Last+1 || !l.tookIt:
		l.t.Errorf("batch %d..%d came after %d..%d, which was taken: %v", b.First, b.Last, l.sunk.First, l.sunk.Last, l.tookIt)
	}
}

// verify opens what the crash left: every acknowledged record is either still
// there or was taken by the sink, and nothing is there that was never appended.
func (l *life) verify(d *memDisk) {
	s, err := Open("", l.options(d))
	if err != nil {
		l.t.Fatalf("open after the crash: %v", err)
	}
	defer s.Close() // checked by the next open
	there := map[uint64]bool{}
	last := uint64(0)
	err = s.Replay(1, func(r Record) error {
		id, ok := unstamp(r.Data)
		switch {
		case !ok || id > l.asked:
			return fmt.Errorf("record %d has wrong bytes", r.Seq)
		case r.Seq <= last:
			return fmt.Errorf("record %d came after %d", r.Seq, last)
		case there[id]:
			return fmt.Errorf("record %d is there twice", r.Seq)
		}
		there[id], last = true, r.Seq
		return nil
	})
	if err != nil {
		l.t.Error(err)
	}
	for id := range l.acked {
		if !there[id] && !l.taken[id] {
			l.t.Errorf("acknowledged record %d is gone", id)
		}
	}
	l.consume(s, 3)
	if st := s.Stats(); len(st.Lost) > 0 || len(st.Damage) > 0 {
		l.t.Errorf("a crash was taken for rot: %+v", st)
	}
}

// A power cut at every single operation of a run, and a second one at some
// operation of what follows, the recovery included.
func TestPowerCutAtEveryOperation(t *testing.T) {
	t.Parallel()
	done, step := false, 1
	if testing.Short() {
		step = 7
	}
	n := 1
	for ; !done && !t.Failed(); n += step {
		l := &life{t: t, rnd: rand.New(rand.NewPCG(uint64(n), 7)), acked: map[uint64]bool{}, taken: map[uint64]bool{}}
		d := newMemDisk(uint64(n))
		d.crashAt = n
		l.run(d, 48)
		done = d.count() < n
		d = d.crash()
		d.crashAt = 1 + l.rnd.IntN(60)
		l.run(d, 8)
		l.verify(d.crash())
		if t.Failed() {
			t.Logf("with the first cut at operation %d", n)
		}
	}
	t.Logf("%d operations", n)
	if n < 200 {
		t.Errorf("the run had %d operations, want some hundred", n)
	}
}

// Every write and sync fails once, in turn, without a crash: the append that
// waited for it gets the error, the next one works, and nothing acknowledged is
// missing then or after another open.
func TestFailureAtEveryOperation(t *testing.T) {
	t.Parallel()
	for n := 1; n < 150 && !t.Failed(); n++ {
		l := &life{t: t, rnd: rand.New(rand.NewPCG(uint64(n), 8)), acked: map[uint64]bool{}, taken: map[uint64]bool{}}
		d := newMemDisk(uint64(n))
		s, err := Open("", l.options(d))
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		start := d.count()
		d.setFail(func(op int, what, _ string) error {
			if op-start == n && (what == "write" || what == "sync" || what == "syncDir" || what == "rename") {
				failed++
				return errors.New("input/output error")
			}
			return nil
		})
		refused := 0
		for range 30 {
			l.asked++
			if err := s.Append(t.Context(), stamped(l.asked, 300)); err != nil {
				refused++
				continue
			}
			l.acked[l.asked] = true
		}
		if refused > 1 {
			t.Errorf("one failure refused %d appends", refused)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		d.setFail(nil)
		l.verify(d)
		if t.Failed() {
			t.Logf("with operation %d failing", n)
		}
	}
}

// What a failed sync left on the disk does not come back once another record
// has taken its number.
func TestFailedFrameStaysVoid(t *testing.T) {
	t.Parallel()
	d := newMemDisk(1)
	l := &ledger{}
	s := mustOpen(t, "", Options{disk: d, Settled: l.settled})
	mustAppend(t, s, l)
	d.setFail(func(_ int, what, _ string) error {
		if what == "sync" {
			return errors.New("input/output error")
		}
		return nil
	})
	if err := s.Append(t.Context(), l); err == nil {
		t.Fatal("append on a failing disk: got nil")
	}
	d.setFail(nil)
	mustAppend(t, s, l)
	if st := s.Stats(); st.Failures != 1 || st.Segments != 2 {
		t.Errorf("got %d failures and %d segments, want 1 and another segment", st.Failures, st.Segments)
	}
	want := []string{"1:link 1", "2:link 2"}
	for _, when := range []string{"at once", "after a crash", "after another"} {
		got := contents(t, s, 1)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", when, got, want)
		}
		crashed := d.crash()
		mustClose(t, s)
		d = crashed
		s = mustOpen(t, "", Options{disk: d})
	}
	mustClose(t, s)
}
