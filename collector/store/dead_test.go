package store_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
)

func TestBadRowsDoNotBlockTheQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, r := storetest.OpenWith(t, store.Options{DataDir: dir}), newRecord(t)
	// What the engine refuses is simulated: no admitted event can be so bad.
	exec(t, s, "ALTER TABLE events ADD CONSTRAINT taste CHECK path != '/bad'")
	consentID, receiptID := uuid.New(), uuid.New()
	var records []spool.Record
	for i := range 40 {
		records = append(records, spool.Record{Kind: spool.KindEvent, Data: r.event(consentID, receiptID, func(e *collector.Event) {
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
	data, err := os.ReadFile(filepath.Join(dir, "dead", "clickhouse.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var l store.DeadLetter
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Seq)
		if want := b.Records[l.Seq-100]; !bytes.Equal(l.Data, want.Data) || l.Reason == "" || l.Spool != b.Spool {
			t.Errorf("dead letter %d: got %+v, want its data and a reason", l.Seq, l)
		}
	}
	slices.Sort(got)
	if want := []uint64{103, 104, 110, 111, 120, 131}; !cmp.Equal(got, want) {
		t.Errorf("dead letters: got %v, want %v", got, want)
	}

	t.Run("after a crash", func(t *testing.T) {
		b.Recovered, b.Attempt = true, 2
		deliver(t, s, b)
		if got := value[uint64](t, s, "SELECT count() FROM events"); got != 34 {
			t.Errorf("events: got %d, want 34", got)
		}
	})
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
