package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/collector/store"
	"sluice/collector/store/storetest"
)

func TestRunSQL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := storetest.OpenWith(t, store.Options{DataDir: dir})
	exec(t, s, "CREATE TABLE shop (id UInt64, name String) ENGINE = MergeTree ORDER BY id")
	exec(t, s, `INSERT INTO shop VALUES (1, 'it''s "it"'), (2, 'a,b')`)
	run := func(query, format string) (string, error) {
		var out bytes.Buffer
		err := store.RunSQL(t.Context(), store.Options{DataDir: dir}, query, format, &out)
		return out.String(), err
	}

	for _, c := range []struct{ name, query, format, want string }{
		{"csv has no header line", "SELECT id, name FROM shop ORDER BY id", "csv", "1,\"it's \"\"it\"\"\"\n2,\"a,b\"\n"},
		{"json", "SELECT name FROM shop WHERE id = 2", "json", `"name": "a,b"`},
		{"table", "SELECT id FROM shop ORDER BY id", "table", "│"},
		{"with", "WITH 2 AS x SELECT x + 1", "csv", "3\n"},
		{"a semicolon at the end", "SELECT 1;", "csv", "1\n"},
		{"a comment in front", "-- how many\nSELECT count() FROM shop", "csv", "2\n"},
		{"union", "SELECT 2 UNION DISTINCT SELECT 2", "csv", "2\n"},
		{"from first", "FROM shop SELECT max(id)", "csv", "2\n"},
		{"show tables", "SHOW TABLES LIKE 'sho%'", "csv", "\"shop\"\n"},
		{"show create", "SHOW CREATE TABLE shop", "csv", "MergeTree"},
		{"describe", "DESCRIBE TABLE shop", "csv", "\"id\",\"UInt64\""},
		{"explain", "EXPLAIN SELECT 1", "csv", "ReadFromSystemOne"},
		{"system tables", "SELECT count() > 0 FROM system.tables", "csv", "1\n"},
		{"numbers", "SELECT sum(number) FROM numbers(10)", "csv", "45\n"},
		{"merge", "SELECT count() FROM merge('sluice', '^shop$')", "csv", "2\n"},
		{"subquery", "SELECT id FROM shop WHERE id IN (SELECT number FROM numbers(2))", "csv", "1\n"},
		{"no word of the text decides", "SELECT 'INSERT INTO x; DROP TABLE file(' AS \"into outfile\"", "csv", "\"INSERT INTO x; DROP TABLE file(\"\n"},
		{"the scalar function format", "SELECT format('{}-{}', 'a', 'b')", "csv", "\"a-b\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := run(c.query, c.format)
			if err != nil || !strings.Contains(got, c.want) || c.format == "csv" && strings.HasSuffix(c.want, "\n") && got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			if c.format == "json" && !json.Valid([]byte(got)) {
				t.Errorf("not JSON: %s", got)
			}
		})
	}

	file := filepath.Join(t.TempDir(), "out.csv")
	for _, c := range []struct{ name, query string }{
		{"insert", "INSERT INTO shop VALUES (3, 'x')"},
		{"insert select", "INSERT INTO shop SELECT 3, 'x'"},
		{"drop", "DROP TABLE shop"},
		{"alter", "ALTER TABLE shop DELETE WHERE 1"},
		{"truncate", "TRUNCATE TABLE shop"},
		{"create", "CREATE TABLE x (a Int8) ENGINE = Memory"},
		{"temporary table", "CREATE TEMPORARY TABLE x (a Int8)"},
		{"set", "SET readonly = 0"},
		{"use", "USE system"},
		{"system", "SYSTEM STOP MERGES"},
		{"kill", "KILL QUERY WHERE 1"},
		{"optimize", "OPTIMIZE TABLE shop"},
		{"exists", "EXISTS TABLE shop"},
		{"check", "CHECK TABLE shop"},
		{"grant", "GRANT ALL ON *.* TO default"},
		{"backup", "BACKUP DATABASE sluice TO File('/tmp/x')"},
		{"attach", "ATTACH TABLE x FROM '/tmp' (a Int8) ENGINE = File(CSV)"},
		{"two statements", "SELECT 1; SELECT 2"},
		{"a second that writes", "SELECT 1; DROP TABLE shop"},
		{"a second that is garbage", "SELECT 1 INTO OUTFILE '" + file + "'; what"},
		{"garbage", "SELEC 1"},
		{"nothing", "  "},
		{"outfile", "SELECT 1 INTO OUTFILE '" + file + "'"},
		{"outfile under explain", "EXPLAIN SELECT 1 INTO OUTFILE '" + file + "'"},
		{"format", "SELECT 1 FORMAT JSON"},
		{"file()", "SELECT * FROM file('/etc/hostname', 'LineAsString')"},
		{"file() by another case", "SELECT * FROM FILE('/etc/hostname', 'LineAsString')"},
		{"file() the scalar", "SELECT file('/etc/hostname')"},
		{"file() under with", "WITH a AS (SELECT file('/etc/hostname') AS f) SELECT f FROM a"},
		{"file() in a subquery", "SELECT id FROM shop WHERE id IN (SELECT length(file('/etc/hostname')))"},
		{"file() described", "DESCRIBE TABLE file('/etc/hostname', 'LineAsString')"},
		{"file() explained", "EXPLAIN SELECT * FROM file('/etc/hostname', 'LineAsString')"},
		{"file() in a view", "SELECT * FROM view(SELECT file('/etc/hostname'))"},
		{"a file as a table", "SELECT * FROM default.`/etc/hostname`"},
		{"a file as a table in another guise", "SELECT * FROM `default`.\"/etc/hostname\""},
		{"url()", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')"},
		{"url() after IN", "SELECT 1 WHERE 'a' IN url('http://127.0.0.1:1/', 'LineAsString')"},
		{"s3()", "SELECT * FROM s3('http://127.0.0.1:1/a/b.csv')"},
		{"remote()", "SELECT * FROM remote('127.0.0.1:9', 'system.one')"},
		{"cluster()", "SELECT * FROM cluster('default', 'system.one')"},
		{"mysql()", "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')"},
		{"postgresql()", "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')"},
		{"jdbc()", "SELECT * FROM jdbc('x', 'y', 'z')"},
		{"odbc()", "SELECT * FROM odbc('DSN=x', 'y', 'z')"},
		{"hdfs()", "SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'TSV', 'a String')"},
		{"azureBlobStorage()", "SELECT * FROM azureBlobStorage('x', 'y', 'z')"},
		{"executable()", "SELECT * FROM executable('ls', 'TSV', 'a String')"},
		{"input()", "SELECT * FROM input('a String')"},
		{"dictionary()", "SELECT * FROM dictionary('x')"},
		{"dictGet()", "SELECT dictGet('a', 'b', 1)"},
		{"eval()", "SELECT * FROM eval('SELECT 1')"},
		{"filesystem()", "SELECT * FROM filesystem('/etc')"},
		{"sqlite()", "SELECT * FROM sqlite('/tmp/x.db', 't')"},
		{"an unknown table function", "SELECT * FROM whatever(1)"},
	} {
		t.Run("refused: "+c.name, func(t *testing.T) {
			got, err := run(c.query, "csv")
			if err == nil || got != "" {
				t.Errorf("got %q, %v; want an error", got, err)
			}
			t.Log(err)
		})
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: got %v, want that it does not exist", file, err)
	}
	if got := value[uint64](t, s, "SELECT count() FROM shop"); got != 2 {
		t.Errorf("rows: got %d, want 2", got)
	}
	t.Run("limits", func(t *testing.T) {
		for _, query := range []string{"SELECT number FROM numbers(2000000)", "SELECT repeat('x', 1000) FROM numbers(500000)", "SELECT length(groupArray(number)) FROM numbers(500000000)"} {
			if got, err := run(query, "csv"); err == nil || got != "" {
				t.Errorf("%s: got %d bytes, %v; want an error", query, len(got), err)
			}
		}
	})
	t.Run("an unknown format", func(t *testing.T) {
		if _, err := run("SELECT 1", "xml"); err == nil {
			t.Error("got no error")
		}
	})
}

func TestRunSQLWithoutAServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := store.Options{DataDir: dir, Library: storetest.Library(t)}
	var out bytes.Buffer
	if err := store.RunSQL(t.Context(), o, "SELECT 1", "csv", &out); err == nil || !strings.Contains(err.Error(), "no data yet") {
		t.Errorf("an empty directory: got %v", err)
	}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Prepare(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := store.RunSQL(t.Context(), o, "SELECT count() >= 4 FROM migrations", "csv", &out); err != nil || out.String() != "1\n" {
		t.Errorf("got %q, %v; want 1", out.String(), err)
	}
}
