package spool

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spoolOf makes a spool of n one-record frames in one segment and returns its
// directory as a crash (or, if clean, a stop) leaves it.
func spoolOf(t testing.TB, n int, clean bool) (dir, segment string) {
	t.Helper()
	dir = t.TempDir()
	s := mustOpen(t, dir, Options{})
	appendNumbered(t, s, 1, n)
	crashed := crashCopy(t, dir)
	mustClose(t, s)
	if !clean {
		dir = crashed
	}
	segment = segmentFiles(t, dir)[0]
	b := readFile(t, segment)
	writeFile(t, segment, append(b, make([]byte, max(0, 64<<10-len(b)))...)) // as if prepared
	return dir, segment
}

func TestDamagedSegment(t *testing.T) {
	t.Parallel()
	const n = 20
	noise := func(b []byte) {
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
	}
	for _, tc := range []struct {
		name   string
		clean  bool // stopped cleanly, with a footer
		edit   func(b []byte, frame []int) []byte
		want   []string
		torn   bool
		lost   []LostRange
		damage int
	}{
		{
			name: "untouched",
			edit: func(b []byte, _ []int) []byte { return b },
			want: numbered(1, n),
		},
		{
			name: "last frame cut short",
			edit: func(b []byte, frame []int) []byte { return b[:frame[n-1]+20] },
			want: numbered(1, n-1), torn: true,
		},
		{
			name: "cut at an odd byte of the padding",
			edit: func(b []byte, frame []int) []byte { return b[:frame[n-1]+43] },
			want: numbered(1, n-1), torn: true,
		},
		{
			name: "end of the last frame zeroed",
			edit: func(b []byte, frame []int) []byte { clear(b[frame[n-1]+16:]); return b },
			want: numbered(1, n-1), torn: true,
		},
		{
			name: "last frame half noise",
			edit: func(b []byte, frame []int) []byte { noise(b[frame[n-1]+24:][:24]); return b },
			want: numbered(1, n-1), torn: true,
		},
		{
			name: "noise behind the last frame",
			edit: func(b []byte, frame []int) []byte { noise(b[frame[n-1]+48:][:4000]); return b },
			want: numbered(1, n), torn: true,
		},
		{
			name: "one bit flipped in the middle",
			edit: func(b []byte, frame []int) []byte { b[frame[9]+41] ^= 4; return b },
			want: slices.Concat(numbered(1, 9), numbered(11, n)),
			lost: []LostRange{{10, 10}}, damage: 1,
		},
		{
			name: "one bit flipped in a length",
			edit: func(b []byte, frame []int) []byte { b[frame[9]+4] ^= 0x80; return b },
			want: slices.Concat(numbered(1, 9), numbered(11, n)),
			lost: []LostRange{{10, 10}}, damage: 1,
		},
		{
			name: "a sector of zeros in the middle",
			edit: func(b []byte, frame []int) []byte { clear(b[frame[9]:frame[13]]); return b },
			want: slices.Concat(numbered(1, 9), numbered(14, n)),
			lost: []LostRange{{10, 13}}, damage: 1,
		},
		{
			name: "two places",
			edit: func(b []byte, frame []int) []byte { b[frame[0]] ^= 1; b[frame[9]+40] ^= 1; return b },
			want: slices.Concat(numbered(2, 9), numbered(11, n)),
			lost: []LostRange{{1, 1}, {10, 10}}, damage: 2,
		},
		{
			name: "last frame flipped after a clean stop", clean: true,
			edit: func(b []byte, frame []int) []byte { b[frame[n-1]+40] ^= 1; return b },
			want: numbered(1, n-1),
			lost: []LostRange{{n, n}}, damage: 1,
		},
		{
			name: "footer flipped", clean: true,
			edit: func(b []byte, frame []int) []byte { b[frame[n]+33] ^= 1; return b },
			want: numbered(1, n), torn: true,
		},
		{
			name: "whole frame of another life behind the last",
			edit: func(b []byte, frame []int) []byte {
				stale := bytes.Clone(b[frame[n-1]:][:48])
				payload := stale[frameHead:44]
				copy(b[frame[n-1]+48:], sealFrame(append(make([]byte, frameHead), payload...), 1, n+1, 12345))
				return b
			},
			want: numbered(1, n), torn: true,
		},
		{
			name: "header flipped",
			edit: func(b []byte, _ []int) []byte { b[30] ^= 1; return b },
			want: numbered(1, n), damage: 1,
		},
		{
			name: "salt in the header flipped",
			edit: func(b []byte, _ []int) []byte { b[17] ^= 1; return b },
			want: numbered(1, n), damage: 1,
		},
		{
			name: "header and first frame flipped",
			edit: func(b []byte, frame []int) []byte { b[30] ^= 1; b[frame[0]+40] ^= 1; return b },
			want: numbered(2, n), lost: []LostRange{{1, 1}}, damage: 2,
		},
		{
			name:   "nothing but zeros",
			edit:   func(b []byte, _ []int) []byte { clear(b); return b },
			damage: 1,
		},
		{
			name:   "empty file",
			edit:   func([]byte, []int) []byte { return nil },
			damage: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, segment := spoolOf(t, n, tc.clean)
			b := readFile(t, segment)
			before := bytes.Clone(b)
			edited := tc.edit(b, frameOffsets(t, before))
			writeFile(t, segment, edited)

			s := mustOpen(t, dir, Options{})
			if diff := cmp.Diff(tc.want, contents(t, s, 1)); diff != "" {
				t.Errorf("records (-want +got)\n%s", diff)
			}
			st := s.Stats()
			if tc.torn != (st.TornBytes > 0) {
				t.Errorf("torn bytes: got %d, want some: %v", st.TornBytes, tc.torn)
			}
			if diff := cmp.Diff(tc.lost, st.Lost); diff != "" {
				t.Errorf("lost (-want +got)\n%s", diff)
			}
			if len(st.Damage) != tc.damage {
				t.Errorf("damage: got %v, want %d", st.Damage, tc.damage)
			}
			for _, e := range st.Damage {
				if e.File != filepath.Base(segment) {
					t.Errorf("damage names %q, want %q", e.File, filepath.Base(segment))
				}
			}
			mustAppend(t, s, text("after"))
			got := contents(t, s, 1)
			if len(got) != len(tc.want)+1 || !strings.HasSuffix(got[len(got)-1], ":after") {
				t.Errorf("after another append: got %v", got)
			}
			mustClose(t, s)
			s = mustOpen(t, dir, Options{})
			if diff := cmp.Diff(got, contents(t, s, 1)); diff != "" {
				t.Errorf("after another open (-want +got)\n%s", diff)
			}
			mustClose(t, s)
		})
	}
}

func TestTornBytesAreKept(t *testing.T) {
	t.Parallel()
	dir, segment := spoolOf(t, 3, false)
	b := readFile(t, segment)
	last := frameOffsets(t, b)[2]
	writeFile(t, segment, b[:last+45])
	mustClose(t, mustOpen(t, dir, Options{}))
	kept, err := filepath.Glob(filepath.Join(dir, quarantineDir, "*.torn"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("got %v (%v), want one file", kept, err)
	}
	want := bytes.TrimRight(b[last:last+45], "\x00")
	if got := readFile(t, kept[0]); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := int64(len(readFile(t, segment))); got != int64(last) {
		t.Errorf("segment has %d bytes, want %d", got, last)
	}
}

// A damaged segment is moved to the quarantine when delivered, not removed.
func TestDamagedSegmentIsNotRemoved(t *testing.T) {
	t.Parallel()
	dir, segment := spoolOf(t, 10, false)
	b := readFile(t, segment)
	b[frameOffsets(t, b)[4]+40] ^= 1
	writeFile(t, segment, b)
	s := mustOpen(t, dir, Options{})
	mustAppend(t, s, text("after"))
	got := consume(t, s, "a", 10, ConsumerOptions{}).texts()
	if diff := cmp.Diff(slices.Concat(numbered(1, 4), numbered(6, 10), []string{"11:after"}), got); diff != "" {
		t.Errorf("delivered (-want +got)\n%s", diff)
	}
	s.reap()
	mustClose(t, s)
	kept, err := filepath.Glob(filepath.Join(dir, quarantineDir, "*"+segmentExt))
	if err != nil || len(kept) != 1 {
		t.Fatalf("got %v (%v), want the segment", kept, err)
	}
	if !bytes.Equal(readFile(t, kept[0]), b) {
		t.Error("the segment in the quarantine was changed")
	}
}

func TestMissingSegmentIsReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		s := mustOpen(t, dir, Options{})
		if round == 0 {
			s.Retain("index", 0)
		}
		appendNumbered(t, s, round*5+1, round*5+5)
		mustClose(t, s)
	}
	if err := os.Remove(filepath.Join(dir, segmentName(6))); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir, Options{})
	defer mustClose(t, s)
	if diff := cmp.Diff(slices.Concat(numbered(1, 5), numbered(11, 15)), contents(t, s, 1)); diff != "" {
		t.Errorf("records (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]LostRange{{6, 10}}, s.Stats().Lost); diff != "" {
		t.Errorf("lost (-want +got)\n%s", diff)
	}
}

// No single bit, wherever it flips, makes the spool hand out a wrong byte, and
// whatever is missing then is either reported or the torn tail.
func TestEverySingleBit(t *testing.T) {
	t.Parallel()
	const n = 6
	dir, segment := spoolOf(t, n, true)
	whole := readFile(t, segment)
	offs := frameOffsets(t, whole)
	end := offs[n] + footerBytes
	id := readFile(t, filepath.Join(dir, idName))
	for bit := range end * 8 {
		d := newMemDisk(uint64(bit))
		b := bytes.Clone(whole[:end+64])
		b[bit/8] ^= 1 << (bit % 8)
		d.put(idName, id)
		d.put(filepath.Base(segment), b)
		s := mustOpen(t, "", Options{disk: d, SegmentBytes: 4 << 10})
		got := contents(t, s, 1)
		for _, r := range got {
			if !slices.Contains(numbered(1, n), r) {
				t.Fatalf("bit %d: delivered %q", bit, r)
			}
		}
		st := s.Stats()
		if missing := n - len(got); missing > 0 && (len(st.Lost) != 1 || missing != int(st.Lost[0].To-st.Lost[0].From+1)) {
			t.Fatalf("bit %d: %d records missing, reported: %v", bit, missing, st.Lost)
		}
		if len(st.Damage) == 0 && st.TornBytes == 0 {
			t.Fatalf("bit %d: went unnoticed", bit)
		}
		mustClose(t, s)
	}
}

func TestDamagedCursor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		edit func(b []byte) []byte
		want []string // delivered next; nil: the consumer cannot run
	}{
		{"older slot", func(b []byte) []byte { clear(b[olderSlot(b):][:slotBytes]); return b }, []string{"6:r6"}},
		{"newer slot", func(b []byte) []byte { b[slotStride-olderSlot(b)+40] ^= 1; return b }, []string{"5:r5", "6:r6"}},
		{"both slots", func(b []byte) []byte { b[40] ^= 1; b[slotStride+40] ^= 1; return b }, nil},
		{"slots exchanged", func(b []byte) []byte {
			return slices.Concat(b[slotStride:], b[:slotStride])
		}, nil},
		{"cut short", func(b []byte) []byte { return b[:100] }, nil},
		{"empty", func([]byte) []byte { return nil }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := mustOpen(t, dir, Options{})
			appendNumbered(t, s, 1, 5)
			consume(t, s, "a", 5, ConsumerOptions{MaxRecords: 2})
			mustClose(t, s)
			name := filepath.Join(dir, "a"+cursorExt)
			writeFile(t, name, tc.edit(readFile(t, name)))

			s = mustOpen(t, dir, Options{})
			defer mustClose(t, s)
			mustAppend(t, s, text("r6"))
			if tc.want != nil {
				got := consume(t, s, "a", len(tc.want), ConsumerOptions{}).texts()
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("delivered (-want +got)\n%s", diff)
				}
				return
			}
			err := s.Consume(t.Context(), "a", gather(0), ConsumerOptions{})
			if corrupt := (*CorruptionError)(nil); !errors.As(err, &corrupt) || corrupt.File != "a"+cursorExt {
				t.Errorf("got %v, want a CorruptionError that names the file", err)
			}
			s.reap()
			if got := len(contents(t, s, 1)); got != 6 {
				t.Errorf("%d records kept while the cursor is damaged, want all 6", got)
			}
		})
	}
}

func olderSlot(b []byte) int {
	_, first, _ := decodeSlot(b)
	_, second, _ := decodeSlot(b[slotStride:])
	if first.generation < second.generation {
		return 0
	}
	return slotStride
}
