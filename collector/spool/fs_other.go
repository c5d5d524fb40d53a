//go:build !linux

package spool

// sync is F_FULLFSYNC on macOS, whose plain fsync leaves the drive's cache
// alone.
func (f osFile) sync() error { return f.Sync() }
