package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// Tables are copied by ALTER TABLE … FREEZE: hard links to the parts, made at
// once and without a second copy on the disk, whether or not anybody writes.
// BACKUP … TO File would write everything twice before it can leave the
// machine. They come back as parts that are attached to an empty table.

// ErrNotEmbedded means that the rows are in a ClickHouse server, whose files
// are not ours to copy.
var ErrNotEmbedded = errors.New("the rows are in a ClickHouse server of your own")

// FrozenTable is one table of a [Frozen] database.
type FrozenTable struct {
	Name       string
	Definition string // the CREATE TABLE that makes it
	Parts      string // the folder with a folder for each part; "" where there are none
}

// Frozen is the database as it was at one moment, as far as one table goes:
// tables are frozen one after the other. The caller thaws it.
type Frozen struct {
	Tables []FrozenTable // those with rows of their own first
	folder string
}

// frozenPrefix begins the names of folders of frozen parts. The engine would
// write anything but letters, digits and _ as %2D.
const frozenPrefix = "sluice_backup_"

func shadowDir(dataDir string) string {
	return filepath.Join(engineDir(dataDir), "clickhouse", "shadow")
}

// Freeze holds on to the tables' parts. The files must only be read: the
// tables still use them.
//
// A server that has just been upgraded may be changing its tables. Frozen then,
// an old definition could lie beside a record that says that it is the new one,
// which nobody would ever mend: so it begins again until nothing has changed
// meanwhile.
func (s *Store) Freeze(ctx context.Context) (*Frozen, error) {
	if s.o.URL != Embedded {
		return nil, ErrNotEmbedded
	}
	for range maxFreezes {
		before, err := s.definitions(ctx)
		if err != nil {
			return nil, err
		}
		f, err := s.freeze(ctx, before)
		if err != nil {
			return nil, err
		}
		after, err := s.definitions(ctx)
		if err == nil && slices.EqualFunc(before, after, tableDefinition.same) {
			return f, nil
		}
		if err := errors.Join(err, f.Thaw()); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the tables are being brought up to date: make the backup once the server is ready")
}

// maxFreezes is how often tables are frozen that change meanwhile: more often
// than there are migrations.
const maxFreezes = 30

// tableDefinition is what is to be known of a table before it is frozen.
type tableDefinition struct {
	Name       string    `ch:"name"`
	ID         uuid.UUID `ch:"uuid"`
	Definition string    `ch:"create_table_query"`
	HasParts   bool      `ch:"has_parts"`
	Parts      uint64    `ch:"parts"`
}

func (d tableDefinition) same(e tableDefinition) bool {
	return d.Name == e.Name && d.ID == e.ID && d.Definition == e.Definition
}

func (s *Store) definitions(ctx context.Context) (out []tableDefinition, err error) {
	err = s.conn.Select(ctx, &out, `SELECT name, uuid, create_table_query, toBool(endsWith(engine, 'MergeTree')) AS has_parts, ifNull(active_parts, 0) AS parts
		FROM system.tables WHERE database = currentDatabase() AND NOT is_temporary ORDER BY has_parts DESC, name`)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return out, nil
}

func (s *Store) freeze(ctx context.Context, tables []tableDefinition) (f *Frozen, err error) {
	name := frozenPrefix + strings.ToLower(rand.Text())
	f = &Frozen{folder: filepath.Join(shadowDir(s.o.DataDir), name)}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Thaw())
		}
	}()
	for _, t := range tables {
		frozen := FrozenTable{Name: t.Name, Definition: t.Definition}
		if t.HasParts {
			if err := s.conn.Exec(ctx, "ALTER TABLE "+quoteName(t.Name)+" FREEZE WITH NAME "+quoteText(name)); err != nil {
				return nil, fmt.Errorf("freeze %s: %w", t.Name, err)
			}
			id := t.ID.String()
			parts := filepath.Join(f.folder, "store", id[:3], id)
			switch _, err := os.Stat(parts); {
			case err == nil:
				frozen.Parts = parts
			case !errors.Is(err, os.ErrNotExist) || t.Parts > 0:
				return nil, fmt.Errorf("look for the %d frozen parts of %s: %w", t.Parts, t.Name, err)
			}
		}
		f.Tables = append(f.Tables, frozen)
	}
	return f, nil
}

// Thaw lets go of the parts: until then the disk keeps what merges, expiry and
// erasure have long removed.
func (f *Frozen) Thaw() error {
	if err := os.RemoveAll(f.folder); err != nil {
		return fmt.Errorf("let go of frozen parts: %w", err)
	}
	return nil
}

// ThawAll lets go of what backups left that were killed. The caller makes sure
// that none is being made.
func ThawAll(dataDir string) error {
	folders, err := filepath.Glob(filepath.Join(shadowDir(dataDir), frozenPrefix+"*"))
	if err != nil {
		return err // a malformed pattern: no
	}
	for _, folder := range folders {
		if err := (&Frozen{folder: folder}).Thaw(); err != nil {
			return err
		}
	}
	return nil
}

// Attach makes the tables anew in an empty database and moves their parts into
// it: the folders of FrozenTable.Parts have to be on the file system of the
// data directory, and are empty afterwards. Until Release no merge begins, so
// that nothing expires before it has been counted.
func (s *Store) Attach(ctx context.Context, tables []FrozenTable) error {
	if s.o.URL != Embedded {
		return ErrNotEmbedded
	}
	if err := s.child.Ready(ctx); err != nil {
		return err
	}
	if err := s.createDatabase(ctx); err != nil {
		return err
	}
	for _, t := range tables {
		if err := s.attach(ctx, t); err != nil {
			return fmt.Errorf("put back table %s: %w", t.Name, err)
		}
	}
	return nil
}

// Release lets merges begin again after Attach, and removes from the disk what
// had been deleted when the parts were frozen and was still there.
func (s *Store) Release(ctx context.Context, tables []FrozenTable) error {
	for _, t := range tables {
		if t.Parts == "" {
			continue
		}
		if err := s.conn.Exec(ctx, "SYSTEM START MERGES "+quoteName(t.Name)); err != nil {
			return fmt.Errorf("let table %s go on: %w", t.Name, err)
		}
	}
	return s.applyDeletedMasks(ctx)
}

// definition is what a table of ours is made with, and nothing else: it comes
// out of a file.
var definition = regexp.MustCompile(`^CREATE (TABLE|VIEW|MATERIALIZED VIEW) ` + Database + `\.(\w+)\s`)

func (s *Store) attach(ctx context.Context, t FrozenTable) error {
	if m := definition.FindStringSubmatch(t.Definition); m == nil || m[2] != t.Name {
		return fmt.Errorf("its definition does not create it: %.60q", t.Definition)
	}
	if err := s.conn.Exec(ctx, t.Definition); err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	if t.Parts == "" {
		return nil
	}
	if err := s.conn.Exec(ctx, "SYSTEM STOP MERGES "+quoteName(t.Name)); err != nil {
		return fmt.Errorf("keep it as it was: %w", err)
	}
	var folders []string
	err := s.conn.QueryRow(ctx, "SELECT data_paths FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
		clickhouse.Named("name", t.Name)).Scan(&folders)
	if err != nil || len(folders) != 1 {
		return fmt.Errorf("find its folder among %q: %w", folders, err)
	}
	parts, err := os.ReadDir(t.Parts)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := os.Rename(filepath.Join(t.Parts, part.Name()), filepath.Join(folders[0], "detached", part.Name())); err != nil {
			return fmt.Errorf("move part: %w", err)
		}
		if err := s.conn.Exec(ctx, "ALTER TABLE "+quoteName(t.Name)+" ATTACH PART "+quoteText(part.Name())); err != nil {
			return fmt.Errorf("attach part %s: %w", part.Name(), err)
		}
	}
	return nil
}

// applyDeletedMasks rewrites the parts in which rows are only marked as
// deleted: the mutation that was to do it was not frozen with them.
func (s *Store) applyDeletedMasks(ctx context.Context) error {
	tables, err := texts(ctx, s.conn, `SELECT DISTINCT table FROM system.parts
		WHERE database = currentDatabase() AND active AND has_lightweight_delete`)
	if err != nil {
		return fmt.Errorf("look for deleted rows: %w", err)
	}
	for _, table := range tables {
		if err := s.conn.Exec(waiting(ctx), "ALTER TABLE "+quoteName(table)+" APPLY DELETED MASK"); err != nil {
			return fmt.Errorf("remove deleted rows of %s: %w", table, err)
		}
	}
	return nil
}

// waiting makes mutations return when they are done.
func waiting(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
}

// recordTables are the tables whose rows come out of the spool.
func (s *Store) recordTables(ctx context.Context) ([]string, error) {
	tables, err := texts(ctx, s.conn, `SELECT table FROM system.columns WHERE database = currentDatabase() AND name IN ('spool_id', 'seq')
		AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree'))
		GROUP BY table HAVING count() = 2 ORDER BY table`)
	if err != nil {
		return nil, fmt.Errorf("list the tables of records: %w", err)
	}
	return tables, nil
}

// behind are the rows made from record seq of the spool and later ones.
func behind(spoolID uuid.UUID, seq uint64) string {
	return fmt.Sprintf("(spool_id = '%s' AND seq >= %d)", spoolID, seq)
}

// RowsBefore counts the rows of each table that were made from records before
// seq of the spool, or from other spools.
func (s *Store) RowsBefore(ctx context.Context, spoolID uuid.UUID, seq uint64) (map[string]uint64, error) {
	tables, err := s.recordTables(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]uint64{}
	for _, table := range tables {
		var n uint64
		if err := s.conn.QueryRow(ctx, "SELECT count() FROM "+quoteName(table)+" WHERE NOT "+behind(spoolID, seq)).Scan(&n); err != nil {
			return nil, fmt.Errorf("count rows of %s: %w", table, err)
		}
		out[table] = n
	}
	return out, nil
}

// Trim removes the rows made from record seq of the spool and later ones, so
// that those records can be delivered as if they never had been.
func (s *Store) Trim(ctx context.Context, spoolID uuid.UUID, seq uint64) error {
	tables, err := s.recordTables(ctx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		there, err := s.matches(ctx, quoteName(table), behind(spoolID, seq))
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if err := s.conn.Exec(waiting(ctx), "ALTER TABLE "+quoteName(table)+" DELETE WHERE "+behind(spoolID, seq)); err != nil {
			return fmt.Errorf("trim %s: %w", table, err)
		}
	}
	return nil
}

// LastSeq is the highest seq of the spool that any row was made from, 0 for
// none.
func (s *Store) LastSeq(ctx context.Context, spoolID uuid.UUID) (uint64, error) {
	tables, err := s.recordTables(ctx)
	if err != nil {
		return 0, err
	}
	var last uint64
	for _, table := range tables {
		var n uint64
		err := s.conn.QueryRow(ctx, "SELECT max(seq) FROM "+quoteName(table)+" WHERE spool_id = {spool:UUID}", clickhouse.Named("spool", spoolID)).Scan(&n)
		if err != nil {
			return 0, fmt.Errorf("look for the last record in %s: %w", table, err)
		}
		last = max(last, n)
	}
	return last, nil
}

// LateCut takes back what was collected under one consent, of rows that were
// put back from a time before it was asked for.
type LateCut struct {
	ConsentID uuid.UUID
	Before    uint64    // of the spool that is named with it: records before this one
	At        time.Time // of any other spool: rows up to this moment
	Erase     bool      // else anonymise
}

// TakeBackLate carries out late cuts.
func (s *Store) TakeBackLate(ctx context.Context, spoolID uuid.UUID, late []LateCut) error {
	if len(late) == 0 {
		return nil
	}
	cuts := make([]cut, len(late))
	for i, c := range late {
		cuts[i] = cut{consentID: c.ConsentID, before: c.Before, at: c.At, erase: c.Erase}
	}
	// An earlier run may have ended before it drove out its mutations.
	if err := s.takeBack(ctx, spoolID, cuts, true); err != nil {
		return fmt.Errorf("take back what was withdrawn after the backup: %w", err)
	}
	return nil
}

// SitesOf returns the site of each consent that has a receipt.
func (s *Store) SitesOf(ctx context.Context, consents []uuid.UUID) (map[uuid.UUID]string, error) {
	out := map[uuid.UUID]string{}
	for some := range slices.Chunk(consents, 1000) {
		ids := make([]string, len(some))
		for i, id := range some {
			ids[i] = id.String()
		}
		var rows []struct {
			Consent uuid.UUID `ch:"consent_id"`
			Site    string    `ch:"site"`
		}
		err := s.conn.Select(ctx, &rows, "SELECT DISTINCT consent_id, site FROM receipts WHERE consent_id IN {ids:Array(UUID)}", clickhouse.Named("ids", ids))
		if err != nil {
			return nil, fmt.Errorf("look up the sites of %d consents: %w", len(ids), err)
		}
		for _, r := range rows {
			out[r.Consent] = r.Site
		}
	}
	return out, nil
}

// DeadFiles lists the files of dead letters in a data directory, without those
// of batches from record seq of the spool on: these are delivered again.
func DeadFiles(dataDir string, spoolID uuid.UUID, seq uint64) ([]string, error) {
	names, err := deadLettersOf(dataDir, nil).names(letterExt)
	if err != nil {
		return nil, err
	}
	again := letterFile(spoolID, seq) // names of one spool are in order of seq
	return slices.DeleteFunc(names, func(name string) bool {
		return strings.HasPrefix(name, spoolID.String()) && name >= again
	}), nil
}
