package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

// TestForwardsOfOneEventID: clients choose event ids, so two visitors may have
// the same one; a forwarder that was killed reports an event once more. The
// second is the same row, the first is not, after a withdrawal of both too.
func TestForwardsOfOneEventID(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	spoolID, chain := uuid.New(), consent.NewChain(consent.Head{ChainID: uuid.New()})
	type visitor struct{ consent, receipt uuid.UUID }
	visitors := []visitor{{uuid.New(), uuid.New()}, {uuid.New(), uuid.New()}}
	forward := func(v visitor, eventSeq uint64, state collector.ForwardState) spool.Record {
		return spool.Record{Kind: spool.KindForward, Data: r.encode(collector.Forward{
			Site: "example.com", EventID: "chosen", EventSeq: eventSeq, ReceiptID: v.receipt,
			Destination: "google-analytics", State: state, Time: now,
		})}
	}
	deliver(t, s, batch(spoolID, 1,
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(visitors[0].consent, visitors[0].receipt, chain)},
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(visitors[1].consent, visitors[1].receipt, chain)},
		forward(visitors[0], 11, collector.Dead),
		forward(visitors[1], 12, collector.Cancelled),
		forward(visitors[0], 11, collector.Acknowledged),
	))
	states := func() []string {
		return value[[]string](t, s, "SELECT arraySort(groupArray(state)) FROM forwards FINAL")
	}
	want := []string{"acknowledged", "cancelled"}
	if got := states(); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var withdrawals []spool.Record
	for _, v := range visitors {
		withdrawals = append(withdrawals, spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{
			Site: "example.com", ConsentID: v.consent, Time: now, Events: consent.Anonymise,
		})})
	}
	takeBack(t, s, batch(spoolID, 20, withdrawals...))
	if got := states(); !cmp.Equal(got, want) {
		t.Errorf("after both withdrew: got %v, want %v", got, want)
	}
	if got := value[uint64](t, s, "SELECT count() FROM forwards WHERE receipt_id != toUUID('00000000-0000-0000-0000-000000000000')"); got != 0 {
		t.Errorf("forwards that still name a receipt: got %d, want 0", got)
	}
}

// TestForwardsChain reads a chain back and verifies it: as it was written, with
// one outcome cut off by a withdrawal, with one erased, and edited by hand.
func TestForwardsChain(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	spoolID, receipts := uuid.New(), consent.NewChain(consent.Head{ChainID: uuid.New()})
	chain := collector.NewForwardChain(consent.Head{ChainID: uuid.New()})
	var records []spool.Record
	var consents []uuid.UUID
	for i := range 5 {
		consentID, receiptID := uuid.New(), uuid.New()
		consents = append(consents, consentID)
		f := collector.Forward{
			Site: "example.com", EventID: string(rune('a' + i)), EventSeq: uint64(100 + i), ReceiptID: receiptID, Destination: "google-analytics",
			State: collector.Acknowledged, Attempts: 1, PayloadHash: "feed", Time: now.Add(123456),
		}
		if err := chain.Link(&f); err != nil {
			t.Fatal(err)
		}
		records = append(records, spool.Record{Kind: spool.KindReceipt, Data: r.receipt(consentID, receiptID, receipts)},
			spool.Record{Kind: spool.KindForward, Data: r.encode(f)})
	}
	old := collector.Forward{Site: "example.com", EventID: "old", EventSeq: 1, ReceiptID: uuid.New(), Destination: "google-analytics", State: collector.Dead, Time: now}
	records = append(records, spool.Record{Kind: spool.KindForward, Data: r.encode(old)}) // from before there were chains
	deliver(t, s, batch(spoolID, 1, records...))
	verify := func() (v collector.ForwardVerifier, err error) {
		t.Helper()
		for f, err := range s.Forwards(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Check(f); err != nil {
				return v, err
			}
		}
		return v, nil
	}
	expect := func(what string, rows, gone uint64) {
		t.Helper()
		if v, err := verify(); err != nil || v.Rows != rows || v.Gone != gone {
			t.Errorf("%s: %d rows, %d gone, %v; want %d, %d", what, v.Rows, v.Gone, err, rows, gone)
		}
	}
	expect("as written", 5, 0)
	if got, err := s.ForwardsOf(t.Context(), "c"); err != nil || len(got) != 1 || got[0].N != 3 || got[0].PayloadHash != "feed" {
		t.Errorf("of event c: %+v, %v", got, err)
	}
	takeBack(t, s, batch(spoolID, 30,
		spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{Site: "example.com", ConsentID: consents[1], Time: now, Events: consent.Anonymise})},
		spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{Site: "example.com", ConsentID: consents[3], Time: now, Events: consent.Erase})},
	))
	expect("after a withdrawal and an erasure", 4, 1)
	if got := value[uint64](t, s, "SELECT count() FROM forwards WHERE event_id = 'b' AND salt = ''"); got != 1 {
		t.Error("the salt of an anonymised outcome is still there: its receipt could be found by trying all")
	}
	if err := s.Conn().Exec(t.Context(), "ALTER TABLE forwards UPDATE state = 'cancelled' WHERE event_id = 'c' SETTINGS mutations_sync = 2"); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(); err == nil {
		t.Error("an edit goes unnoticed")
	}
}
