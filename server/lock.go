package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockDataDir takes data_dir for this process. The lock goes with the process,
// whatever ends it. A second server on one directory is refused with the
// holder's process id.
func lockDataDir(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data_dir: %w", err)
	}
	if err := checkRestored(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "server.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of data_dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, readErr := io.ReadAll(io.LimitReader(f, 20))
		closeErr := f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) && readErr == nil {
			return nil, fmt.Errorf("%s is in use by process %s: one server at a time can use a data directory", dir, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("lock data_dir: %w", errors.Join(err, readErr, closeErr))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("write the lock of data_dir: %w", errors.Join(err, f.Close()))
	}
	return func() error { return unlock(f) }, nil
}

// unlock comes before the file is closed: a child that is just being started may
// still have it open.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// lockFile takes the lock of a command that runs once at a time. It goes with
// the process, as that of data_dir. busy is the error where it is taken.
func lockFile(path string, busy error) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = busy
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() error { return unlock(f) }, nil
}
