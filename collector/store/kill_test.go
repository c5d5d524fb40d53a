package store_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

// TestKillsCostNothing delivers batch after batch, as the spool does, and kills
// the engine in the middle of every other one, each time a little later:
// everything is there once.
func TestKillsCostNothing(t *testing.T) {
	t.Parallel()
	wholeAndHalved(t, killDuringDeliveries)
}

// wholeAndHalved runs a test with batches that go in whole, and with the same
// batches, of 50 rows or more, as two halves.
func wholeAndHalved(t *testing.T, test func(*testing.T, *store.Store)) {
	for name, halve := range map[string]int{"whole": 1000, "halves": 50} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			s.Halve(halve)
			test(t, s)
		})
	}
}

func killDuringDeliveries(t *testing.T, s *store.Store) {
	r := newRecord(t)
	const batches, size = 12, 200
	consentID, receiptID, spoolID := uuid.New(), uuid.New(), uuid.New()
	failures, readBack := 0, 0
	for i := range uint64(batches) {
		var records []spool.Record
		for range size {
			records = append(records,
				spool.Record{Kind: spool.KindEvent, Data: r.event(consentID, receiptID, nil)},
				spool.Record{Kind: spool.KindCounter, Data: consent.AppendCounts(nil, []consent.Count{
					consent.NewCount("example.com", consent.CountEvent, "accepted", now),
				})})
		}
		b := batch(spoolID, 1+i*2*size, records...)
		if i%2 == 1 {
			pid, _ := s.Engine()
			kill := time.AfterFunc(time.Duration(6*i)*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			defer kill.Stop()
		}
		waitFor(t, fmt.Sprint("batch ", i), func() bool {
			err := s.Deliver(t.Context(), b)
			if err != nil {
				b.Attempt++
				failures++
			}
			return err == nil
		})
		if b.Attempt > 1 {
			readBack++
		}
	}
	if readBack < 3 {
		t.Errorf("batches that a kill met: got %d, want more: the kills come at the wrong time", readBack)
	}
	want := fmt.Sprintf("%d %d %d", batches*size, batches*size, batches*size)
	var got string
	waitFor(t, "the engine", func() bool {
		return s.Conn().QueryRow(t.Context(), `SELECT concat(toString(count()), ' ', toString(uniqExact(seq)), ' ',
			toString((SELECT sum(n) FROM counters))) FROM events`).Scan(&got) == nil
	})
	if got != want {
		t.Errorf("events, seqs, counts: got %s, want %s", got, want)
	}
	t.Logf("%d of %d batches met a kill, %d deliveries failed", readBack, batches, failures)
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}
