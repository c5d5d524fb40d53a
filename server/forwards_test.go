package server

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
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

// TestSentIsNotKeptBehindAWithdrawal: what a request said that was on the wire
// when its visitor withdrew, or asked for erasure, does not reach the disk,
// where nothing would empty it any more. Its hash does.
func TestSentIsNotKeptBehindAWithdrawal(t *testing.T) {
	t.Parallel()
	s, err := openState(t.TempDir(), 1<<30, time.Now, slog.New(slog.DiscardHandler), func(spool.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token := func() consent.Token {
		return consent.Token{Consent: uuid.New(), Receipt: uuid.New(), Issued: uint32(now.Unix())}
	}
	stays, withdraws, erases, others := token(), token(), token(), token()
	expires := uint32(now.Add(time.Hour).Unix())
	s.journal.index.Apply(withdraws.Consent, &consent.Cut{All: consent.Forever, Expires: expires})
	s.journal.index.Apply(others.Consent, &consent.Cut{Services: map[string]uint32{"chat": expires}, Expires: expires})
	s.journal.index.Bury(erases.Consent, s.journal.spool.ID(), 10, now.Add(time.Hour))
	var in []collector.Forward
	for _, t := range []consent.Token{stays, withdraws, erases, others} {
		in = append(in, collector.Forward{
			EventID: "e", EventSeq: 5, ReceiptID: t.Receipt, Destination: "x", State: collector.Acknowledged, Time: now,
			PayloadHash: "feed", Sent: "said", Token: t,
		})
	}
	if err := (outcomes{s.journal}).Record(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = s.journal.spool.Replay(0, func(r spool.Record) error {
		f, err := collector.DecodeForward(r.Data)
		got = append(got, f.Sent+" "+f.PayloadHash)
		return err
	})
	if want := []string{"said feed", " feed", " feed", "said feed"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("kept: %q, %v, want %q", got, err, want)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}
