package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

func takeBack(t testing.TB, s *store.Store, b spool.Batch) {
	t.Helper()
	if err := s.TakeBack(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func TestWithdrawal(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	type visitor struct{ consent, first, second uuid.UUID }
	one, other := visitor{uuid.New(), uuid.New(), uuid.New()}, visitor{uuid.New(), uuid.New(), uuid.New()}
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	spoolID, foreign := uuid.New(), uuid.New()

	// Another server of the same ClickHouse holds an event of the consent, and
	// one that was collected after the withdrawal.
	deliver(t, s, batch(foreign, 500,
		spool.Record{Kind: spool.KindEvent, Data: r.event(one.consent, one.first, func(e *collector.Event) { e.ID = "elsewhere before" })},
	))
	withdrawal := consent.Withdrawal{
		Site: "example.com", ConsentID: one.consent, Time: now.Add(time.Second), Events: consent.Anonymise,
	}
	b := batch(spoolID, 10,
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(one.consent, one.first, chain)},
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(other.consent, other.first, chain)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(one.consent, one.first, func(e *collector.Event) { e.ID = "a" })},
		spool.Record{Kind: spool.KindEvent, Data: r.event(one.consent, one.first, func(e *collector.Event) { e.ID = "b" })},
		spool.Record{Kind: spool.KindEvent, Data: r.event(one.consent, one.first, func(e *collector.Event) { e.ID, e.Session = "c", "s2" })},
		spool.Record{Kind: spool.KindEvent, Data: r.event(other.consent, other.first, func(e *collector.Event) { e.ID = "other" })},
		spool.Record{Kind: spool.KindForward, Data: r.encode(collector.Forward{
			Site: "example.com", EventID: "a", ReceiptID: one.first, Destination: "google-analytics", State: collector.Acknowledged, Time: now,
			PayloadHash: "feed", Sent: "that ada was here",
		})},
		spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(withdrawal)},
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(one.consent, one.second, chain)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(one.consent, one.second, func(e *collector.Event) { e.ID = "granted anew" })},
		// A late one that still names the first receipt is behind the
		// withdrawal: the gate let it pass under a newer decision.
		spool.Record{Kind: spool.KindEvent, Data: r.event(one.consent, one.first, func(e *collector.Event) { e.ID = "late" })},
	)
	deliver(t, s, b)
	takeBack(t, s, b)
	b.Attempt, b.Recovered = 2, true
	deliver(t, s, b) // a second time changes nothing more
	takeBack(t, s, b)

	if got := value[uint64](t, s, "SELECT count() FROM events"); got != 7 {
		t.Errorf("events: got %d, want 7: anonymising deletes none", got)
	}
	const cutOff = "receipt_id = toUUID('00000000-0000-0000-0000-000000000000')"
	if got := value[uint64](t, s, "SELECT count() FROM events WHERE "+cutOff); got != 4 {
		t.Errorf("events cut off: got %d, want 4", got)
	}
	if got := value[uint64](t, s, "SELECT countIf(visitor = 'ada' OR session IN ('s1', 's2') OR ip_hash != '' OR event_id IN ('a', 'b', 'c')) FROM events WHERE "+cutOff); got != 0 {
		t.Errorf("events cut off that still say who it was: got %d, want 0", got)
	}
	if got := value[string](t, s, "SELECT concat(toString(uniq(visitor_id)), ' ', toString(uniq(session_id))) FROM events WHERE "+cutOff); got != "1 2" {
		t.Errorf("visitors and sessions cut off: got %s, want 1 2: they stay countable", got)
	}
	if got := value[bool](t, s, "SELECT min(visitor_id = cityHash64(visitor)) = 1 FROM events"); !got {
		t.Error("visitor_id does not follow visitor")
	}
	if got := value[[]string](t, s, "SELECT arraySort(groupArray(event_id)) FROM events WHERE NOT "+cutOff); !cmp.Equal(got, []string{"granted anew", "late", "other"}) {
		t.Errorf("events left alone: got %v", got)
	}
	if got := value[string](t, s, "SELECT concat(toString(count()), ' ', any(sent), any(payload_hash)) FROM forwards WHERE "+cutOff); got != "1 feed" {
		t.Errorf("forwards cut off, with what was sent: got %q, want one that has a hash alone", got)
	}

	t.Run("erasure", func(t *testing.T) {
		erase := consent.Tombstone{Site: "example.com", ConsentID: one.consent, Time: now.Add(time.Minute)}
		b := batch(spoolID, 100,
			spool.Record{Kind: spool.KindTombstone, Data: r.encode(erase)},
			spool.Record{Kind: spool.KindEvent, Data: r.event(one.consent, one.second, func(e *collector.Event) { e.ID = "after erasure" })},
		)
		deliver(t, s, b)
		takeBack(t, s, b)
		b.Recovered = true
		deliver(t, s, b)
		takeBack(t, s, b)
		got := value[[]string](t, s, "SELECT arraySort(groupArray(event_id)) FROM events WHERE NOT "+cutOff)
		if want := []string{"after erasure", "other"}; !cmp.Equal(got, want) {
			t.Errorf("events: got %v, want %v", got, want)
		}
		if got := value[uint64](t, s, "SELECT count() FROM receipts WHERE consent_id = '"+one.consent.String()+"'"); got != 2 {
			t.Errorf("receipts: got %d, want 2: they stay as proof", got)
		}
	})
}

// TestTakenBackTogether withdraws and erases for several visitors in one batch,
// each at a place and a moment of its own, one of them twice: each loses what
// came before it, and the last word counts.
func TestTakenBackTogether(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	spoolID, chain := uuid.New(), consent.NewChain(consent.Head{ChainID: uuid.New()})
	early, late, twice, erased := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	receipts := map[uuid.UUID]uuid.UUID{early: uuid.New(), late: uuid.New(), twice: uuid.New(), erased: uuid.New()}
	event := func(of uuid.UUID, id string) spool.Record {
		return spool.Record{Kind: spool.KindEvent, Data: r.event(of, receipts[of], func(e *collector.Event) { e.ID, e.Visitor = id, "of "+id })}
	}
	taken := func(of uuid.UUID, at time.Duration) spool.Record {
		return spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{
			Site: "example.com", ConsentID: of, Time: now.Add(at), Events: consent.Anonymise,
		})}
	}
	var records []spool.Record
	for id, receipt := range receipts {
		records = append(records, spool.Record{Kind: spool.KindReceipt, Data: r.receipt(id, receipt, chain)})
	}
	elsewhere := []spool.Record{event(early, "early elsewhere"), event(late, "late elsewhere")}
	records = append(records,
		event(early, "early 1"), event(late, "late 1"), event(twice, "twice 1"), event(erased, "erased 1"),
		taken(early, -time.Second), taken(twice, -time.Second),
		event(early, "early 2"), event(late, "late 2"), event(twice, "twice 2"), event(erased, "erased 2"),
		taken(late, time.Second), taken(twice, time.Second),
		spool.Record{Kind: spool.KindTombstone, Data: r.encode(consent.Tombstone{Site: "example.com", ConsentID: erased, Time: now})},
		event(late, "late 3"), event(erased, "erased 3"), event(twice, "twice 3"),
	)
	deliver(t, s, batch(uuid.New(), 1, elsewhere...))
	b := batch(spoolID, 100, records...)
	deliver(t, s, b)
	takeBack(t, s, b)
	got := value[[]string](t, s, "SELECT arraySort(groupArray(event_id)) FROM events WHERE visitor = concat('of ', event_id)")
	want := []string{"early 2", "early elsewhere", "erased 3", "late 3", "twice 3"}
	if !cmp.Equal(got, want) {
		t.Errorf("events that still have their visitor: got %q, want %q", got, want)
	}
	if got := value[uint64](t, s, "SELECT count() FROM events"); got != 13-2 {
		t.Errorf("%d events, want 11: two are erased", got)
	}
}

// What was anonymised or erased leaves the disk by ClickHouse's background,
// within some 40 s.
func TestTracesLeave(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	withdrawn, erased, staying := uuid.New(), uuid.New(), uuid.New()
	first, second, third := uuid.New(), uuid.New(), uuid.New()
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	b := batch(uuid.New(), 1,
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(withdrawn, first, chain)},
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(erased, second, chain)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(withdrawn, first, nil)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(erased, second, nil)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(staying, third, nil)},
		spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{
			Site: "example.com", ConsentID: withdrawn, Time: now, Events: consent.Anonymise,
		})},
		spool.Record{Kind: spool.KindTombstone, Data: r.encode(consent.Tombstone{Site: "example.com", ConsentID: erased, Time: now})},
	)
	deliver(t, s, b)
	takeBack(t, s, b)
	// Old values lie in parts that were replaced, or are masked in those that
	// were not yet; the key of new ones stands in the mutation's record.
	const traces = `SELECT (SELECT count() FROM system.parts WHERE table = 'events' AND (NOT active OR has_lightweight_delete))
		+ (SELECT count() FROM system.mutations WHERE command LIKE '%sipHash%')`
	if got := value[uint64](t, s, traces); got == 0 {
		t.Fatal("no traces to begin with")
	}
	// The background does what it always does, only every second instead of
	// every 30 to 40. It reads how often when it starts, as the table is attached.
	exec(t, s, "ALTER TABLE events MODIFY SETTING cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 1")
	exec(t, s, "DETACH TABLE events SYNC")
	exec(t, s, "ATTACH TABLE events")
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for value[uint64](t, s, traces) > 0 {
		select {
		case <-deadline:
			t.Fatal("the traces are still there")
		case <-tick.C:
		}
	}
}
