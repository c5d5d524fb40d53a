package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long a new engine waits for an earlier one to let go of the
// directory: one that was told to leave may be busy with a long query.
const lockWait = 30 * time.Second

// LockedError names the process that holds an engine's directory.
type LockedError struct {
	Path   string
	Holder string // process id; "" where the holder has not written it
}

func (e *LockedError) Error() string {
	holder := "another process"
	if e.Holder != "" {
		holder = "process " + e.Holder
	}
	return fmt.Sprintf("%s is locked by %s: one engine at a time can use a data directory; stop that one first", e.Path, holder)
}

// lockDir takes the lock of dir, waiting for at most wait, and writes this
// process's id into it. The lock lasts until the file is closed or the process
// is gone. The error is a *LockedError where somebody else holds it for
// longer.
func lockDir(ctx context.Context, dir string, wait time.Duration) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the engine's lock: %w", err)
	}
	if err := flock(ctx, f, wait); err != nil {
		holder := make([]byte, 20)
		n, readErr := f.ReadAt(holder, 0)
		err = errors.Join(err, f.Close())
		if readErr != nil && readErr != io.EOF {
			return nil, errors.Join(err, readErr)
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{Path: path, Holder: strings.TrimSpace(string(holder[:n]))}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, fmt.Errorf("write the engine's lock: %w", errors.Join(err, f.Close()))
	}
	return f, nil
}

// flock takes an exclusive lock on f, trying again for as long as wait says.
func flock(ctx context.Context, f *os.File, wait time.Duration) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}
