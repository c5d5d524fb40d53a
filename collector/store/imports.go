package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"sluice/collector/store/engine"
)

// Imported is a day's figures for one value of a dimension, as another tool
// counted them: a row of the table imported.
type Imported struct {
	Date             time.Time
	Dimension, Value string

	Visitors, Visits, Pageviews, Events, Bounces, Seconds uint64
}

// Import is a run of `sluice import`, as the table imports has it.
type Import struct {
	ID       uuid.UUID
	Site     string
	Tool     string
	State    string // ImportReading, ImportComplete or ImportRemoved
	Files    []string
	From, To time.Time // first and last day
	Rows     uint64
	Time     time.Time // of the last change of State

	attempt uint64
}

// States of an import. Its rows count once it is complete.
const (
	ImportReading  = "reading"
	ImportComplete = "complete"
	ImportRemoved  = "removed"
)

// OverlapError is an import with days that another one of the site has.
type OverlapError struct {
	Other    Import
	From, To time.Time // the days that both have
}

func (e *OverlapError) Error() string {
	const layout = time.DateOnly
	days := fmt.Sprintf("%s to %s of %s", e.From.Format(layout), e.To.Format(layout), e.Other.Site)
	if e.Other.State == ImportReading {
		return fmt.Sprintf("an import of %s from %s has begun and not ended: wait for it, run it again where it was broken off, take other days with --from and --to, or remove it: sluice import remove %s",
			days, e.Other.Tool, e.Other.ID)
	}
	return fmt.Sprintf("%s are there already, imported from %s: take other days with --from and --to, or remove it first: sluice import remove %s",
		days, e.Other.Tool, e.Other.ID)
}

// OpenForImport opens the database to write imports into it: through the engine
// of a server that runs, else with an own one, and then it brings the tables up
// to date. The caller closes the store.
func OpenForImport(ctx context.Context, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.URL == Embedded && answers(ctx, engine.SocketPath(engineDir(o.DataDir))) {
		return OpenForReading(ctx, o)
	}
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	if err := s.Prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

type importRow struct {
	Site  string    `ch:"site"`
	Tool  string    `ch:"tool"`
	State string    `ch:"state"`
	Files []string  `ch:"files"`
	First time.Time `ch:"first"`
	Last  time.Time `ch:"last"`
	Rows  uint64    `ch:"row_count"`
	Time  time.Time `ch:"ts"`
	origin
}

// Imports lists the imports of a site, or of all for "", the removed ones too,
// the newest first.
func (s *Store) Imports(ctx context.Context, site string) ([]Import, error) {
	var rows []importRow
	err := s.conn.Select(ctx, &rows, `SELECT site, tool, state, files, first, last, row_count, ts, keep_until, spool_id, seq
		FROM imports FINAL WHERE {site:String} = '' OR site = {site:String} ORDER BY ts DESC, spool_id`, clickhouse.Named("site", site))
	if err != nil {
		return nil, fmt.Errorf("list imports: %w", err)
	}
	out := make([]Import, len(rows))
	for i, r := range rows {
		out[i] = Import{ID: r.SpoolID, Site: r.Site, Tool: r.Tool, State: r.State, Files: r.Files, From: r.First, To: r.Last, Rows: r.Rows, Time: r.Time, attempt: r.Seq}
	}
	return out, nil
}

func (s *Store) record(ctx context.Context, i Import) error {
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO imports (site, tool, state, files, first, last, row_count, ts, keep_until, spool_id, seq)")
	if err != nil {
		return fmt.Errorf("record import: %w", err)
	}
	row := importRow{
		Site: i.Site, Tool: i.Tool, State: i.State, Files: i.Files, First: i.From, Last: i.To, Rows: i.Rows, Time: i.Time,
		origin: origin{KeepUntil: s.keepImported(i.Site, i.To), SpoolID: i.ID, Seq: i.attempt},
	}
	if err := errors.Join(batch.AppendStruct(&row), batch.Send()); err != nil {
		return fmt.Errorf("record import: %w", err)
	}
	return nil
}

// keepImported is how long figures of a day are kept: they are counts.
func (s *Store) keepImported(site string, day time.Time) time.Time {
	return keepUntil(day, s.o.Retention(site).Counters)
}

// importChunk is how many rows go in at a time, of at most importMonths months:
// ClickHouse refuses a block with more than 100 partitions.
const (
	importChunk  = 50_000
	importMonths = 60
)

// StoreImport writes the rows of an import, in order, that are not there yet and
// not past their retention, and returns how many it added and how many were too
// old. Interrupted, it goes on where it was; complete, it stays as it is,
// whatever the rows. tell, where it is not nil, is told how many rows are done.
// The error is an *OverlapError where another import has some of the days.
func (s *Store) StoreImport(ctx context.Context, i Import, rows []Imported, now time.Time, tell func(done int)) (added, old int, err error) {
	if i, err = s.resume(ctx, i); err != nil {
		return 0, 0, err
	}
	if i.State == ImportComplete {
		for _, r := range rows {
			if !s.keepImported(i.Site, r.Date).After(now) {
				old++
			}
		}
		return 0, old, nil
	}
	if i.State != ImportReading { // a run that was interrupted goes on under its own tokens
		i.State, i.Time, i.attempt = ImportReading, now, i.attempt+1
		if err := s.begin(ctx, i); err != nil {
			return 0, 0, err
		}
	}
	if added, old, err = s.storeRows(ctx, i, rows, now, tell); err != nil {
		return added, old, err
	}
	i.State, i.Rows, i.Time, i.attempt = ImportComplete, uint64(len(rows)-old), now, i.attempt+1
	return added, old, s.record(ctx, i)
}

// resume adds to an import how far it got. The error is an *OverlapError where
// another one has some of its days.
func (s *Store) resume(ctx context.Context, i Import) (Import, error) {
	known, err := s.Imports(ctx, i.Site)
	if err != nil {
		return i, err
	}
	for _, other := range known {
		if other.ID == i.ID {
			if i.attempt = other.attempt; other.State != ImportRemoved {
				i.State = other.State
			}
			continue
		}
		from, to := later(i.From, other.From), earlier(i.To, other.To)
		if other.State != ImportRemoved && !from.After(to) {
			return i, &OverlapError{Other: other, From: from, To: to}
		}
	}
	return i, nil
}

// begin records that an import is being read, and looks again: another one of
// its days may have looked at the same moment, on a machine that shares nothing
// but the database. Each sees what was recorded before, so one gives way at
// least; both may.
func (s *Store) begin(ctx context.Context, i Import) error {
	if err := s.record(ctx, i); err != nil {
		return err
	}
	_, err := s.resume(ctx, i)
	var overlap *OverlapError
	if !errors.As(err, &overlap) {
		return err
	}
	i.State, i.attempt = ImportRemoved, i.attempt+1
	return errors.Join(fmt.Errorf("stored nothing, for another import began at the same moment; see `sluice import list`, and run this one again if neither is there: %w", overlap), s.record(ctx, i))
}

// storeRows inserts what is missing, and looks again: what a token kept out
// goes in under another one.
func (s *Store) storeRows(ctx context.Context, i Import, rows []Imported, now time.Time, tell func(done int)) (added, old int, err error) {
	for pass := range 3 {
		there, err := s.importedRows(ctx, i.ID, len(rows))
		if err != nil {
			return 0, 0, err
		}
		sent := 0
		old = 0
		for at := 0; at < len(rows); {
			end := chunkEnd(rows, at)
			token := fmt.Sprintf("sluice-import-%s-%d-%d-%d", i.ID, i.attempt, pass, at)
			n, past, err := s.storeChunk(ctx, token, i, rows, at, end, there, now)
			if err != nil {
				return 0, 0, err
			}
			sent, old, at = sent+n, old+past, end
			if pass == 0 && tell != nil {
				tell(at)
			}
		}
		if sent == 0 {
			return added, old, nil
		}
		if pass == 0 {
			added = sent
		}
	}
	return 0, 0, fmt.Errorf("rows of import %s are not there after they were inserted", i.ID)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func chunkEnd(rows []Imported, at int) int {
	end := min(at+importChunk, len(rows))
	last := rows[at].Date.AddDate(0, importMonths, 0)
	if n, _ := slices.BinarySearchFunc(rows[at:end], last, func(r Imported, t time.Time) int { return r.Date.Compare(t) }); n < end-at {
		return at + n
	}
	return end
}

// importedRows marks which rows of an import are there, by number.
func (s *Store) importedRows(ctx context.Context, id uuid.UUID, n int) (there []bool, err error) {
	there = make([]bool, n)
	rows, err := s.conn.Query(ctx, "SELECT seq FROM imported WHERE spool_id = {id:UUID}", clickhouse.Named("id", id))
	if err != nil {
		return nil, fmt.Errorf("look for rows of the import: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var seq uint64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("look for rows of the import: %w", err)
		}
		if seq < uint64(n) {
			there[seq] = true
		}
	}
	return there, rows.Err()
}

func (s *Store) storeChunk(ctx context.Context, token string, i Import, rows []Imported, at, end int, there []bool, now time.Time) (added, old int, err error) {
	// The token keeps out what a killed run may still have under way.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplication_token": token, "insert_deduplicate": 1, "async_insert": 0,
	}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO imported (site, date, tool, dimension, value, visitors, visits, pageviews, events, bounces, seconds, keep_until, spool_id, seq)")
	if err != nil {
		return 0, 0, fmt.Errorf("prepare insert: %w", err)
	}
	for seq := at; seq < end; seq++ {
		r := &rows[seq]
		keep := s.keepImported(i.Site, r.Date)
		switch {
		case !keep.After(now):
			old++
			continue
		case there[seq]:
			continue
		}
		added++
		err := batch.Append(i.Site, r.Date, i.Tool, r.Dimension, r.Value, r.Visitors, r.Visits, r.Pageviews, r.Events, r.Bounces, r.Seconds, keep, i.ID, uint64(seq))
		if err != nil {
			return 0, 0, fmt.Errorf("add row %d of the import: %w", seq, err)
		}
	}
	if added == 0 {
		return 0, old, batch.Close()
	}
	if err := batch.Send(); err != nil {
		return 0, 0, fmt.Errorf("insert rows %d–%d of the import: %w", at, end, err)
	}
	return added, old, nil
}

// ImportTotals adds up what is stored of an import for whole days.
func (s *Store) ImportTotals(ctx context.Context, id uuid.UUID) (Imported, error) {
	var t Imported
	err := s.conn.QueryRow(ctx, `SELECT sum(visitors), sum(visits), sum(pageviews), sum(events), sum(bounces), sum(seconds)
		FROM imported WHERE spool_id = {id:UUID} AND dimension = ''`, clickhouse.Named("id", id)).
		Scan(&t.Visitors, &t.Visits, &t.Pageviews, &t.Events, &t.Bounces, &t.Seconds)
	if err != nil {
		return t, fmt.Errorf("add up the import: %w", err)
	}
	return t, nil
}

// ErrNoImport is an import that is not there, or is removed.
var ErrNoImport = errors.New("there is no such import: `sluice import list` shows them")

// RemoveImport deletes the rows of an import. Once it returns they are gone
// from every query.
func (s *Store) RemoveImport(ctx context.Context, id uuid.UUID, now time.Time) (Import, error) {
	known, err := s.Imports(ctx, "")
	if err != nil {
		return Import{}, err
	}
	at := slices.IndexFunc(known, func(i Import) bool { return i.ID == id && i.State != ImportRemoved })
	if at < 0 {
		return Import{}, ErrNoImport
	}
	if err := s.conn.Exec(waiting(ctx), "ALTER TABLE "+s.mutable("imported")+" DELETE WHERE spool_id = "+quoteText(id.String())); err != nil {
		return Import{}, fmt.Errorf("remove the rows of import %s: %w", id, err)
	}
	i := known[at]
	i.State, i.Time, i.attempt = ImportRemoved, now, i.attempt+1
	return i, s.record(ctx, i)
}
