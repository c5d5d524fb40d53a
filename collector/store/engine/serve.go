package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// Options say what the child serves.
type Options struct {
	Library   string // path of libchdb, absolute
	Dir       string // data_dir/engine, absolute; made where it is missing
	Socket    string // "" means SocketPath(Dir)
	MaxMemory int64  // bytes of the whole engine; 0 means DefaultMaxMemory
}

// DefaultMaxMemory is the limit of an engine that is not told one.
const DefaultMaxMemory = 1 << 30

// drain is how long running statements and merges may take once the engine was
// told to leave. Whoever asked is gone or going, so it is short.
const drain = time.Second

// Serve runs the engine until ctx is done: it takes the lock of the directory,
// loads libchdb, and answers ClickHouse's HTTP interface on the socket. ready
// is called once it accepts connections. A process can do this once, and has to
// end when Serve returns: see # Why.
func Serve(ctx context.Context, o Options, ready func()) error {
	if o.Socket == "" {
		o.Socket = SocketPath(o.Dir)
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the engine's directory: %w", err)
	}
	lock, err := lockDir(ctx, o.Dir, lockWait)
	if err != nil {
		return err
	}
	// Nobody lets go of the lock but the end of the process: threads of the
	// engine may run until then.
	defer runtime.KeepAlive(lock)
	lib, err := load(o.Library)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.Dir, configName), []byte(config), 0o600); err != nil {
		return fmt.Errorf("write the engine's configuration: %w", err)
	}
	root, err := lib.open(startArguments(o))
	if err != nil {
		return err
	}
	listener, err := listen(o.Socket, o.Dir)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           newHandler(lib, sessionArguments(o)),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready()
	select {
	case err := <-served:
		return fmt.Errorf("serve the engine's socket: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	left := make(chan error, 1)
	go func() {
		err := server.Shutdown(stop)
		if err == nil {
			root.close()
		}
		left <- err
	}()
	select {
	case err := <-left:
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("close the engine's socket: %w", err)
		}
	case <-stop.Done():
		// A merge ends with the block that it is at, and an ALTER that waits
		// for its mutation not before. Both go on at the next start.
	}
	return nil
}

func listen(socket, dir string) (net.Listener, error) {
	if err := prepareSocket(socket, dir); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen on the engine's socket: %w", err)
	}
	// Until here the directory's mode, 0700, kept everybody else out.
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, fmt.Errorf("close the engine's socket to others: %w", err)
	}
	return listener, nil
}

// configName holds what cannot be said by arguments.
const configName = "config.xml"

// config makes an INSERT survive a power cut once it has been answered, and
// lets the background look for work often enough that what was erased or has
// expired is gone soon: by default it may sleep for ten minutes.
const config = `<!-- Written at every start of the engine; do not edit. -->
<clickhouse>
    <merge_tree>
        <fsync_after_insert>1</fsync_after_insert>
        <fsync_part_directory>1</fsync_part_directory>
    </merge_tree>
    <background_processing_pool_task_sleep_seconds_when_no_work_max>60</background_processing_pool_task_sleep_seconds_when_no_work_max>
</clickhouse>
`

// startArguments configure the engine as a whole; sessions after the first
// leave these as they are. Caches default to gigabytes, made for servers with
// a machine of their own.
func startArguments(o Options) []string {
	cache := strconv.FormatInt(o.MaxMemory/16, 10)
	args := []string{
		"--max_server_memory_usage=" + strconv.FormatInt(o.MaxMemory, 10),
		"--mark_cache_size=" + cache,
		"--primary_index_cache_size=" + cache,
		"--index_mark_cache_size=" + cache,
		"--query_condition_cache_size=" + cache,
		"--uncompressed_cache_size=" + cache,
		"--config-file=" + filepath.Join(o.Dir, configName),
	}
	return append(sessionArguments(o), args...)
}

// sessionArguments start one session with the settings that every statement
// gets unless its request says otherwise.
func sessionArguments(o Options) []string {
	return []string{
		"clickhouse", // argv[0]
		"--path=" + filepath.Join(o.Dir, "clickhouse"),
		// One query may take most of it; the rest is for inserts and merges.
		"--max_memory_usage=" + strconv.FormatInt(o.MaxMemory/4*3, 10),
		// By default a query gets a thread for each GiB that is free: of the
		// memory above that is one, and a dashboard takes twice as long.
		"--max_threads_min_free_memory_per_thread=" + strconv.FormatInt(o.MaxMemory/16, 10),
		// The panels of a dashboard read the same columns one after the other.
		"--use_uncompressed_cache=1",
		// A real server has these; the library, made for local use, differs.
		"--allow_introspection_functions=0",
		"--implicit_select=0",
		// Batches come from the spool; an insert is done when it returns.
		"--async_insert=0",
		// The profiler works by signals, and those of this process are Go's.
		"--query_profiler_real_time_period_ns=0",
		"--query_profiler_cpu_time_period_ns=0",
	}
}
