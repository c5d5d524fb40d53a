package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustSnapshot(t testing.TB, dir string) *Snapshot {
	t.Helper()
	s, err := OpenSnapshot(dir)
	if err != nil {
		t.Fatalf("open snapshot: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// seen is what a snapshot holds from a seq on, as "seq:data".
func seen(t testing.TB, s *Snapshot, from uint64) (got []string, last uint64, lost []LostRange) {
	t.Helper()
	last, lost, err := s.Records(from, func(r Record) error {
		got = append(got, fmt.Sprintf("%d:%s", r.Seq, r.Data))
		return nil
	})
	if err != nil {
		t.Fatalf("records: %v", err)
	}
	return got, last, lost
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenSnapshot(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an empty directory: %v, want fs.ErrNotExist", err)
	}
	s := mustOpen(t, dir, Options{SegmentBytes: 4 << 10, Head: func(dst []byte) []byte { return append(dst, "head"...) }})
	if got, last, lost := seen(t, mustSnapshot(t, dir), 1); got != nil || last != 0 || lost != nil {
		t.Errorf("of an empty spool: %v, %d, %v", got, last, lost)
	}
	if err := s.Register("c"); err != nil {
		t.Fatal(err)
	}
	appendNumbered(t, s, 1, 300) // several segments, the last one open
	snap := mustSnapshot(t, dir)
	if head, _ := snap.Head(); string(head) != "head" || snap.ID() != s.ID() || snap.Oldest() != 1 {
		t.Errorf("head %q, id %s, oldest %d; want head, %s, 1", head, snap.ID(), snap.Oldest(), s.ID())
	}
	for _, from := range []uint64{0, 1, 2, 150, 300, 301, 999} {
		got, last, lost := seen(t, snap, from)
		want := numbered(max(int(from), 1), 300)
		if diff := cmp.Diff(want, got); diff != "" || last != 300 || lost != nil {
			t.Errorf("from %d: last %d, lost %v (-want +got):\n%s", from, last, lost, diff)
		}
	}
	if next, err := snap.Cursor("c"); next != 1 || err != nil {
		t.Errorf("cursor: %d, %v; want 1", next, err)
	}
	if next, err := snap.Cursor("nobody"); next != 1 || err != nil {
		t.Errorf("cursor of nobody: %d, %v; want 1", next, err)
	}

	t.Run("segments that go are held", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.Consume(ctx, "c", sink(func(_ context.Context, b Batch) error {
			if b.Last >= 300 {
				cancel()
			}
			return nil
		}), ConsumerOptions{}); err != nil {
			t.Fatal(err)
		}
		mustClose(t, s)
		for _, name := range segmentFiles(t, dir) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		if got, _, _ := seen(t, snap, 1); len(got) != 300 {
			t.Errorf("got %d records, want 300", len(got))
		}
		if next, err := snap.Cursor("c"); next != 301 || err != nil {
			t.Errorf("cursor: %d, %v; want 301", next, err)
		}
	})
}

func TestSnapshotOfDamage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage func(t *testing.T, file string, frames []int)
		want   []string
		last   uint64
		lost   []LostRange
	}{
		"a torn tail": {func(t *testing.T, file string, frames []int) {
			b := readFile(t, file)
			writeFile(t, file, b[:frames[9]+frameHead+3])
		}, numbered(1, 9), 9, nil},
		"rot": {func(t *testing.T, file string, frames []int) {
			b := readFile(t, file)
			b[frames[4]+frameHead+9] ^= 1
			writeFile(t, file, b)
		}, append(numbered(1, 4), numbered(6, 10)...), 10, []LostRange{{5, 5}}},
		"a bad header": {func(t *testing.T, file string, _ []int) {
			b := readFile(t, file)
			b[20] ^= 1
			writeFile(t, file, b)
		}, numbered(1, 10), 10, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := mustOpen(t, dir, Options{})
			appendNumbered(t, s, 1, 10)
			crashed := crashCopy(t, dir)
			mustClose(t, s)
			file := segmentFiles(t, crashed)[0]
			tc.damage(t, file, frameOffsets(t, readFile(t, file)))
			got, last, lost := seen(t, mustSnapshot(t, crashed), 1)
			if diff := cmp.Diff(tc.want, got); diff != "" || last != tc.last || !cmp.Equal(lost, tc.lost) {
				t.Errorf("last %d, want %d; lost %v, want %v (-want +got):\n%s", last, tc.last, lost, tc.lost, diff)
			}
		})
	}
}

// A segment that is gone shows as missing only to whom it matters.
func TestSnapshotReportsMissingSegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{SegmentBytes: 4 << 10})
	appendNumbered(t, s, 1, 400)
	mustClose(t, s)
	files := segmentFiles(t, dir)
	second, _ := parseSegmentName(filepath.Base(files[1]))
	third, _ := parseSegmentName(filepath.Base(files[2]))
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	_, last, lost := seen(t, mustSnapshot(t, dir), 1)
	if want := []LostRange{{second, third - 1}}; last != 400 || !cmp.Equal(lost, want) {
		t.Errorf("last %d, lost %v; want 400, %v", last, lost, want)
	}
	if _, _, lost := seen(t, mustSnapshot(t, dir), third); lost != nil {
		t.Errorf("behind it: lost %v, want nothing", lost)
	}
}

// While somebody writes, a snapshot is a prefix: nothing is missing in it, and
// what had been answered before it was taken is there.
func TestSnapshotOfALiveSpool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{SegmentBytes: 64 << 10})
	defer mustClose(t, s)
	appendNumbered(t, s, 1, 1)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for ctx.Err() == nil {
				if err := s.Append(context.Background(), text(strings.Repeat("x", 700)), text("y")); err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	for range 200 {
		answered := s.Stats().Next - 1
		snap := mustSnapshot(t, dir)
		next := uint64(1)
		last, lost, err := snap.Records(1, func(r Record) error {
			if r.Seq != next {
				return fmt.Errorf("record %d after %d", r.Seq, next-1)
			}
			next++
			return nil
		})
		if err != nil || lost != nil || last != next-1 || last < answered {
			t.Fatalf("last %d of %d answered, read up to %d, lost %v, %v", last, answered, next-1, lost, err)
		}
	}
	stop()
	writers.Wait()
}
