package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/collector/store/engine"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	os.Exit(m.Run())
}

// library finds libchdb, or skips the test by name.
func library(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	path, err := engine.Find(filepath.Join(root, "bin", "sluice"))
	if err != nil {
		if os.Getenv("SLUICE_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// start runs an engine in a directory of the test's own.
func start(t *testing.T, c engine.Config) *engine.Supervisor {
	t.Helper()
	if c.Library == "" {
		c.Library = library(t)
	}
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := engine.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func connect(t *testing.T, dial func(context.Context, string) (net.Conn, error)) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{"localhost:1"}, DialContext: dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func exec(t *testing.T, conn driver.Conn, statement string) {
	t.Helper()
	if err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func scalar[T any](t *testing.T, ctx context.Context, conn driver.Conn, query string, args ...any) T {
	t.Helper()
	var got T
	if err := conn.QueryRow(ctx, query, args...).Scan(&got); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

func code(err error) int32 {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

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

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	conn := connect(t, start(t, engine.Config{Options: engine.Options{MaxMemory: 512 << 20}}).Dial)
	err := conn.Exec(t.Context(), "SELECT length(groupArray(number)) FROM numbers(200000000)")
	if code(err) != 241 {
		t.Fatalf("got %v, want code 241", err)
	}
	if got := scalar[uint8](t, t.Context(), conn, "SELECT 1"); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestKilledChildComesBack(t *testing.T) {
	t.Parallel()
	s := start(t, engine.Config{})
	conn := connect(t, s.Dial)
	exec(t, conn, "CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
	for id := range 20 {
		exec(t, conn, fmt.Sprintf("INSERT INTO t VALUES (%d)", id))
	}
	pid, starts := s.Process()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var got uint64
	waitFor(t, "the next engine", func() bool {
		return conn.QueryRow(t.Context(), "SELECT count() FROM t").Scan(&got) == nil
	})
	t.Logf("back after %s", time.Since(began))
	if got != 20 {
		t.Errorf("rows: got %d, want 20", got)
	}
	if next, again := s.Process(); next == pid || again != starts+1 {
		t.Errorf("got process %d after %d, %d starts after %d", next, pid, again, starts)
	}
}

func TestHangingChildIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t, engine.Config{CheckEvery: 20 * time.Millisecond, CheckDeadline: 500 * time.Millisecond})
	pid, _ := s.Process()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "another process", func() bool { next, _ := s.Process(); return next != pid && next != 0 })
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSecondEngineNamesTheHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, engine.Config{Options: engine.Options{Dir: dir}})
	pid, _ := s.Process()
	lock, err := engine.LockDir(t.Context(), dir, 50*time.Millisecond)
	var locked *engine.LockedError
	if !errors.As(err, &locked) || locked.Holder != fmt.Sprint(pid) {
		t.Fatalf("got %v, %v; want the holder %d named", lock, err, pid)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = engine.LockDir(t.Context(), dir, time.Second); err != nil {
		t.Fatalf("after the engine has left: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}

// TestChildGoesWithItsParent runs the chain test → parent → engine and kills
// the one in the middle.
func TestChildGoesWithItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	parent := engine.Command(os.Args[0], "-test.run=^TestParentHelper$", "-test.v")
	parent.Env = append(os.Environ(), "ENGINE_TEST_DIR="+dir, "ENGINE_TEST_LIBRARY="+library(t))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for line := make([]byte, 4096); pid == 0; {
		n, err := out.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(string(line[:n]), "engine process "); ok {
			if _, err := fmt.Sscan(rest, &pid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	waitFor(t, "the engine to leave", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

func TestParentHelper(t *testing.T) {
	dir := os.Getenv("ENGINE_TEST_DIR")
	if dir == "" {
		t.Skip("the other half of TestChildGoesWithItsParent")
	}
	s := start(t, engine.Config{Options: engine.Options{Dir: dir, Library: os.Getenv("ENGINE_TEST_LIBRARY")}})
	pid, _ := s.Process()
	fmt.Println("engine process", pid)
	<-t.Context().Done()
}

func TestStartSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(broken, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s, err := engine.Start(engine.Config{
		Options: engine.Options{Library: broken, Dir: t.TempDir()},
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("got %v, want the library named", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "engine says") {
		t.Errorf("the child's words are not in the log: %s", log.String())
	}
}

func TestLongSocketPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	s := start(t, engine.Config{Options: engine.Options{Dir: dir}})
	if got := scalar[uint8](t, t.Context(), connect(t, s.Dial), "SELECT 1"); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	socket := engine.SocketPath(dir)
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if len(socket) > 103 || info.Mode().Perm() != 0o600 {
		t.Errorf("got %s with %d bytes and mode %s, want at most 103 and 0600", socket, len(socket), info.Mode())
	}
}
