package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/store/engine"
)

// open is storetest.Open, which this package cannot import.
func open(t *testing.T) *Store {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	library, err := engine.Find(filepath.Join(root, "bin", "sluice"))
	if err != nil {
		if os.Getenv("SLUICE_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s, err := Open(Options{DataDir: t.TempDir(), Library: library})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMigrationsGoForward(t *testing.T) {
	t.Parallel()
	s := open(t)
	known, err := readMigrations(schema, "schema")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	applied := func() []string {
		t.Helper()
		names, err := texts(ctx, s.conn, "SELECT name FROM migrations ORDER BY number")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	var names []string
	for _, m := range known {
		names = append(names, m.name)
	}
	if diff := cmp.Diff(names, applied()); diff != "" {
		t.Errorf("after the first start (-want +got):\n%s", diff)
	}
	if err := s.apply(ctx, known); err != nil {
		t.Errorf("a second start: %v", err)
	}
	if diff := cmp.Diff(names, applied()); diff != "" {
		t.Errorf("after the second start (-want +got):\n%s", diff)
	}

	next := append(known[:len(known):len(known)], migration{
		number: uint32(len(known) + 1), name: "0099_next.sql", statement: "ALTER TABLE events ADD COLUMN IF NOT EXISTS mood String", sum: "aa",
	})
	if err := s.apply(ctx, next); err != nil {
		t.Errorf("a new migration: %v", err)
	}
	for _, c := range []struct {
		name  string
		known []migration
		want  string
	}{
		{"an older Sluice", known, "applied by a newer Sluice"},
		{"an edited migration", append(next[:len(known):len(known)], migration{number: uint32(len(known) + 1), name: "0099_next.sql", sum: "bb"}), "edited after its release"},
	} {
		var e *MigrationError
		if err := s.apply(ctx, c.known); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestFreezeWhileMigrating makes backups of tables while they are changed: what
// is recorded as applied is in the definitions, or no restore would ever make up
// for it.
func TestFreezeWhileMigrating(t *testing.T) {
	t.Parallel()
	s := open(t)
	known, err := readMigrations(schema, "schema")
	if err != nil {
		t.Fatal(err)
	}
	next := known[:len(known):len(known)]
	for i := range 12 {
		next = append(next, migration{
			number: uint32(len(next) + 1), name: fmt.Sprintf("0099_next_%02d.sql", i), sum: "aa",
			statement: fmt.Sprintf("ALTER TABLE events ADD COLUMN IF NOT EXISTS next_%02d String", i),
		})
	}
	migrated := make(chan error, 1)
	go func() { migrated <- s.apply(t.Context(), next) }()
	for done := false; !done; {
		select {
		case err := <-migrated:
			if done = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
		f, err := s.Freeze(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		recorded, defined := -len(known), 0
		for _, table := range f.Tables {
			switch table.Name {
			case "events":
				defined = strings.Count(table.Definition, "next_")
			case "migrations":
				counts, err := filepath.Glob(filepath.Join(table.Parts, "*", "count.txt"))
				if err != nil || len(counts) == 0 {
					t.Fatalf("no parts of migrations: %v", err)
				}
				for _, name := range counts {
					text, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					n, err := strconv.Atoi(string(text))
					if err != nil {
						t.Fatal(err)
					}
					recorded += n
				}
			}
		}
		if recorded > defined {
			t.Errorf("%d migrations are recorded, and %d are in the definition", recorded, defined)
		}
		if err := f.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadMigrations(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{
		"a gap":        {"0001_a.sql", "0003_c.sql"},
		"twice":        {"0001_a.sql", "0001_b.sql"},
		"no number":    {"a.sql"},
		"not from one": {"0000_a.sql"},
	} {
		tree := fstest.MapFS{}
		for _, f := range files {
			tree["schema/"+f] = &fstest.MapFile{Data: []byte("SELECT 1")}
		}
		if got, err := readMigrations(tree, "schema"); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

// TestClusterParses proves no more than that: the engine parses the statements
// for a cluster, and they name what they should.
func TestClusterParses(t *testing.T) {
	t.Parallel()
	s := open(t)
	known, err := readMigrations(schema, "schema")
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{migrationsTable}
	for _, m := range known {
		statements = append(statements, m.statement)
	}
	for _, statement := range statements {
		got, err := clustered(statement, "sluice", "main.eu-1")
		if err != nil {
			t.Error(err)
			continue
		}
		if len(got) != 2 {
			t.Fatalf("got %d statements, want 2", len(got))
		}
		first := "Function Replicated"
		if strings.Contains(statement, "\nALTER TABLE ") {
			first = "AlterQuery"
		}
		for i, want := range []string{first, "Function Distributed"} {
			nodes, err := texts(context.Background(), s.conn, "EXPLAIN AST "+got[i])
			if err != nil {
				t.Errorf("%s: %v", got[i], err)
				continue
			}
			ast := strings.Join(nodes, "\n")
			if !strings.Contains(ast, want) || !strings.Contains(got[i], "ON CLUSTER 'main.eu-1'") {
				t.Errorf("want %q and the cluster in:\n%s\n%s", want, got[i], ast)
			}
		}
	}
	c := &Store{o: Options{Cluster: "main.eu-1"}}
	if _, err := texts(t.Context(), s.conn, "EXPLAIN AST ALTER TABLE "+c.mutable("events")+" DELETE WHERE 1"); err != nil {
		t.Error(err)
	}
	for _, odd := range []string{"ALTER TABLE events ADD COLUMN x Int8", "CREATE TABLE x (a Int8) ENGINE = Memory"} {
		if got, err := clustered(odd, "sluice", "c"); err == nil {
			t.Errorf("%s: got %v, want an error", odd, got)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "data directory"},
		{Options{DataDir: "x", Cluster: "main"}, "no cluster"},
		{Options{DataDir: "x", URL: "clickhouse://h", Cluster: "a'b"}, "letters, digits"},
		{Options{DataDir: "x", URL: "mysql://h"}, "clickhouse.url"},
		{Options{DataDir: "x", URL: "not a url"}, "clickhouse.url"},
		{Options{DataDir: "x", URL: "clickhouse://user:secret@:/?dial_timeout=x"}, "clickhouse.url"},
	} {
		s, err := Open(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: got %v, %v; want an error with %q", c.o, s, err, c.want)
		}
	}
	for url, want := range map[string]string{
		"clickhouse://u:p@a:9000,b:9000/": "sluice", "http://h:8123": "sluice", "https://h:8443/other?secure=true": "other",
	} {
		opt, err := driverOptions(url)
		if err != nil || opt.Auth.Database != want {
			t.Errorf("%s: got %+v, %v; want database %s", url, opt, err, want)
		}
	}
}
