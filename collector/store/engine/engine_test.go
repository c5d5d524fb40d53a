package engine_test

import (
	"context"
	"errors"
	"fmt"
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

func TestNextEngineWaitsForTheLastOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, engine.Config{Options: engine.Options{Dir: dir}})
	exec(t, connect(t, first.Dial), "CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
	second, err := engine.Start(engine.Config{Options: engine.Options{Dir: dir, Library: library(t)}})
	if err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := second.Ready(waiting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the first one runs: got %v, want the deadline", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := scalar[uint64](t, t.Context(), connect(t, second.Dial), "SELECT count() FROM t"); got != 0 {
		t.Errorf("got %d, want 0", got)
	}
	if _, starts := second.Process(); starts != 1 {
		t.Errorf("starts of the second: got %d, want 1", starts)
	}
	if err := second.Close(); err != nil {
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
