package spool

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// sync leaves out what the file's content does not need, such as its
// modification time: on blocks written before it costs no journal commit.
func (f osFile) sync() error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
	}
	var syncErr error
	err = raw.Control(func(fd uintptr) {
		for {
			// Interrupted before anything was flushed: not a failed fsync.
			if syncErr = unix.Fdatasync(int(fd)); syncErr != unix.EINTR {
				return
			}
		}
	})
	if err == nil {
		err = syncErr
	}
	if err != nil {
		return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
	}
	return nil
}
