package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

// entry is a record whose bytes are known.
type entry struct {
	kind spool.Kind
	data []byte
}

func (e entry) Kind() spool.Kind { return e.kind }

func (e entry) Commit(dst []byte, _ uint64) ([]byte, bool) { return append(dst, e.data...), true }

// pipeline runs a spool into the store, with the writer and its taking back.
func pipeline(t *testing.T, s *store.Store, dir string) *spool.Spool {
	t.Helper()
	sp, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() {
		ended <- sp.Consume(ctx, store.WriterName, s, spool.ConsumerOptions{MaxWait: 100 * time.Millisecond})
	}()
	go func() { ended <- s.RunTakeBack(ctx, sp, store.WriterName) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := sp.Close(); err != nil {
			t.Error(err)
		}
	})
	return sp
}

func appendTo(t *testing.T, sp *spool.Spool, entries ...spool.Entry) {
	t.Helper()
	if err := sp.Append(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
}

// TestWithdrawalsDoNotStallTheWriter: while ClickHouse cannot carry out a
// mutation, events go on becoming visible; afterwards all that was withdrawn
// meanwhile is taken back, and nothing else is.
func TestWithdrawalsDoNotStallTheWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	sp := pipeline(t, s, filepath.Join(dir, "spool"))
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	type visitor struct{ consent, receipt uuid.UUID }
	var visitors []visitor
	for i := range 5 {
		v := visitor{uuid.New(), uuid.New()}
		visitors = append(visitors, v)
		appendTo(t, sp,
			entry{spool.KindReceipt, r.receipt(v.consent, v.receipt, chain)},
			entry{spool.KindEvent, r.event(v.consent, v.receipt, func(e *collector.Event) { e.ID = fmt.Sprint("visitor ", i) })})
	}
	withdraw := func(v visitor) {
		appendTo(t, sp, entry{spool.KindWithdrawal, r.encode(consent.Withdrawal{
			Site: "example.com", ConsentID: v.consent, Time: now.Add(time.Second), Events: consent.Anonymise,
		})})
	}
	mutations := func() uint64 {
		return value[uint64](t, s, "SELECT count() FROM system.mutations WHERE table = 'events'")
	}
	migrated := mutations()
	exec(t, s, "SYSTEM STOP MERGES events")
	withdraw(visitors[0]) // in the same batch as the events, for all it knows
	pending := "SELECT count() FROM system.mutations WHERE table = 'events' AND NOT is_done"
	waitFor(t, "the mutation that cannot begin", func() bool { return value[uint64](t, s, pending) == 1 })
	for i := range 3 {
		withdraw(visitors[i+1])
		name := fmt.Sprint("behind ", i)
		began := time.Now()
		appendTo(t, sp, entry{spool.KindEvent, r.event(uuid.New(), uuid.New(), func(e *collector.Event) { e.ID = name })})
		waitFor(t, name, func() bool { return value[uint64](t, s, "SELECT count() FROM events WHERE event_id = '"+name+"'") == 1 })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s became visible after %s, want less than 2 s", name, took)
		}
	}
	waiting := mutations() - migrated
	exec(t, s, "SYSTEM START MERGES events")
	const cutOff = "receipt_id = toUUID('00000000-0000-0000-0000-000000000000')"
	waitFor(t, "four visitors' events to be cut off", func() bool {
		return value[uint64](t, s, "SELECT count() FROM events WHERE "+cutOff) == 4
	})
	if waiting != 1 {
		t.Errorf("mutations while one was waiting: got %d, want 1", waiting)
	}
	if got := value[string](t, s, "SELECT event_id FROM events WHERE event_id LIKE 'visitor %'"); got != "visitor 4" {
		t.Errorf("left alone: got %s, want visitor 4", got)
	}
}

// TestVisitorWithManyReceipts: one visitor may decide as often as he likes, and
// is taken back all the same.
func TestVisitorWithManyReceipts(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	spoolID, consentID := uuid.New(), uuid.New()
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	var records []spool.Record
	for range 6000 { // of 40 bytes: no query could name them all
		receiptID := uuid.New()
		records = append(records,
			spool.Record{Kind: spool.KindReceipt, Data: r.receipt(consentID, receiptID, chain)},
			spool.Record{Kind: spool.KindEvent, Data: r.event(consentID, receiptID, nil)})
	}
	deliver(t, s, batch(spoolID, 1, records...))
	takeBack(t, s, batch(spoolID, 20_000,
		spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{
			Site: "example.com", ConsentID: consentID, Time: now, Events: consent.Anonymise,
		})},
		spool.Record{Kind: spool.KindTombstone, Data: r.encode(consent.Tombstone{Site: "example.com", ConsentID: consentID, Time: now})},
	))
	if got := value[uint64](t, s, "SELECT count() FROM events"); got != 0 {
		t.Errorf("events: got %d, want 0: erasing comes before anonymising", got)
	}
}

// TestUnreadableWithdrawalIsNotPassedOver: it is somebody's right.
func TestUnreadableWithdrawalIsNotPassedOver(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	if err := s.TakeBack(t.Context(), batch(uuid.New(), 1, spool.Record{Kind: spool.KindWithdrawal, Data: []byte("{")})); err == nil {
		t.Error("got no error")
	}
}
