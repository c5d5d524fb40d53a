package server

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
)

// TestForwardChainGoesOn links outcomes across restarts, after a clean end and
// after one without a saved index.
func TestForwardChainGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	var v collector.ForwardVerifier
	total := 0
	for run := range 4 {
		s, err := openState(dir, 1<<30, time.Now, log, func(spool.Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if head := *s.journal.forwarded.Load(); head.N != uint64(total) {
			t.Errorf("run %d begins behind number %d, want %d", run, head.N, total)
		}
		for range 3 {
			f := collector.Forward{EventID: uuid.NewString(), ReceiptID: uuid.New(), Destination: "x", State: collector.Dead, Time: time.Now()}
			if err := (outcomes{s.journal}).Record(t.Context(), []collector.Forward{f}); err != nil {
				t.Fatal(err)
			}
			total++
		}
		if run == 3 {
			err = s.journal.spool.Replay(0, func(r spool.Record) error {
				if r.Kind != spool.KindForward {
					return nil
				}
				f, err := collector.DecodeForward(r.Data)
				if err != nil {
					return err
				}
				return v.Check(f)
			})
			// What no consumer waits for has left the spool.
			if err != nil || v.Rows < 3 || v.Rows+v.Gone != uint64(total) {
				t.Errorf("%d outcomes and %d gone in one chain of %d, %v", v.Rows, v.Gone, total, err)
			}
		}
		if run%2 == 0 {
			err = s.close()
		} else {
			err = s.journal.spool.Close() // as a kill leaves it: the index is an earlier one
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
