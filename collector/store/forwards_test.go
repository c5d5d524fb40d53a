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
