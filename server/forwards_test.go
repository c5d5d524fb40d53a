package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/forward"
	"sluice/collector/ga4/standin"
	"sluice/collector/ga4/standin/standintest"
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

// TestCutBehindAWithdrawal: an outcome that is recorded after its visitor
// withdrew, or asked for erasure, says no more than one that was there before and
// was cut: neither what the request said nor under which receipt. Nothing would
// take that away any more. The chain holds.
func TestCutBehindAWithdrawal(t *testing.T) {
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
	sum := sha256.Sum256([]byte("said"))
	hash := hex.EncodeToString(sum[:])
	var in []collector.Forward
	for _, t := range []consent.Token{stays, withdraws, erases, others} {
		in = append(in, collector.Forward{
			EventID: "e", EventSeq: 5, ReceiptID: t.Receipt, Destination: "x", State: collector.Acknowledged, Time: now,
			PayloadHash: hash, Sent: "said", Token: t,
		})
	}
	// The gate knows of the spool that an event waited in; here another one counts.
	late := in[0]
	late.State, late.Reason = collector.Cancelled, forward.Erased
	in = append(in, late)
	if err := (outcomes{s.journal}).Record(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	var got []string
	var v collector.ForwardVerifier
	err = s.journal.spool.Replay(0, func(r spool.Record) error {
		f, err := collector.DecodeForward(r.Data)
		got = append(got, fmt.Sprintf("%s %s %t %t", f.Sent, f.PayloadHash, f.ReceiptID == consent.ID{}, f.Salt == ""))
		return errors.Join(err, v.Check(f))
	})
	want := []string{"said " + hash + " false false", " " + hash + " true true", "  true true", "said " + hash + " false false", "  true true"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("kept: %q, %v, want %q", got, err, want)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

// away is a Google that takes nothing for now.
func (i *installation) away() *standin.Server {
	google := standintest.New(i.t, standin.Options{})
	google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
	web := httptest.NewServer(google)
	i.t.Cleanup(web.Close)
	i.google = web.URL
	return google
}

// TestErasedIsNotForwarded: what waits for a recipient that is away is not sent
// once its visitor has had it erased, and what says so leads nowhere.
func TestErasedIsNotForwarded(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	i := newInstallation(t)
	google := i.away()
	r := i.serve("embedded")
	v := r.agrees(t, "example.com")
	r.mustVisit(t, v, "/erased")
	eventually(t, "the event waits", func() bool {
		n, _ := r.sinks[0].Waiting()
		return n == 1
	})
	r.erase(t, v)
	google.Reset()
	r.mustVisit(t, v, "/later")
	r.acknowledged(t, 1)
	for _, h := range google.Hits() {
		if strings.Contains(string(h.Body), "/erased") {
			t.Errorf("sent after the erasure: %s", h.Body)
		}
	}
	var held strings.Builder
	if err := r.store.WriteSubject(t.Context(), v.consent, &held); err != nil || strings.Contains(held.String(), forward.Erased) {
		t.Errorf("held on the visitor: %s, %v", held.String(), err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	got := i.rows("embedded", "SELECT state, reason, receipt_id = toUUID('00000000-0000-0000-0000-000000000000'), payload_hash != '' FROM forwards FINAL ORDER BY state")
	if want := []string{"acknowledged  0 1", "cancelled erased 1 0"}; !slices.Equal(got, want) {
		t.Errorf("outcomes: %q, want %q", got, want)
	}
}
