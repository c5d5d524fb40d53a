package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector/store"
	"sluice/collector/store/storetest"
)

// importOf makes an import of n rows that end yesterday, 50 of each day.
func importOf(n int) (store.Import, []store.Imported) {
	last := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	rows := make([]store.Imported, n)
	for i := range rows {
		rows[i] = store.Imported{Date: last.AddDate(0, 0, -(n-1-i)/200), Dimension: "page", Value: fmt.Sprint("/", i), Visitors: 1, Pageviews: uint64(i)}
		if i%200 == 0 {
			rows[i].Dimension, rows[i].Value = "", ""
		}
	}
	return store.Import{ID: uuid.New(), Site: "example.com", Tool: "umami", From: rows[0].Date, To: last}, rows
}

// TestImportResumed breaks an import off after its first rows; run again it adds
// the rest, and a third time nothing.
func TestImportResumed(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	what, rows := importOf(120_000)
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := s.StoreImport(ctx, what, rows, time.Now(), func(int) { cancel() })
	if err == nil {
		t.Fatal("a broken off import succeeded")
	}
	there := value[uint64](t, s, "SELECT count() FROM imported")
	if there == 0 || there == uint64(len(rows)) {
		t.Fatalf("%d rows are there after the break, want some and not all", there)
	}
	if state := value[string](t, s, "SELECT state FROM imports FINAL"); state != store.ImportReading {
		t.Errorf("the import is %s, want %s", state, store.ImportReading)
	}
	for run, want := range []int{len(rows) - int(there), 0} {
		added, old, err := s.StoreImport(t.Context(), what, rows, time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if added != want || old != 0 {
			t.Errorf("run %d added %d rows and found %d too old, want %d and none", run, added, old, want)
		}
	}
	if n := value[uint64](t, s, "SELECT uniqExact(seq) FROM imported"); n != uint64(len(rows)) {
		t.Errorf("%d rows are there, want %d", n, len(rows))
	}
	if n := value[uint64](t, s, "SELECT count() FROM imported"); n != uint64(len(rows)) {
		t.Errorf("%d rows are there in all, want each once: %d", n, len(rows))
	}
	if state := value[string](t, s, "SELECT state FROM imports FINAL"); state != store.ImportComplete {
		t.Errorf("the import is %s, want %s", state, store.ImportComplete)
	}
}

// TestImportComplete brings a complete import in again, with other rows under the
// same id, as another version might read them: nothing is added to it.
func TestImportComplete(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	what, rows := importOf(400)
	if _, _, err := s.StoreImport(t.Context(), what, rows[:300], time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	added, old, err := s.StoreImport(t.Context(), what, rows, time.Now(), nil)
	if err != nil || added != 0 || old != 0 {
		t.Errorf("added %d rows, found %d too old, %v; want none", added, old, err)
	}
	if n := value[uint64](t, s, "SELECT count() FROM imported"); n != 300 {
		t.Errorf("%d rows are there, want the 300 of the first run", n)
	}
}

// TestImportOverlap refuses days that another import has, and leaves out what is
// past its retention.
func TestImportOverlap(t *testing.T) {
	t.Parallel()
	s := storetest.OpenWith(t, store.Options{Retention: func(string) store.Retention {
		return store.Retention{Counters: store.Period{Days: 2}}
	}})
	what, rows := importOf(1000) // five days
	added, old, err := s.StoreImport(t.Context(), what, rows, time.Now(), nil)
	if err != nil || added+old != len(rows) || old < 400 || added < 200 {
		t.Errorf("added %d, too old %d, %v; want the last days alone", added, old, err)
	}
	what.ID = uuid.New()
	var overlap *store.OverlapError
	if _, _, err := s.StoreImport(t.Context(), what, rows, time.Now(), nil); !errors.As(err, &overlap) {
		t.Errorf("another import of the same days: got %v, want an *OverlapError", err)
	}
	what.Site = "other.example"
	if _, _, err := s.StoreImport(t.Context(), what, rows, time.Now(), nil); err != nil {
		t.Errorf("the same days of another site: %v", err)
	}
}

// TestImportGivesWay has another import of the same days record itself between
// the look of this one and its own record, as from another machine: this one
// leaves them to it, and once the other is gone it goes in.
func TestImportGivesWay(t *testing.T) {
	t.Parallel()
	what, rows := importOf(400)
	var between func()
	s := storetest.OpenWith(t, store.Options{Retention: func(string) store.Retention {
		if record := between; record != nil { // asked how long to keep the record that is being made
			between = nil
			record()
		}
		return store.DefaultRetention
	}})
	other := uuid.New()
	between = func() {
		exec(t, s, fmt.Sprintf("INSERT INTO imports (site, tool, state, first, last, ts, keep_until, spool_id, seq) VALUES ('%s', 'log', '%s', '%s', '%[3]s', now64(), today() + 1000, '%[4]s', 1)",
			what.Site, store.ImportReading, what.To.Format(time.DateOnly), other))
	}
	var overlap *store.OverlapError
	if _, _, err := s.StoreImport(t.Context(), what, rows, time.Now(), nil); !errors.As(err, &overlap) || overlap.Other.ID != other {
		t.Fatalf("got %v, want an *OverlapError that names import %s", err, other)
	}
	if n := value[uint64](t, s, "SELECT count() FROM imported"); n != 0 {
		t.Errorf("%d rows are there of the import that gave way", n)
	}
	if state := value[string](t, s, "SELECT state FROM imports FINAL WHERE spool_id = ?", what.ID); state != store.ImportRemoved {
		t.Errorf("the import that gave way is %s, want %s", state, store.ImportRemoved)
	}
	if _, err := s.RemoveImport(t.Context(), other, time.Now()); err != nil {
		t.Fatal(err)
	}
	if added, _, err := s.StoreImport(t.Context(), what, rows, time.Now(), nil); err != nil || added != len(rows) {
		t.Errorf("once the other was removed: added %d rows, %v; want %d", added, err, len(rows))
	}
}
