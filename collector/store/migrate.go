package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed schema/*.sql
var schema embed.FS

// migration is one numbered file with one statement. Once released it is never
// changed: the next change is a new file.
type migration struct {
	number    uint32
	name      string // 0001_events.sql
	statement string
	sum       string // SHA-256 of the file, hex
}

// MigrationError says why the tables cannot be brought up to date, and what
// to do.
type MigrationError struct {
	Name    string
	Problem string
}

func (e *MigrationError) Error() string { return "migration " + e.Name + " " + e.Problem }

// readMigrations reads the numbered files of a folder; numbers count from 1
// without a gap.
func readMigrations(files fs.FS, folder string) ([]migration, error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var out []migration
	for _, entry := range entries {
		text, err := fs.ReadFile(files, path.Join(folder, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
		digits, _, _ := strings.Cut(entry.Name(), "_")
		number, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || int(number) != len(out)+1 {
			return nil, &MigrationError{entry.Name(), fmt.Sprintf("should have number %04d", len(out)+1)}
		}
		sum := sha256.Sum256(text)
		out = append(out, migration{uint32(number), entry.Name(), string(text), hex.EncodeToString(sum[:])})
	}
	return out, nil
}

// migrationsTable remembers what was applied. A statement that was applied but
// not recorded, because the process died in between, is applied again: every
// one of them has to bear that.
const migrationsTable = `CREATE TABLE IF NOT EXISTS migrations
(
    number  UInt32,
    name    String,
    sha256  String,
    applied DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY number`

type appliedMigration struct {
	Number  uint32    `ch:"number"`
	Name    string    `ch:"name"`
	Sum     string    `ch:"sha256"`
	Applied time.Time `ch:"applied"`
}

func (s *Store) migrate(ctx context.Context) error {
	known, err := readMigrations(schema, "schema")
	if err != nil {
		return err
	}
	return s.apply(ctx, known)
}

// apply runs what is missing of known, in order.
func (s *Store) apply(ctx context.Context, known []migration) error {
	if err := s.define(ctx, migrationsTable); err != nil {
		return fmt.Errorf("create table migrations: %w", err)
	}
	var done []appliedMigration
	if err := s.conn.Select(ctx, &done, "SELECT number, name, sha256, applied FROM migrations ORDER BY number, applied"); err != nil {
		return fmt.Errorf("read applied migrations: %w", err)
	}
	applied := map[uint32]bool{}
	for _, d := range done {
		if err := checkApplied(d, known); err != nil {
			return err
		}
		applied[d.Number] = true
	}
	asked := false
	for _, m := range known {
		if applied[m.number] {
			continue
		}
		if len(applied) > 0 && !asked && s.o.BeforeMigration != nil {
			if err := s.o.BeforeMigration(ctx, s, m.name); err != nil {
				return fmt.Errorf("prepare for migration %s: %w", m.name, err)
			}
			asked = true
		}
		if err := s.define(ctx, m.statement); err != nil {
			return fmt.Errorf("apply migration %s: %w", m.name, err)
		}
		err := s.conn.Exec(ctx, "INSERT INTO migrations (number, name, sha256, applied) VALUES ("+
			strconv.Itoa(int(m.number))+", "+quoteText(m.name)+", "+quoteText(m.sum)+", now64(3))")
		if err != nil {
			return fmt.Errorf("record migration %s: %w", m.name, err)
		}
		s.log.InfoContext(ctx, "migration applied", "migration", m.name)
	}
	return nil
}

func checkApplied(d appliedMigration, known []migration) error {
	if d.Number == 0 || int(d.Number) > len(known) {
		return &MigrationError{d.Name, "was applied by a newer Sluice, which this one cannot follow: " +
			"start that version again, or restore a backup made before the upgrade"}
	}
	if m := known[d.Number-1]; m.sum != d.Sum {
		return &MigrationError{m.name, fmt.Sprintf("is not the one that was applied on %s (SHA-256 %.12s…, here %.12s…): "+
			"it was edited after its release; start an unchanged build of Sluice", d.Applied.UTC().Format(time.DateOnly), d.Sum, m.sum)}
	}
	return nil
}

// define runs a CREATE TABLE, in the cluster's shape where there is one.
func (s *Store) define(ctx context.Context, statement string) error {
	statements := []string{statement}
	if s.o.Cluster != "" {
		var err error
		if statements, err = clustered(statement, s.database, s.o.Cluster); err != nil {
			return err
		}
	}
	for _, statement := range statements {
		if err := s.conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

var textEscaper = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// quoteText writes a constant of ours, or an identifier that was checked, into
// a statement that takes no bound values.
func quoteText(s string) string { return "'" + textEscaper.Replace(s) + "'" }

var nameEscaper = strings.NewReplacer(`\`, `\\`, "`", "\\`")

func quoteName(s string) string { return "`" + nameEscaper.Replace(s) + "`" }
