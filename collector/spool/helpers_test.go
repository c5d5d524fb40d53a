package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// text is an entry of fixed bytes; "" declines.
type text string

func (e text) Kind() Kind { return KindEvent }
func (e text) Commit(dst []byte, _ uint64) ([]byte, bool) {
	return append(dst, e...), e != ""
}

// kinded is an entry of another kind.
type kinded struct {
	text
	kind Kind
}

func (e kinded) Kind() Kind { return e.kind }

// sink hands every batch to a function.
type sink func(ctx context.Context, b Batch) error

func (f sink) Deliver(ctx context.Context, b Batch) error { return f(ctx, b) }

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError + 1}))
}

func mustOpen(t testing.TB, dir string, o Options) *Spool {
	t.Helper()
	if o.Logger == nil {
		o.Logger = testLogger(t)
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func mustClose(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func mustAppend(t testing.TB, s *Spool, entries ...Entry) {
	t.Helper()
	if err := s.Append(t.Context(), entries...); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// contents replays a spool into "seq:data" strings.
func contents(t testing.TB, s *Spool, from uint64) []string {
	t.Helper()
	var got []string
	err := s.Replay(from, func(r Record) error {
		got = append(got, fmt.Sprintf("%d:%s", r.Seq, r.Data))
		return nil
	})
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return got
}

// numbered returns from:r<from> … to:r<to>, what appendNumbered leaves behind.
func numbered(from, to int) []string {
	var want []string
	for i := from; i <= to; i++ {
		want = append(want, fmt.Sprintf("%d:r%d", i, i))
	}
	return want
}

// appendNumbered appends r<from> … r<to>, a frame each.
func appendNumbered(t testing.TB, s *Spool, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		mustAppend(t, s, text(fmt.Sprintf("r%d", i)))
	}
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentExt))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// frameOffsets walks the frames of a segment file, footers included.
func frameOffsets(t testing.TB, b []byte) []int {
	t.Helper()
	var offs []int
	for off := segmentHead; off+frameHead <= len(b); {
		f, ok := parseFrame(b[off:])
		if !ok {
			break
		}
		offs = append(offs, off)
		off += int(f.size)
	}
	return offs
}

// crashCopy is what a process killed now would leave to the next.
func crashCopy(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if e.Type().IsRegular() && e.Name() != "lock" && filepath.Ext(e.Name()) != ".tmp" {
			writeFile(t, filepath.Join(to, e.Name()), readFile(t, filepath.Join(dir, e.Name())))
		}
	}
	return to
}

// gathered collects what a consumer delivers until it has n records.
type gathered struct {
	mu      sync.Mutex
	batches []Batch
	records int
	want    int
	done    chan struct{}
}

func gather(n int) *gathered { return &gathered{want: n, done: make(chan struct{})} }

func (g *gathered) Deliver(_ context.Context, b Batch) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batches = append(g.batches, b)
	before := g.records
	g.records += len(b.Records)
	if before < g.want && g.records >= g.want {
		close(g.done)
	}
	return nil
}

func (g *gathered) texts() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var got []string
	for _, b := range g.batches {
		for _, r := range b.Records {
			got = append(got, fmt.Sprintf("%d:%s", r.Seq, r.Data))
		}
	}
	return got
}

// consume runs a consumer until it has n records, then stops it.
func consume(t testing.TB, s *Spool, name string, n int, o ConsumerOptions) *gathered {
	t.Helper()
	if o.MaxWait == 0 {
		o.MaxWait = time.Millisecond
	}
	g := gather(n)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Consume(ctx, name, g, o) }()
	select {
	case <-g.done:
	case err := <-ended:
		t.Fatalf("consumer ended early: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatalf("consumer %s got %d of %d records", name, g.records, n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatalf("consume: %v", err)
	}
	return g
}

// stamped is a record of n bytes whose content proves itself.
func stamped(id uint64, n int) text {
	b := make([]byte, max(n, 8))
	binary.BigEndian.PutUint64(b, id)
	for i := 8; i < len(b); i++ {
		b[i] = byte(id*31 + uint64(i))
	}
	return text(b)
}

func unstamp(b []byte) (uint64, bool) {
	if len(b) < 8 {
		return 0, false
	}
	id := binary.BigEndian.Uint64(b)
	return id, bytes.Equal(b, []byte(stamped(id, len(b))))
}
