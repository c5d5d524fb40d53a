package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/collector/store/engine"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	conn := connect(t, start(t, engine.Config{}).Dial)
	ctx := t.Context()

	t.Run("the driver knows the version", func(t *testing.T) {
		v, err := conn.ServerVersion()
		if err != nil || v.Version.Major < 26 || v.Revision != 0 {
			t.Errorf("got %+v, %v", v, err)
		}
	})
	t.Run("bound values arrive as they are", func(t *testing.T) {
		for _, want := range []string{"", "plain", "it's", `a "b" \ c \n`, "two\nlines\ttab\r", "nul\x00", "ключ 🗝", "{x:String}", "' OR 1 --"} {
			if got := scalar[string](t, ctx, conn, "SELECT {x:String}", clickhouse.Named("x", want)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		at := time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC)
		if got := scalar[time.Time](t, ctx, conn, "SELECT {t:DateTime64(3, 'UTC')}", clickhouse.Named("t", at)); !got.Equal(at) {
			t.Errorf("got %s, want %s", got, at)
		}
		if got := scalar[uint64](t, ctx, conn, "SELECT length({a:Array(String)})", clickhouse.Named("a", []string{"x", "y'"})); got != 2 {
			t.Errorf("got %d, want 2", got)
		}
	})
	t.Run("settings last as long as their statement", func(t *testing.T) {
		with := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_threads": 1, "insert_deduplication_token": `it's \ x`}))
		if got := scalar[string](t, with, conn, "SELECT getSetting('insert_deduplication_token')"); got != `it's \ x` {
			t.Errorf("got %q", got)
		}
		if got := scalar[string](t, ctx, conn, "SELECT getSetting('insert_deduplication_token')"); got != "" {
			t.Errorf("got %q, want none", got)
		}
		wrong := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"no_such_setting": 1}))
		if err := conn.Exec(wrong, "SELECT 1"); code(err) != 115 {
			t.Errorf("got %v, want code 115", err)
		}
	})
	t.Run("errors are typed", func(t *testing.T) {
		var e *clickhouse.Exception
		err := conn.Exec(ctx, "SELECT nothing")
		if !errors.As(err, &e) || e.Code != 47 || !strings.Contains(e.Message, "nothing") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an error half way leaves no half answer", func(t *testing.T) {
		rows, err := conn.Query(ctx, "SELECT throwIf(number = 3000000) FROM numbers(4000000)")
		if err == nil {
			t.Errorf("got rows %v, want code 395", rows.Columns())
		} else if code(err) != 395 {
			t.Errorf("got %v, want code 395", err)
		}
	})
	t.Run("one statement at a time", func(t *testing.T) {
		exec(t, conn, "CREATE TABLE one (a Int8) ENGINE = MergeTree ORDER BY a")
		for _, several := range []string{"SELECT 1; DROP TABLE one", "DROP TABLE one; garbage here", "SELECT 1;;DROP TABLE one"} {
			if err := conn.Exec(ctx, several); code(err) != 62 {
				t.Errorf("%s: got %v, want code 62", several, err)
			}
		}
		exec(t, conn, "SELECT * FROM one;")
	})
	t.Run("readonly means reading", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "out.csv")
		readonly := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"readonly": 1}))
		for _, statement := range []string{
			"CREATE TABLE two (a Int8) ENGINE = Memory", "INSERT INTO one VALUES (1)", "SET readonly = 0",
			"SELECT 1 INTO OUTFILE '" + file + "'", "SELECT 1 INTO OUTFILE '" + file + "'; x",
			"SELECT * FROM file('/etc/hostname', 'LineAsString')", "SELECT * FROM default.`/etc/hostname`",
		} {
			if err := conn.Exec(readonly, statement); code(err) != 164 && code(err) != 62 {
				t.Errorf("%s: got %v, want code 164", statement, err)
			}
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want that it does not exist", file, err)
		}
	})
	t.Run("a database of its own", func(t *testing.T) {
		exec(t, conn, "CREATE DATABASE `odd ``name`")
		other, err := clickhouse.Open(&clickhouse.Options{
			Protocol: clickhouse.HTTP, Addr: []string{"localhost:1"}, Auth: clickhouse.Auth{Database: "odd `name"},
			DialContext: engine.DialFunc(socketOf(t, conn)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := scalar[string](t, ctx, other, "SELECT currentDatabase()"); got != "odd `name" {
			t.Errorf("got %q", got)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a statement ends when the one who asked leaves", func(t *testing.T) {
		leaving, leave := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			done <- conn.Exec(leaving, "SELECT sum(sleepEachRow(0.01)) FROM numbers(200) SETTINGS max_block_size = 1")
		}()
		running := "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%system.processes%'"
		waitFor(t, "the statement to run", func() bool { return scalar[uint64](t, ctx, conn, running) == 1 })
		leave()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		began := time.Now()
		waitFor(t, "the statement to end", func() bool { return scalar[uint64](t, ctx, conn, running) == 0 })
		if took := time.Since(began); took > time.Second {
			t.Errorf("ended after %s, want at once", took)
		}
	})
}

func socketOf(t *testing.T, conn driver.Conn) string {
	t.Helper()
	path := scalar[string](t, t.Context(), conn, "SELECT value FROM system.server_settings WHERE name = 'path'")
	return engine.SocketPath(filepath.Dir(strings.TrimSuffix(path, "/")))
}

// waitFor asks again and again, for ten seconds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func TestInsert(t *testing.T) {
	t.Parallel()
	s := start(t, engine.Config{})
	conn := connect(t, s.Dial)
	ctx := t.Context()
	exec(t, conn, `CREATE TABLE t (id UInt64, text String) ENGINE = MergeTree ORDER BY id
		SETTINGS non_replicated_deduplication_window = 100`)
	send := func(token string, ids ...uint64) {
		t.Helper()
		with := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": token}))
		batch, err := conn.PrepareBatch(with, "INSERT INTO t (id, text)")
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if err := batch.Append(id, fmt.Sprint("row ", id)); err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Send(); err != nil {
			t.Fatal(err)
		}
	}
	send("a", 1, 2, 3)
	send("a", 4, 5, 6) // the token says that this is the same insert
	send("b", 4, 5, 6)
	if got := scalar[uint64](t, ctx, conn, "SELECT sum(id) FROM t"); got != 21 {
		t.Errorf("sum of ids: got %d, want 21", got)
	}

	t.Run("a body cut short stores nothing", func(t *testing.T) {
		c, err := s.Dial(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		const request = "POST /?query=INSERT+INTO+t+(id,text)+FORMAT+TSV HTTP/1.1\r\nHost: engine\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n100\tlost\n\r\n"
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 500") {
			t.Errorf("got %.60q, want status 500", answer)
		}
		if got := scalar[uint64](t, ctx, conn, "SELECT count() FROM t WHERE id = 100"); got != 0 {
			t.Errorf("rows of the torn insert: got %d, want 0", got)
		}
	})
}
