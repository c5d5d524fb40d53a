package spool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// running is a consumer under a fake clock that a test can stop.
type running struct {
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, s *Spool, name string, to Sink, o ConsumerOptions) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{cancel, make(chan error, 1)}
	go func() { r.ended <- s.Consume(ctx, name, to, o) }()
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("consume: %v", err)
	}
}

// bounds is a batch without what tests do not compare.
func bounds(b Batch) string {
	return fmt.Sprintf("%d..%d: %d records, attempt %d, recovered %v", b.First, b.Last, len(b.Records), b.Attempt, b.Recovered)
}

func TestBatchesEndAtTheirLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		o    ConsumerOptions
		want []string
	}{
		{"all at once", ConsumerOptions{}, []string{"1..10"}},
		{"records", ConsumerOptions{MaxRecords: 4}, []string{"1..4", "5..8", "9..10"}},
		{"bytes", ConsumerOptions{MaxBytes: 250}, []string{"1..2", "3..4", "5..6", "7..8", "9..10"}},
		{"bytes, but never nothing", ConsumerOptions{MaxBytes: 9}, []string{
			"1..1", "2..2", "3..3", "4..4", "5..5", "6..6", "7..7", "8..8", "9..9", "10..10"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t, t.TempDir(), Options{})
			defer mustClose(t, s)
			for i := range 5 {
				mustAppend(t, s, stamped(uint64(2*i), 100), stamped(uint64(2*i+1), 100))
			}
			g := consume(t, s, "a", 10, tc.o)
			var got []string
			for _, b := range g.batches {
				got = append(got, fmt.Sprintf("%d..%d", b.First, b.Last))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestKindsAreFilteredButCounted(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir(), Options{})
	defer mustClose(t, s)
	for i := range 3 {
		mustAppend(t, s, text(fmt.Sprintf("e%d", i)), kinded{"r", KindReceipt}, kinded{"c", KindCounter})
	}
	g := consume(t, s, "a", 3, ConsumerOptions{Kinds: []Kind{KindEvent}})
	want := Batch{Spool: s.ID(), First: 1, Last: 9, Attempt: 1, Records: []Record{
		{1, KindEvent, []byte("e0")}, {4, KindEvent, []byte("e1")}, {7, KindEvent, []byte("e2")},
	}}
	if diff := cmp.Diff([]Batch{want}, g.batches); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if st := s.Stats().Consumers[0]; st.Behind != 0 {
		t.Errorf("%d behind, want 0", st.Behind)
	}
}

// TestPick leaves of some records their first byte and of others nothing; what
// was left out does not count towards the limits of a batch.
func TestPick(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir(), Options{})
	defer mustClose(t, s)
	for _, word := range []string{"alpha", "beta", "atlas", "gamma", "axis", "delta"} {
		mustAppend(t, s, text(word), kinded{"a receipt", KindReceipt})
	}
	g := consume(t, s, "a", 3, ConsumerOptions{
		Kinds: []Kind{KindEvent}, MaxRecords: 2,
		Pick: func(r Record) ([]byte, bool) { return r.Data[:1], r.Data[0] == 'a' },
	})
	want := []Batch{
		{Spool: s.ID(), First: 1, Last: 8, Attempt: 1, More: true, Records: []Record{{1, KindEvent, []byte("a")}, {5, KindEvent, []byte("a")}}},
		{Spool: s.ID(), First: 9, Last: 12, Attempt: 1, Records: []Record{{9, KindEvent, []byte("a")}}},
	}
	if diff := cmp.Diff(want, g.batches); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A batch of nothing but other kinds moves the cursor, so that it does not pin.
func TestUnwantedRecordsMoveTheCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "", Options{disk: newMemDisk(1)})
		r := start(t, s, "a", sink(func(_ context.Context, b Batch) error {
			t.Errorf("delivered %s", bounds(b))
			return nil
		}), ConsumerOptions{Kinds: []Kind{KindReceipt}})
		mustAppend(t, s, text("a"), text("b"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := s.Stats().Consumers[0]; got.Next != 3 || got.Behind != 0 {
			t.Errorf("got %+v, want it to stand at 3", got)
		}
		r.end(t)
		mustClose(t, s)
	})
}

// A record waits MaxWait for company and nothing else: not a second time because
// an earlier batch was still being delivered when it came.
func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "", Options{disk: newMemDisk(1)})
		begin := time.Now()
		var got []string
		r := start(t, s, "a", sink(func(_ context.Context, b Batch) error {
			got = append(got, fmt.Sprintf("%d..%d at %v", b.First, b.Last, time.Since(begin)))
			time.Sleep(700 * time.Millisecond)
			return nil
		}), ConsumerOptions{MaxRecords: 3})
		synctest.Wait()
		mustAppend(t, s, text("alone")) // waits a second
		time.Sleep(1500 * time.Millisecond)
		mustAppend(t, s, text("while busy")) // the sink is free at 1.7 s
		time.Sleep(3500 * time.Millisecond)
		for range 7 { // two full batches at once, the rest of one after a second
			mustAppend(t, s, text("many"))
		}
		time.Sleep(5 * time.Second)
		r.end(t)
		mustClose(t, s)
		want := []string{"1..1 at 1s", "2..2 at 2.5s", "3..5 at 5s", "6..8 at 5.7s", "9..9 at 6.4s"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestRefusedBatchComesBackTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "", Options{disk: newMemDisk(1)})
		appendNumbered(t, s, 1, 3)
		var got []string
		var times []time.Time
		away := errors.New("away")
		r := start(t, s, "a", sink(func(_ context.Context, b Batch) error {
			got = append(got, bounds(b))
			times = append(times, time.Now())
			if len(got) == 1 {
				appendNumbered(t, s, 4, 6) // not for this batch any more
			}
			if len(got) < 12 {
				return away
			}
			return nil
		}), ConsumerOptions{MinBackoff: time.Second, MaxBackoff: 8 * time.Second})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Stats().Consumers[0]; st.Attempt < 1 || !errors.Is(st.Err, away) || st.Behind != 6 || st.Since.IsZero() {
			t.Errorf("while refused: %+v", st)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		var want []string
		for i := range 12 {
			want = append(want, fmt.Sprintf("1..3: 3 records, attempt %d, recovered false", i+1))
		}
		want = append(want, "4..6: 3 records, attempt 1, recovered false")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		for i := 1; i < 12; i++ {
			pause, most := times[i].Sub(times[i-1]), min(8*time.Second, time.Second<<(i-1))
			if pause > most+time.Millisecond {
				t.Errorf("pause %d: got %v, want at most %v", i, pause, most)
			}
		}
		r.end(t)
		if st := s.Stats().Consumers[0]; st.Attempt != 0 || st.Err != nil || st.Behind != 0 || st.Running {
			t.Errorf("afterwards: %+v", st)
		}
		mustClose(t, s)
	})
}

func TestBatchInFlightComesBackAfterRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	appendNumbered(t, s, 1, 5)
	seen := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- s.Consume(ctx, "a", sink(func(ctx context.Context, b Batch) error {
			seen <- bounds(b)
			<-ctx.Done() // the process dies before the answer
			return ctx.Err()
		}), ConsumerOptions{MaxRecords: 3, MaxWait: time.Millisecond})
	}()
	first := <-seen
	dir = crashCopy(t, dir)
	cancel()
	<-ended
	mustClose(t, s)

	s = mustOpen(t, dir, Options{})
	defer mustClose(t, s)
	mustAppend(t, s, text("r6"))
	var got []string
	refuse := 1
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		ended <- s.Consume(ctx, "a", sink(func(_ context.Context, b Batch) error {
			got = append(got, bounds(b))
			if refuse--; refuse >= 0 {
				return errors.New("still away")
			}
			if b.Last == 6 {
				cancel()
			}
			return nil
		}), ConsumerOptions{MaxRecords: 50, MaxWait: time.Millisecond, MinBackoff: time.Millisecond})
	}()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1..3: 3 records, attempt 1, recovered false",
		"1..3: 3 records, attempt 2, recovered true", // the bounds of then, not of now
		"1..3: 3 records, attempt 3, recovered true",
		"4..6: 3 records, attempt 1, recovered false",
	}
	if diff := cmp.Diff(want, append([]string{first}, got...)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The cursor is on disk before the sink sees the batch, and behind it only after
// the sink took it.
func TestCursorIsAheadOfTheSink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	defer mustClose(t, s)
	appendNumbered(t, s, 1, 4)
	var got []position
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	onDisk := func() position {
		p, err := decodeCursor(readFile(t, filepath.Join(dir, "a"+cursorExt)), s.ID())
		if err != nil {
			t.Error(err)
		}
		return p
	}
	err := s.Consume(ctx, "a", sink(func(_ context.Context, b Batch) error {
		got = append(got, onDisk())
		if b.Last == 4 {
			cancel()
		}
		return nil
	}), ConsumerOptions{MaxRecords: 2, MaxWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, onDisk())
	want := []position{
		{generation: 2, next: 1, first: 1, last: 2, attempt: 1},
		{generation: 4, next: 3, first: 3, last: 4, attempt: 1},
		{generation: 5, next: 5},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(position{}), cmpopts.IgnoreFields(position{}, "sum")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Where the cursor cannot be written nothing is delivered, and delivery goes on
// once it can.
func TestNothingIsDeliveredWithoutACursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk(1)
		s := mustOpen(t, "", Options{disk: d})
		appendNumbered(t, s, 1, 2)
		var got []string
		r := start(t, s, "a", sink(func(_ context.Context, b Batch) error {
			got = append(got, bounds(b))
			return nil
		}), ConsumerOptions{})
		synctest.Wait()
		d.setFail(func(_ int, what, name string) error {
			if strings.HasPrefix(name, "a"+cursorExt) && what == "sync" {
				return errors.New("input/output error")
			}
			return nil
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("delivered %v without a cursor", got)
		}
		d.setFail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(got) != 1 || !strings.HasPrefix(got[0], "1..2: 2 records") {
			t.Errorf("afterwards: got %v, want 1..2", got)
		}
		r.end(t)
		mustClose(t, s)
	})
}

func TestConsumerThatCannotStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "", Options{disk: newMemDisk(1)})
		r := start(t, s, "a", gather(1), ConsumerOptions{})
		synctest.Wait()
		for name, want := range map[string]string{
			"a": "running already", "": "want 1 to 64", "../a": "want 1 to 64", "a/b": "want 1 to 64", "A": "want 1 to 64",
		} {
			if err := s.Consume(t.Context(), name, gather(1), ConsumerOptions{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("consumer %q: got %v, want one with %q", name, err, want)
			}
		}
		if err := s.Forget("a"); err == nil {
			t.Error("forget a running consumer: got nil")
		}
		mustClose(t, s) // ends the consumer as well
		if err := <-r.ended; err != nil {
			t.Errorf("consumer of a closed spool: %v", err)
		}
		if err := s.Consume(t.Context(), "a", gather(1), ConsumerOptions{}); !errors.Is(err, ErrClosed) {
			t.Errorf("consume after close: got %v, want ErrClosed", err)
		}
	})
}
