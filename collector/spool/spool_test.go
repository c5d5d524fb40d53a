package spool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAppendThenReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	mustAppend(t, s, text("a"), text("b"))
	mustAppend(t, s)
	mustAppend(t, s, text(""))
	mustAppend(t, s, text(""), text("c"))
	want := []string{"1:a", "2:b", "3:c"}
	if diff := cmp.Diff(want, contents(t, s, 1)); diff != "" {
		t.Errorf("while open (-want +got)\n%s", diff)
	}
	id := s.ID()
	mustClose(t, s)
	if err := s.Append(t.Context(), text("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: got %v, want ErrClosed", err)
	}

	s = mustOpen(t, dir, Options{})
	if s.ID() != id {
		t.Errorf("identity changed from %s to %s", id, s.ID())
	}
	mustAppend(t, s, text("d"))
	if diff := cmp.Diff([]string{"2:b", "3:c", "4:d"}, contents(t, s, 2)); diff != "" {
		t.Errorf("after reopen, from 2 (-want +got)\n%s", diff)
	}
	if got := len(segmentFiles(t, dir)); got != 2 {
		t.Errorf("got %d segments, want a fresh one after reopen", got)
	}
	if st := s.Stats(); st.TornBytes != 0 || len(st.Lost) != 0 {
		t.Errorf("damage after a clean stop: %+v", st)
	}
	mustClose(t, s)
}

func TestOpenWithoutAppendLeavesNoSegment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		mustClose(t, mustOpen(t, dir, Options{}))
	}
	if got := segmentFiles(t, dir); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	defer mustClose(t, s)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: got %v, want ErrLocked", err)
	}
}

func TestCancelledAppendIsNotQueued(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir(), Options{})
	defer mustClose(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Append(ctx, text("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := contents(t, s, 1); got != nil {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestFrameLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	defer mustClose(t, s)
	big := text(strings.Repeat("x", 3<<20))
	mustAppend(t, s, big, big) // beyond the soft limit, still one frame
	if err := s.Append(t.Context(), big, big, big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("9 MiB: got %v, want ErrTooLarge", err)
	}
	many := make([]Entry, 3*maxFrameRecords)
	for i := range many {
		many[i] = text("y")
	}
	mustAppend(t, s, many...)
	if st := s.Stats(); st.Frames != 2 || st.Next != uint64(2+len(many)+1) {
		t.Errorf("got %d frames, next %d; want 2 and %d", st.Frames, st.Next, 2+len(many)+1)
	}
	if got := len(contents(t, s, 1)); got != 2+len(many) {
		t.Errorf("read back %d records, want %d", got, 2+len(many))
	}
}

// ledger stands for the hash chain: Commit links, Settled keeps or takes back.
type ledger struct{ linked, kept int }

func (l *ledger) Kind() Kind { return KindReceipt }
func (l *ledger) Commit(dst []byte, _ uint64) ([]byte, bool) {
	l.linked++
	return fmt.Appendf(dst, "link %d", l.linked), true
}
func (l *ledger) settled(err error) {
	if err != nil {
		l.linked = l.kept
	}
	l.kept = l.linked
}

func TestHeadIsTheStateBeforeTheSegment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := &ledger{}
	o := Options{Settled: l.settled, Head: func(dst []byte) []byte { return fmt.Append(dst, l.linked) }}
	for round, want := range []struct {
		head string
		seq  uint64
	}{{"", 0}, {"0", 1}, {"2", 3}} {
		s := mustOpen(t, dir, o)
		if head, seq := s.Head(); string(head) != want.head || seq != want.seq {
			t.Errorf("open %d: got head %q before %d, want %q before %d", round, head, seq, want.head, want.seq)
		}
		mustAppend(t, s, l)
		mustAppend(t, s, l)
		mustClose(t, s)
	}
}

func TestSegmentsRollAndGoOnceDelivered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{SegmentBytes: 4 << 10})
	for i := range 200 {
		mustAppend(t, s, stamped(uint64(i), 300))
	}
	before := len(segmentFiles(t, dir))
	if before < 10 {
		t.Fatalf("got %d segments, want at least 10", before)
	}
	s.Retain("index", 0)
	consume(t, s, "a", 200, ConsumerOptions{})
	consume(t, s, "b", 200, ConsumerOptions{MaxRecords: 7})
	s.Retain("index", 100)
	mustClose(t, s)
	s = mustOpen(t, dir, Options{SegmentBytes: 4 << 10})
	if got := contents(t, s, 101); len(got) != 100 {
		t.Errorf("records after 100 retained: got %d, want 100", len(got))
	}
	s.Retain("index", 200)
	s.reap()
	mustClose(t, s)
	if got := len(segmentFiles(t, dir)); got != 1 {
		t.Errorf("got %d segments after everything was delivered, want the newest alone", got)
	}
	s = mustOpen(t, dir, Options{})
	mustAppend(t, s, text("next"))
	if diff := cmp.Diff([]string{"201:next"}, contents(t, s, 201)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	mustClose(t, s)
}

func TestConsumerThatIsNotRunningPins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := Options{SegmentBytes: 4 << 10}
	s := mustOpen(t, dir, o)
	mustAppend(t, s, text("first"))
	consume(t, s, "idle", 1, ConsumerOptions{})
	consume(t, s, "busy", 1, ConsumerOptions{})
	mustClose(t, s)

	s = mustOpen(t, dir, o)
	for i := range 50 {
		mustAppend(t, s, stamped(uint64(i), 300))
	}
	consume(t, s, "busy", 50, ConsumerOptions{})
	s.reap()
	if got := len(contents(t, s, 2)); got != 50 {
		t.Errorf("got %d records kept for the idle consumer, want 50", got)
	}
	if err := s.Forget("idle"); err != nil {
		t.Fatal(err)
	}
	s.reap()
	mustClose(t, s)
	if got := len(segmentFiles(t, dir)); got != 1 {
		t.Errorf("got %d segments after it was forgotten, want 1", got)
	}
}

// A consumer that was registered misses nothing although it first runs late.
func TestRegisteredConsumerPins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // the second time from its cursor file
		s := mustOpen(t, dir, Options{SegmentBytes: 4 << 10})
		if err := s.Register("late"); err != nil {
			t.Fatal(err)
		}
		first := int(s.Stats().Next)
		appendNumbered(t, s, first, first+199)
		consume(t, s, "early", 200, ConsumerOptions{})
		s.Retain("index", 0)
		s.Retain("index", math.MaxUint64)
		s.reap()
		mustClose(t, s)
	}
	s := mustOpen(t, dir, Options{})
	if err := s.Register("../late"); err == nil {
		t.Error("a name that is no file name: got nil")
	}
	got := consume(t, s, "late", 400, ConsumerOptions{}).texts()
	if diff := cmp.Diff(numbered(1, 400), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	mustClose(t, s)
	if err := s.Register("after"); !errors.Is(err, ErrClosed) {
		t.Errorf("register after close: got %v, want ErrClosed", err)
	}
}

func TestFullSpoolRefusesThenRecovers(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir(), Options{MaxBytes: 64 << 10})
	defer mustClose(t, s)
	n := 0
	var err error
	for ; err == nil && n < 10_000; n++ {
		err = s.Append(t.Context(), stamped(uint64(n), 300))
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("got %v after %d records, want ErrFull", err, n)
	}
	if st := s.Stats(); st.Bytes > st.MaxBytes+1024 {
		t.Errorf("%d bytes on disk, want at most %d", st.Bytes, st.MaxBytes)
	}
	consume(t, s, "a", n-1, ConsumerOptions{})
	s.reap()
	mustAppend(t, s, text("room again"))
}

func TestAgedSegmentIsSucceeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk(1)
		s := mustOpen(t, "", Options{disk: d, SegmentAge: time.Minute})
		mustAppend(t, s, text("secret"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Consume(ctx, "a", gather(1), ConsumerOptions{}) }()
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if d.holds("secret") {
			t.Error("a delivered record is still on disk after the segment's age")
		}
		if st := s.Stats(); st.Segments != 1 || st.Next != 2 {
			t.Errorf("got %d segments, next %d; want 1 and 2", st.Segments, st.Next)
		}
		cancel()
		<-ended
		mustClose(t, s)
		s = mustOpen(t, "", Options{disk: d})
		mustAppend(t, s, text("after"))
		if diff := cmp.Diff([]string{"2:after"}, contents(t, s, 1)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		mustClose(t, s)
	})
}

func TestForeignFilesAreRefused(t *testing.T) {
	t.Parallel()
	other := t.TempDir()
	s := mustOpen(t, other, Options{})
	appendNumbered(t, s, 1, 3)
	mustClose(t, s)
	segment := segmentFiles(t, other)[0]

	for _, tc := range []struct {
		name string
		into func(t *testing.T, dir string)
		want string
	}{
		{"segment of another spool", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, filepath.Base(segment)), readFile(t, segment))
		}, "belongs elsewhere"},
		{"segment without identity", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, filepath.Base(segment)), readFile(t, segment))
			if err := os.Remove(filepath.Join(dir, idName)); err != nil {
				t.Fatal(err)
			}
		}, "missing beside existing data"},
		{"identity that is none", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, idName), []byte("spool"))
		}, "invalid UUID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mustClose(t, mustOpen(t, dir, Options{}))
			tc.into(t, dir)
			_, err := Open(dir, Options{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want one with %q", err, tc.want)
			}
		})
	}
}

// TestSettledIsFirst: whoever sees a record sees what it settled, too.
func TestSettledIsFirst(t *testing.T) {
	t.Parallel()
	var s *Spool
	var seen []uint64
	s = mustOpen(t, t.TempDir(), Options{Settled: func(error) { seen = append(seen, s.Stats().Next) }})
	appendNumbered(t, s, 1, 3)
	mustClose(t, s)
	if diff := cmp.Diff([]uint64{1, 2, 3}, seen); diff != "" {
		t.Errorf("next seq at each settling (-want +got)\n%s", diff)
	}
}

// TestQuarantineIsEmptied also while the spool is open for weeks.
func TestQuarantineIsEmptied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk(1)
		d.put(fmt.Sprintf("%s/%d-%s.torn", quarantineDir, time.Now().Unix(), segmentName(1)), []byte("cut out"))
		s := mustOpen(t, "", Options{disk: d})
		kept := func() int {
			names, err := d.list(quarantineDir)
			if err != nil {
				t.Fatal(err)
			}
			return len(names)
		}
		time.Sleep(quarantineFor - time.Minute)
		synctest.Wait()
		if kept() != 1 {
			t.Error("what was cut out is gone before its week is over")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := kept(); n != 0 {
			t.Errorf("%d files are kept for longer than a week", n)
		}
		mustClose(t, s)
	})
}
