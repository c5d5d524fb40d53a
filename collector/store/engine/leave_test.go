package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"sluice/collector/store/engine"
)

// child runs the engine as its supervisor would. leave ends it that way and
// returns how it ended, and after how long.
func child(t *testing.T, dir string) (leave func() (time.Duration, error)) {
	t.Helper()
	cmd := engine.Command(os.Args[0], "engine", "--library="+library(t), "--dir="+dir)
	cmd.Env = append(os.Environ(), engine.ChildVariable+"=1")
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(stdout, line); err != nil {
		t.Fatalf("the engine did not get ready: %v, %v", err, cmd.Wait())
	}
	return func() (time.Duration, error) {
		began := time.Now()
		err := errors.Join(stdin.Close(), cmd.Wait())
		return time.Since(began), err
	}
}

// TestLeavesInOrder: told to leave, the engine ends with status 0, before its
// supervisor would kill it, and the next one finds what was inserted, also where it leaves in the middle
// of rewriting a table for somebody who has gone.
func TestLeavesInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const rows = 100_000
	for name, during := range map[string]func(t *testing.T, statement func(context.Context, string) error){
		"at rest": func(*testing.T, func(context.Context, string) error) {},
		"in the middle of a mutation": func(t *testing.T, statement func(context.Context, string) error) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- statement(ctx, `ALTER TABLE t UPDATE v = v + sleepEachRow(0.0003) WHERE 1
					SETTINGS mutations_sync = 2, allow_nondeterministic_mutations = 1`)
			}()
			waitFor(t, "the mutation", func() bool {
				return statement(t.Context(), "SELECT throwIf(count() = 0) FROM system.merges WHERE is_mutation") == nil
			})
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the mutation ended with %v, want it cancelled", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			leave := child(t, dir)
			conn := connect(t, engine.DialFunc(engine.SocketPath(dir)))
			exec(t, conn, "CREATE TABLE IF NOT EXISTS t (id UInt64, v UInt64) ENGINE = MergeTree ORDER BY id")
			exec(t, conn, "TRUNCATE TABLE t")
			exec(t, conn, "INSERT INTO t SELECT number, 0 FROM numbers("+fmt.Sprint(rows)+")")
			during(t, func(ctx context.Context, s string) error { return conn.Exec(ctx, s) })
			if took, err := leave(); err != nil || took > engine.LeaveDeadline {
				t.Errorf("left with %v after %s, want status 0 within %s", err, took, engine.LeaveDeadline)
			}
			leave = child(t, dir)
			if got := scalar[uint64](t, t.Context(), connect(t, engine.DialFunc(engine.SocketPath(dir))), "SELECT count() FROM t"); got != rows {
				t.Errorf("rows: got %d, want %d", got, rows)
			}
			if _, err := leave(); err != nil {
				t.Error(err)
			}
		})
	}
}
