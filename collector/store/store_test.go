package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/engine"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	os.Exit(m.Run())
}

// now is the moment of the tests: rows must not expire under them.
var now = time.Now().UTC().Truncate(time.Millisecond)

// record encodes what the spool would hold.
type record struct {
	t    testing.TB
	site *consent.Policy
}

func newRecord(t testing.TB) record {
	t.Helper()
	site := &consent.Site{Domain: "example.com", TimeZone: time.UTC, ConsentDays: 180}
	notice, err := consent.NewNotice(site, func(consent.Purpose) (string, string) { return "title", "words" })
	if err != nil {
		t.Fatal(err)
	}
	return record{t, consent.NewPolicy(site, notice, nil)}
}

func (r record) token(consentID, receiptID uuid.UUID) consent.Token {
	return consent.Token{
		Consent: consentID, Receipt: receiptID, Notice: r.site.Current.Fingerprint, Purposes: 3,
		Issued: uint32(now.Add(-time.Hour).Unix()),
	}
}

// event is a pageview under the given consent; change may alter it.
func (r record) event(consentID, receiptID uuid.UUID, change func(*collector.Event)) []byte {
	r.t.Helper()
	permit, reason := collector.Gate(r.site, r.token(consentID, receiptID), nil, now)
	if reason != consent.Live {
		r.t.Fatalf("the gate refuses the fixture: %s", reason)
	}
	e := collector.Event{
		ID: uuid.NewString(), Site: "example.com", Name: "pageview", Visitor: "ada", Session: "s1",
		SessionStart: now.Unix() - 60, SessionFirst: true, Hostname: "example.com", Path: "/", Title: "it's \"home\"\n",
		IPHash: "abcdef", ScreenWidth: 1920, ScreenHeight: 1080, Country: "DE",
		Props: []collector.Prop{{Key: "plan", Value: "pro"}, {Key: "n", Value: 9.5}, {Key: "ok", Value: true}},
	}
	if change != nil {
		change(&e)
	}
	return r.admitted(permit, e)
}

// admitted is an event as the spool has it.
func (r record) admitted(permit collector.Permit, e collector.Event) []byte {
	r.t.Helper()
	admitted := permit.Admit(e)
	b, err := admitted.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r record) receipt(consentID, receiptID uuid.UUID, chain *consent.Chain) []byte {
	r.t.Helper()
	body, err := chain.Link(&consent.Receipt{
		ReceiptID: receiptID, ConsentID: consentID, Site: "example.com", Time: now, Expires: now.AddDate(0, 6, 0),
		Notice: "2025-07", Language: "de", Method: consent.AcceptAll, LegalBasis: "consent",
		Purposes: map[consent.Purpose]bool{"analytics": true, "preference": false}, Services: map[string]bool{"statistics": true},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return body
}

type binaryAppender interface {
	AppendBinary([]byte) ([]byte, error)
}

func (r record) encode(v binaryAppender) []byte {
	r.t.Helper()
	b, err := v.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// batch numbers records from first on.
func batch(spoolID uuid.UUID, first uint64, records ...spool.Record) spool.Batch {
	for i := range records {
		records[i].Seq = first + uint64(i)
	}
	return spool.Batch{Spool: spoolID, First: first, Last: first + uint64(len(records)) - 1, Attempt: 1, Records: records}
}

func deliver(t testing.TB, s *store.Store, b spool.Batch) {
	t.Helper()
	if err := s.Deliver(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// value asks for one value.
func value[T any](t testing.TB, s *store.Store, query string, args ...any) T {
	t.Helper()
	var got T
	if err := s.Conn().QueryRow(t.Context(), query, args...).Scan(&got); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

func exec(t testing.TB, s *store.Store, statement string) {
	t.Helper()
	if err := s.Conn().Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	if got := value[string](t, s, "SELECT currentDatabase()"); got != "sluice" {
		t.Errorf("database: got %q, want sluice", got)
	}
	t.Run("columns of the contract", func(t *testing.T) {
		for table, want := range map[string]string{
			"events": "event_id site test ts name visitor session hostname path title referrer source channel utm_source utm_medium " +
				"utm_campaign utm_term utm_content country region city browser browser_version os os_version device language screen " +
				"props revenue currency items engagement_ms ip_hash receipt_id notice",
			"receipts": "chain_id n receipt_id consent_id site ts notice notice_hash language variant method gpc purposes services country prev_hash hash",
			"forwards": "event_id receipt_id destination state reason attempts payload_hash ts",
			"counters": "site hour kind key notice language country n",
		} {
			for _, column := range strings.Fields(want + " keep_until spool_id seq") {
				got := value[uint64](t, s, fmt.Sprintf("SELECT count() FROM system.columns WHERE database = 'sluice' AND table = '%s' AND name = '%s'", table, column))
				if got != 1 {
					t.Errorf("%s.%s is missing", table, column)
				}
			}
		}
	})
	t.Run("every table expires and knows duplicates", func(t *testing.T) {
		for _, table := range []string{"events", "receipts", "forwards", "counters"} {
			got := value[string](t, s, "SELECT create_table_query FROM system.tables WHERE database = 'sluice' AND name = '"+table+"'")
			for _, want := range []string{"TTL keep_until", "non_replicated_deduplication_window = 1000"} {
				if !strings.Contains(got, want) {
					t.Errorf("%s has no %q: %s", table, want, got)
				}
			}
		}
	})
	t.Run("addresses' hashes go after a day", func(t *testing.T) {
		got := value[string](t, s, "SELECT create_table_query FROM system.tables WHERE database = 'sluice' AND name = 'events'")
		if !strings.Contains(got, "TTL toDateTime(ts) + toIntervalHour(24)") {
			t.Error(got)
		}
	})
	t.Run("what is answered for survives a power cut", func(t *testing.T) {
		got := value[uint64](t, s, "SELECT count() FROM system.merge_tree_settings WHERE name IN ('fsync_after_insert', 'fsync_part_directory') AND value = '1'")
		if got != 2 {
			t.Errorf("fsync settings that are on: got %d, want 2", got)
		}
	})
}

func TestDeliverWritesEveryKind(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	spoolID, consentID, receiptID := uuid.New(), uuid.New(), uuid.New()
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	hour := now.Truncate(time.Hour)
	view := consent.NewCount("example.com", consent.CountView, "", now)
	accepted := consent.NewCount("example.com", consent.CountEvent, "accepted", now)
	receipt := r.receipt(consentID, receiptID, chain)
	deliver(t, s, batch(spoolID, 1,
		spool.Record{Kind: spool.KindReceipt, Data: receipt},
		spool.Record{Kind: spool.KindCounter, Data: consent.AppendCounts(nil, []consent.Count{view, accepted})},
		spool.Record{Kind: spool.KindEvent, Data: r.event(consentID, receiptID, func(e *collector.Event) {
			e.ID, e.Revenue, e.Currency = "e1", "9.90", "EUR"
		})},
		spool.Record{Kind: spool.KindCounter, Data: consent.AppendCounts(nil, []consent.Count{accepted, accepted})},
		spool.Record{Kind: spool.KindForward, Data: r.encode(collector.Forward{
			Site: "example.com", EventID: "e1", ReceiptID: receiptID, Destination: "google-analytics",
			State: collector.Acknowledged, Attempts: 2, PayloadHash: "aa", Time: now,
		})},
	))

	type counter struct {
		Hour time.Time `ch:"hour"`
		Kind string    `ch:"kind"`
		Key  string    `ch:"key"`
		N    uint64    `ch:"n"`
		Seq  uint64    `ch:"seq"`
	}
	var counters []counter
	if err := s.Conn().Select(t.Context(), &counters, "SELECT hour, kind, key, n, seq FROM counters ORDER BY kind"); err != nil {
		t.Fatal(err)
	}
	want := []counter{{hour, "event", "accepted", 3, 2}, {hour, "view", "", 1, 2}}
	if diff := cmp.Diff(want, counters); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}

	var text bytes.Buffer
	if err := s.WriteSubject(t.Context(), consentID, &text); err != nil {
		t.Fatal(err)
	}
	var subject struct {
		Receipts []json.RawMessage
		Events   []store.SubjectEvent
		Forwards []store.SubjectForward
	}
	if err := json.Unmarshal(text.Bytes(), &subject); err != nil {
		t.Fatalf("%v: %s", err, text.Bytes())
	}
	alone, err := s.ReceiptsOf(t.Context(), consentID)
	if err != nil {
		t.Fatal(err)
	}
	for _, receipts := range [][]json.RawMessage{subject.Receipts, alone} {
		if len(receipts) != 1 || string(receipts[0]) != string(receipt) {
			t.Errorf("receipts: got %s, want %s", receipts, receipt)
		}
	}
	if len(subject.Events) != 1 || len(subject.Forwards) != 1 {
		t.Fatalf("got %d events and %d forwards, want 1 and 1", len(subject.Events), len(subject.Forwards))
	}
	e := subject.Events[0]
	if e.Revenue.String() != "9.9" || e.Title != "it's \"home\"\n" || !e.Time.Equal(now) || e.Screen != "1920x1080" || e.ReceiptID != receiptID {
		t.Errorf("event: got %+v", e)
	}
	if diff := cmp.Diff(map[string]string{"plan": "pro", "n": "9.5", "ok": "true"}, e.Props); diff != "" {
		t.Errorf("props (-want +got):\n%s", diff)
	}
	var keys []string
	if err := s.Conn().QueryRow(t.Context(), "SELECT mapKeys(props) FROM events").Scan(&keys); err != nil {
		t.Fatal(err)
	}
	if want := []string{"plan", "n", "ok"}; !slices.Equal(keys, want) {
		t.Errorf("props are stored in the order %q, not in that of the event, %q", keys, want)
	}
	if got, want := subject.Forwards[0].State, "acknowledged"; got != want {
		t.Errorf("forward: got %s, want %s", got, want)
	}
	t.Run("read slowly", func(t *testing.T) { slowReaders(t, s, consentID) })
	for _, nobody := range []uuid.UUID{uuid.New(), uuid.Nil} {
		text.Reset()
		if err := s.WriteSubject(t.Context(), nobody, &text); err != nil || text.String() != `{"receipts":[],"events":[],"forwards":[]}` {
			t.Errorf("nothing held: got %s, %v", &text, err)
		}
	}
	sessions, err := s.Sessions(t.Context(), now.Add(-30*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	wantSessions := []store.OpenSession{{Site: "example.com", Visitor: "ada", ID: "s1", Start: now.Add(-time.Minute).Truncate(time.Second), Last: now}}
	if diff := cmp.Diff(wantSessions, sessions); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
}

// slowReaders: of many who do not read what they are sent, two are written to.
func slowReaders(t *testing.T, s *store.Store, consentID uuid.UUID) {
	ctx, stop := context.WithCancel(t.Context())
	held := make(chan struct{}, 20)
	var all sync.WaitGroup
	for range cap(held) {
		all.Go(func() {
			if err := s.WriteSubject(ctx, consentID, unread{ctx, held}); err == nil {
				t.Error("what nobody reads was written")
			}
		})
	}
	<-held
	for range 10 * cap(held) { // time enough for the others
		if err := s.Conn().Exec(t.Context(), "SELECT 1"); err != nil {
			t.Error(err)
		}
	}
	if n := len(held) + 1; n > 2 {
		t.Errorf("%d are written to at once, want no more than 2", n)
	}
	stop()
	all.Wait()
}

// unread tells that something comes, and takes nothing until its context ends.
type unread struct {
	context.Context
	held chan<- struct{}
}

func (u unread) Write([]byte) (int, error) {
	u.held <- struct{}{}
	<-u.Done()
	return 0, u.Err()
}

func TestDeliverWritesOnce(t *testing.T) {
	t.Parallel()
	wholeAndHalved(t, deliverAgain)
}

// deliverAgain delivers batches whose first delivery got to different points.
func deliverAgain(t *testing.T, s *store.Store) {
	r := newRecord(t)
	consentID, receiptID := uuid.New(), uuid.New()
	records := func(n int) []spool.Record {
		var out []spool.Record
		for i := range n {
			out = append(out,
				spool.Record{Kind: spool.KindEvent, Data: r.event(consentID, receiptID, nil)},
				spool.Record{Kind: spool.KindCounter, Data: consent.AppendCounts(nil, []consent.Count{
					consent.NewCount("example.com", consent.CountEvent, "accepted", now),
					consent.NewCount("example.com", consent.CountRefusal, fmt.Sprint("reason ", i%3), now),
				})})
		}
		return out
	}
	count := func(b spool.Batch) [2]uint64 {
		id := "'" + b.Spool.String() + "'"
		return [2]uint64{
			value[uint64](t, s, "SELECT count() FROM events WHERE spool_id = "+id),
			value[uint64](t, s, "SELECT sum(n) FROM counters WHERE spool_id = "+id),
		}
	}
	for name, again := range map[string]func(b spool.Batch){
		"the cursor was not advanced after the insert": func(b spool.Batch) {
			deliver(t, s, b)
			b.Recovered, b.Attempt = true, 2
			deliver(t, s, b)
			b.Attempt = 3
			deliver(t, s, b)
		},
		"the answer was lost": func(b spool.Batch) {
			deliver(t, s, b)
			b.Attempt = 2
			deliver(t, s, b)
		},
		"nothing had arrived": func(b spool.Batch) {
			b.Recovered, b.Attempt = true, 2
			deliver(t, s, b)
		},
		"half had arrived": func(b spool.Batch) {
			half := b
			half.Records = b.Records[:len(b.Records)/2]
			deliver(t, s, half)
			b.Recovered, b.Attempt = true, 2
			// Counters of half a batch are not those of the whole: only events
			// are compared.
			exec(t, s, "ALTER TABLE counters DELETE WHERE spool_id = '"+b.Spool.String()+"' SETTINGS mutations_sync = 2")
			deliver(t, s, b)
		},
		"the token lies": func(b spool.Batch) {
			// Its log says duplicate, but a kill took the rows.
			deliver(t, s, b)
			for _, table := range []string{"events", "counters"} {
				exec(t, s, "ALTER TABLE "+table+" DELETE WHERE spool_id = '"+b.Spool.String()+"' SETTINGS mutations_sync = 2")
			}
			b.Attempt = 2
			deliver(t, s, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := batch(uuid.New(), 1000, records(50)...)
			again(b)
			if got, want := count(b), [2]uint64{50, 100}; got != want {
				t.Errorf("events, counts: got %v, want %v", got, want)
			}
		})
	}
}

func TestReceiptsInChainOrder(t *testing.T) {
	t.Parallel()
	s, r := storetest.Open(t), newRecord(t)
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	const n = 4500 // more than two pages
	var records []spool.Record
	var last uuid.UUID
	for range n {
		last = uuid.New()
		records = append(records, spool.Record{Kind: spool.KindReceipt, Data: r.receipt(uuid.New(), last, chain)})
	}
	deliver(t, s, batch(uuid.New(), 1, records...))
	verifier := consent.Verifier{}
	for stored, err := range s.Receipts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Check([]byte(stored.Body)); err != nil {
			t.Fatal(err)
		}
	}
	if verifier.Head.N != n {
		t.Errorf("receipts verified: got %d, want %d", verifier.Head.N, n)
	}
	got, err := s.Receipt(t.Context(), last)
	if err != nil || got.N != n {
		t.Errorf("the last receipt: got number %d, %v; want %d", got.N, err, n)
	}
	if _, err := s.Receipt(context.WithoutCancel(t.Context()), uuid.New()); err == nil {
		t.Error("a receipt that does not exist: got no error")
	}
}
