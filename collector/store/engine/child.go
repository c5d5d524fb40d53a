package engine

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// childVariable marks a process that [Start] started.
const childVariable = "SLUICE_ENGINE_CHILD"

// niceness is the priority of the engine below the server's (nice(1)): where
// both want a core, the engine gets a third of what the server gets.
const niceness = 5

// readyLine is what the child writes to its standard output once it accepts
// connections.
const readyLine = "ready"

// Main is the command `sluice engine`: it serves until standard input ends, so
// that it goes when its parent does, however the parent goes. (Pdeathsig
// follows the thread that started the child, and Go moves threads.) It leaves
// interrupts to the parent, which may still have something to write.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var o Options
	flags := flag.NewFlagSet("engine", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Library, "library", "", "path of libchdb")
	flags.StringVar(&o.Dir, "dir", "", "directory of the engine, data_dir/engine")
	flags.StringVar(&o.Socket, "socket", "", "path of the unix socket")
	flags.Int64Var(&o.MaxMemory, "max-memory", 0, "limit of the engine's memory in bytes")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the engine's arguments: %w", err)
	}
	if !filepath.IsAbs(o.Library) || !filepath.IsAbs(o.Dir) {
		return fmt.Errorf("--library and --dir have to be absolute paths; `sluice serve` starts the engine with them")
	}
	if err := giveWay(); err != nil {
		fmt.Fprintln(stderr, err) // it serves all the same
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	go func() {
		defer leave()
		_, _ = io.Copy(io.Discard, stdin) // its end is all that it says
	}()
	return Serve(ctx, o, func() { fmt.Fprintln(stdout, readyLine) })
}

// MainIfChild turns a process that [Start] started into the engine, and does
// not return from it; in every other process it does nothing. Call it first in
// TestMain of a package whose tests start an engine, and nowhere after flags
// are parsed:
//
//	func TestMain(m *testing.M) {
//		engine.MainIfChild()
//		os.Exit(m.Run())
//	}
func MainIfChild() {
	if os.Getenv(childVariable) == "" {
		return
	}
	// The first argument is the command's name.
	if err := Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// os.Exit would, in a binary with the race detector, run C++'s exit handlers
	// under the engine's threads.
	syscall.Exit(0)
}
