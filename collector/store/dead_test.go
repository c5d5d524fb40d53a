package store_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// What the engine refuses is simulated: no admitted event can be so bad.
const (
	goodTaste = "ALTER TABLE events ADD CONSTRAINT taste CHECK path != '/bad'"
	noTaste   = "ALTER TABLE events DROP CONSTRAINT taste"
)

// deadSeqs lists the dead letters of a data directory.
func deadSeqs(t *testing.T, dir string) []uint64 {
	t.Helper()
	letters, err := store.DeadLetters(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []uint64
	for _, l := range letters {
		out = append(out, l.Seq)
	}
	return out
}

// replay puts back all dead letters and returns their seqs.
func replay(t *testing.T, s *store.Store) (stored, refused []uint64) {
	t.Helper()
	good, bad, err := s.Replay(t.Context(), func(*store.DeadLetter) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range good {
		stored = append(stored, l.Seq)
	}
	for _, l := range bad {
		refused = append(refused, l.Seq)
	}
	return stored, refused
}

func TestBadRowsDoNotBlockTheQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log bytes.Buffer
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}), newRecord(t)
	exec(t, s, goodTaste)
	consentID, receiptID := uuid.New(), uuid.New()
	var records []spool.Record
	for i := range 40 {
		records = append(records, spool.Record{Kind: spool.KindEvent, Data: r.event(consentID, receiptID, func(e *collector.Event) {
			e.Visitor = "the-visitor's-name"
			if i == 3 || i == 4 || i == 31 {
				e.Path = "/bad"
			}
			if i == 20 {
				e.Revenue = "1e30"
			}
		})})
	}
	records[10].Data = []byte("no event")
	records[11] = spool.Record{Kind: 99, Data: []byte("from a newer version")}
	b := batch(uuid.New(), 100, records...)
	deliver(t, s, b)

	if got := value[uint64](t, s, "SELECT count() FROM events"); got != 34 {
		t.Errorf("events: got %d, want 34", got)
	}
	want := []uint64{103, 104, 110, 111, 120, 131}
	if got := deadSeqs(t, dir); !cmp.Equal(got, want) {
		t.Errorf("dead letters: got %v, want %v", got, want)
	}
	letters, err := store.DeadLetters(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if want := b.Records[l.Seq-100]; !bytes.Equal(l.Data, want.Data) || l.Reason == "" || l.Spool != b.Spool || l.Kind != want.Kind {
			t.Errorf("dead letter %d: got %+v, want its data and a reason", l.Seq, l)
		}
		if strings.Contains(l.Reason, "visitor's") || strings.Contains(l.Reason, "/bad") {
			t.Errorf("the reason says what the record holds: %s", l.Reason)
		}
	}
	if !strings.Contains(letters[0].Reason, "code 469") || !strings.Contains(letters[0].Reason, "taste") {
		t.Errorf("reason: got %q, want the code and the constraint", letters[0].Reason)
	}
	if strings.Contains(log.String(), "visitor's") || !strings.Contains(log.String(), "dead letters") {
		t.Errorf("log: %s", log.String())
	}

	t.Run("after a crash there is no line twice", func(t *testing.T) {
		b.Recovered, b.Attempt = true, 2
		deliver(t, s, b)
		if got := value[uint64](t, s, "SELECT count() FROM events"); got != 34 {
			t.Errorf("events: got %d, want 34", got)
		}
		if got := deadSeqs(t, dir); !cmp.Equal(got, want) {
			t.Errorf("dead letters: got %v, want %v", got, want)
		}
	})
	t.Run("put back while the cause lasts", func(t *testing.T) {
		stored, refused := replay(t, s)
		if len(stored) > 0 || !cmp.Equal(refused, want) || !cmp.Equal(deadSeqs(t, dir), want) {
			t.Errorf("stored %v, refused %v, dead %v; want all refused", stored, refused, deadSeqs(t, dir))
		}
	})
	t.Run("put back", func(t *testing.T) {
		exec(t, s, noTaste)
		stored, refused := replay(t, s)
		if !cmp.Equal(stored, []uint64{103, 104, 131}) || !cmp.Equal(refused, []uint64{110, 111, 120}) {
			t.Errorf("stored %v, refused %v", stored, refused)
		}
		if got := deadSeqs(t, dir); !cmp.Equal(got, refused) {
			t.Errorf("dead letters: got %v, want %v", got, refused)
		}
		if got := value[string](t, s, "SELECT concat(toString(count()), ' ', toString(uniqExact(seq))) FROM events"); got != "37 37" {
			t.Errorf("events and their seqs: got %s, want 37 37", got)
		}
	})
	t.Run("a retry that is not refused any more leaves none", func(t *testing.T) {
		b.Records = b.Records[:10]
		b.Attempt = 3
		deliver(t, s, b)
		if got := deadSeqs(t, dir); len(got) != 0 {
			t.Errorf("dead letters: got %v, want none", got)
		}
	})
}

// TestPutBackOnce: the process may die between the row and the letter's end.
func TestPutBackOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	exec(t, s, goodTaste)
	exec(t, s, "ALTER TABLE counters ADD CONSTRAINT taste CHECK key != 'bad'")
	count := func(keys ...string) spool.Record {
		var counts []consent.Count
		for _, key := range keys {
			counts = append(counts, consent.NewCount("example.com", consent.CountRefusal, key, now))
		}
		return spool.Record{Kind: spool.KindCounter, Data: consent.AppendCounts(nil, counts)}
	}
	deliver(t, s, batch(uuid.New(), 1,
		spool.Record{Kind: spool.KindEvent, Data: r.event(uuid.New(), uuid.New(), func(e *collector.Event) { e.Path = "/bad" })},
		count("good", "bad"), count("bad", "good"), count("bad"),
	))
	files, err := filepath.Glob(filepath.Join(dir, "dead", "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v, %v; want one file", files, err)
	}
	before, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	exec(t, s, noTaste)
	exec(t, s, "ALTER TABLE counters DROP CONSTRAINT taste")
	for range 2 {
		if stored, refused := replay(t, s); !cmp.Equal(stored, []uint64{1, 2}) || len(refused) > 0 {
			t.Errorf("stored %v, refused %v; want 1 and 2 stored", stored, refused)
		}
		if got := value[uint64](t, s, "SELECT count() FROM events"); got != 1 {
			t.Errorf("events: got %d, want 1", got)
		}
		got := value[[]string](t, s, "SELECT arraySort(groupArray(concat(key, ' ', toString(n)))) FROM counters")
		if want := []string{"bad 3", "good 2"}; !cmp.Equal(got, want) {
			t.Errorf("counters: got %v, want %v", got, want)
		}
		if err := os.WriteFile(files[0], before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestErasureReachesDeadLetters, also those that nobody can read.
func TestErasureReachesDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	exec(t, s, goodTaste)
	exec(t, s, "ALTER TABLE receipts ADD CONSTRAINT taste CHECK language != 'xx'")
	bad := func(e *collector.Event) { e.Path = "/bad" }
	withdrawn, erased, other, late := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	first, second, third, fourth := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	newer := append([]byte("of a newer version, about "), erased[:]...)
	spoolID := uuid.New()
	deliver(t, s, batch(spoolID, 1,
		spool.Record{Kind: spool.KindReceipt, Data: r.receipt(erased, second, chain)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(withdrawn, first, bad)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(erased, second, bad)},
		spool.Record{Kind: spool.KindEvent, Data: r.event(other, third, bad)},
		spool.Record{Kind: 99, Data: newer},
		spool.Record{Kind: spool.KindForward, Data: []byte("not JSON, of " + second.String())},
	))
	// A receipt that no table took: what was collected under it is found all
	// the same.
	lateReceipt := bytes.Replace(r.receipt(late, fourth, chain), []byte(`"language":"de"`), []byte(`"language":"xx"`), 1)
	deliver(t, s, batch(spoolID, 10,
		spool.Record{Kind: spool.KindReceipt, Data: lateReceipt},
		spool.Record{Kind: spool.KindEvent, Data: r.event(late, fourth, nil)},
	))
	takeBack(t, s, batch(spoolID, 20,
		spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{
			Site: "example.com", ConsentID: withdrawn, Time: now, Events: consent.Anonymise,
		})},
		spool.Record{Kind: spool.KindTombstone, Data: r.encode(consent.Tombstone{Site: "example.com", ConsentID: erased, Time: now})},
		spool.Record{Kind: spool.KindTombstone, Data: r.encode(consent.Tombstone{Site: "example.com", ConsentID: late, Time: now})},
	))
	if got, want := deadSeqs(t, dir), []uint64{4, 10}; !cmp.Equal(got, want) {
		t.Errorf("dead letters: got %v, want %v: another visitor's event, and the receipt as proof", got, want)
	}
	if got := value[uint64](t, s, "SELECT count() FROM events"); got != 0 {
		t.Errorf("events: got %d, want 0", got)
	}
	// What is collected later, under a new grant, is out of reach.
	deliver(t, s, batch(spoolID, 30, spool.Record{Kind: spool.KindEvent, Data: r.event(erased, uuid.New(), bad)}))
	takeBack(t, s, batch(spoolID, 20, spool.Record{Kind: spool.KindTombstone, Data: r.encode(consent.Tombstone{ConsentID: erased, Time: now})}))
	if got, want := deadSeqs(t, dir), []uint64{4, 10, 30}; !cmp.Equal(got, want) {
		t.Errorf("dead letters: got %v, want %v", got, want)
	}
}

// TestPutBackWithoutClickHouse leaves the letters where they are.
func TestPutBackWithoutClickHouse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	exec(t, s, goodTaste)
	deliver(t, s, batch(uuid.New(), 7, spool.Record{Kind: spool.KindEvent, Data: r.event(uuid.New(), uuid.New(), func(e *collector.Event) { e.Path = "/bad" })}))
	exec(t, s, "RENAME TABLE events TO elsewhere")
	stored, refused, err := s.Replay(t.Context(), func(*store.DeadLetter) bool { return true })
	if err == nil || len(stored)+len(refused) > 0 {
		t.Errorf("got %v, %v, %v; want an error alone", stored, refused, err)
	}
	if got, want := deadSeqs(t, dir), []uint64{7}; !cmp.Equal(got, want) {
		t.Errorf("dead letters: got %v, want %v", got, want)
	}
}

// TestDamagedDeadLetters: rot in one file stops nobody's erasure.
func TestDamagedDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	dead := filepath.Join(dir, "dead")
	if err := os.MkdirAll(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "x.jsonl"), []byte("{\"seq\":1}\n{\"se"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.DeadLetters(dir); err == nil || !strings.Contains(err.Error(), "line 2 of x.jsonl") {
		t.Errorf("got %v, want the place named", err)
	}
	takeBack(t, s, batch(uuid.New(), 1, spool.Record{Kind: spool.KindTombstone, Data: r.encode(consent.Tombstone{ConsentID: uuid.New(), Time: now})}))
	if _, err := os.Stat(filepath.Join(dead, "x.jsonl.damaged")); err != nil {
		t.Error(err)
	}
	if got := deadSeqs(t, dir); len(got) > 0 {
		t.Errorf("dead letters: got %v, want none", got)
	}
}

// TestDeadLettersExpire: what may name a visitor does not stay for ever.
func TestDeadLettersExpire(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	if err := os.MkdirAll(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old": 91 * 24 * time.Hour, "young": 89 * 24 * time.Hour} {
		line := fmt.Sprintf(`{"ts":%q,"seq":%d}`, time.Now().Add(-age).Format(time.RFC3339), len(name))
		if err := os.WriteFile(filepath.Join(dead, name+".jsonl"), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{"old": 8 * 24 * time.Hour, "young": 6 * 24 * time.Hour} {
		path := filepath.Join(dead, name+".jsonl.damaged")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	deliver(t, s, batch(uuid.New(), 1, spool.Record{Kind: spool.KindEvent, Data: r.event(uuid.New(), uuid.New(), nil)}))
	if got, want := deadSeqs(t, dir), []uint64{5}; !cmp.Equal(got, want) {
		t.Errorf("dead letters: got %v, want %v", got, want)
	}
	damaged, err := filepath.Glob(filepath.Join(dead, "*.damaged"))
	if err != nil || len(damaged) != 1 || filepath.Base(damaged[0]) != "young.jsonl.damaged" {
		t.Errorf("damaged files: got %v, %v; want the young one", damaged, err)
	}
}

// TestTroubleIsNoBadRow: a table that is not there is no row's fault.
func TestTroubleIsNoBadRow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	exec(t, s, "RENAME TABLE events TO elsewhere")
	b := batch(uuid.New(), 1, spool.Record{Kind: spool.KindEvent, Data: r.event(uuid.New(), uuid.New(), nil)})
	if err := s.Deliver(t.Context(), b); err == nil || !strings.Contains(err.Error(), fmt.Sprint("records ", 1)) {
		t.Errorf("got %v, want an error that names the records", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dead")); err == nil {
		t.Error("the row went to the dead letters")
	}
	exec(t, s, "RENAME TABLE elsewhere TO events")
	b.Attempt = 2
	deliver(t, s, b)
	if got := value[uint64](t, s, "SELECT count() FROM events"); got != 1 {
		t.Errorf("events: got %d, want 1", got)
	}
}
