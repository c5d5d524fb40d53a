package spool

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Many producers, two consumers of which one refuses now and then, small
// segments: both see every record once and in order, and the disk is given back.
func TestStress(t *testing.T) {
	t.Parallel()
	const producers, each = 32, 100
	dir := t.TempDir()
	settled := 0
	s := mustOpen(t, dir, Options{SegmentBytes: 64 << 10, Settled: func(err error) {
		if err != nil {
			t.Errorf("settled with %v", err)
		}
		settled++
	}})
	var consumers sync.WaitGroup
	for _, name := range []string{"steady", "moody"} {
		ctx, cancel := context.WithCancel(t.Context())
		next, records := uint64(1), 0
		seen := map[uint64]bool{}
		refuse := rand.New(rand.NewPCG(1, 1))
		consumers.Go(func() {
			err := s.Consume(ctx, name, sink(func(_ context.Context, b Batch) error {
				if name == "moody" && refuse.IntN(3) == 0 {
					return errors.New("not now")
				}
				if b.First != next {
					t.Errorf("%s: batch %d..%d, want it to begin at %d", name, b.First, b.Last, next)
				}
				next = b.Last + 1
				for _, r := range b.Records {
					id, ok := unstamp(r.Data)
					if !ok || seen[id] {
						t.Errorf("%s: record %d is wrong or came twice", name, r.Seq)
					}
					seen[id] = true
				}
				if records += len(b.Records); records == producers*each {
					cancel()
				}
				return nil
			}), ConsumerOptions{MaxRecords: 100, MaxWait: time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				if err := s.Append(t.Context(), stamped(uint64(p*each+i), 200)); err != nil {
					t.Errorf("append: %v", err)
				}
				s.Stats()
			}
		})
	}
	wg.Wait()
	consumers.Wait()
	st := s.Stats()
	if st.Next != producers*each+1 || st.Oldest != st.Next || st.Failures != 0 {
		t.Errorf("at the end: %+v", st)
	}
	s.reap()
	mustClose(t, s)
	if settled != int(st.Frames) {
		t.Errorf("settled %d times for %d frames", settled, st.Frames)
	}
	if got := len(segmentFiles(t, dir)); got != 1 {
		t.Errorf("%d segments left, want the newest", got)
	}
}

const victimVar = "SLUICE_SPOOL_VICTIM"

// TestMain turns the test binary into the victim of the kill test when asked.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVar); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim appends from several goroutines and delivers into a file until it is
// killed. On stdout: a line "a STAMP" per acknowledged append and "d FIRST LAST"
// per batch before it is accepted, each written in one piece.
func victim(dir string) error {
	s, err := Open(dir, Options{SegmentBytes: 128 << 10})
	if err != nil {
		return err
	}
	s.Retain("test", 0) // the test reads everything in the end
	go s.Consume(context.Background(), "a", sink(func(_ context.Context, b Batch) error {
		kind := "d"
		if b.Recovered {
			kind = "r"
		}
		_, err := fmt.Printf("%s %d %d\n", kind, b.First, b.Last)
		return err
	}), ConsumerOptions{MaxRecords: 50, MaxWait: time.Millisecond})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for err == nil {
				var stamp [8]byte
				id := uuid.New()
				copy(stamp[1:], id[:]) // 56 random bits: no two alike
				n := binary.BigEndian.Uint64(stamp[:])
				if s.Append(context.Background(), stamped(n, 300)) == nil {
					fmt.Printf("a %d\n", n)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// kill -9 in the middle of work, again and again on the same files.
func TestKill(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acked := map[uint64]bool{}
	delivered := uint64(0) // the last seq of a batch that was announced
	for round := range 8 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), victimVar+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fresh := true
		lines, limit := bufio.NewScanner(out), 200+rand.IntN(600)
		for n := 0; lines.Scan(); n++ {
			if n == limit {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			var kind string
			var first, last uint64
			fields, _ := fmt.Sscanf(lines.Text(), "%s %d %d", &kind, &first, &last)
			switch {
			case kind == "a" && fields == 2:
				acked[first] = true
			case kind == "d" && fields == 3:
				if first != delivered+1 {
					t.Errorf("round %d: batch %d..%d, want it to begin at %d", round, first, last, delivered+1)
				}
				delivered, fresh = last, false
			case kind == "r" && fields == 3:
				// The batch in flight: announced before the kill, or only on disk.
				if !fresh || last != delivered && first != delivered+1 {
					t.Errorf("round %d: batch %d..%d recovered, the last one seen ended at %d", round, first, last, delivered)
				}
				delivered, fresh = last, false
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("round %d: victim ended by itself: %v", round, err)
		}
	}
	s := mustOpen(t, dir, Options{})
	defer mustClose(t, s)
	there := map[uint64]bool{}
	if err := s.Replay(1, func(r Record) error {
		id, ok := unstamp(r.Data)
		if !ok || there[id] {
			return errors.New("record " + strconv.FormatUint(r.Seq, 10) + " is wrong or there twice")
		}
		there[id] = true
		return nil
	}); err != nil {
		t.Error(err)
	}
	for id := range acked {
		if !there[id] {
			t.Errorf("acknowledged record %d is gone", id)
		}
	}
	if st := s.Stats(); len(st.Lost) > 0 || len(st.Damage) > 0 {
		t.Errorf("a kill was taken for rot: %+v", st)
	}
	t.Logf("%d acknowledged, %d there, %d delivered", len(acked), len(there), delivered)
	if len(acked) < 500 {
		t.Errorf("only %d appends were acknowledged", len(acked))
	}
}
