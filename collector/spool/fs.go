package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is everything the spool asks of a file system. Tests put one in memory
// behind it that crashes after any operation. Names are paths relative to the
// spool's directory.
type disk interface {
	create(name string) (file, error) // empty, for reading and writing; replaces
	open(name string) (file, error)   // for reading and writing
	rename(from, to string) error     // atomic; replaces
	remove(name string) error
	list(dir string) ([]string, error) // names of the files in dir, sorted
	mkdir(dir string) error            // an existing one is no error
	syncDir(dir string) error          // makes creations, renames and removals in dir durable
	lock(name string) (io.Closer, error)
}

// file is one open file. sync makes its content durable, and its size where
// that changed; after a failed sync the file must not be synced again.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	sync() error
	truncate(size int64) error
	size() (int64, error)
}

// ErrLocked is a spool that another process has open.
var ErrLocked = errors.New("spool is open in another process")

// osDisk is the real one, rooted at a directory.
type osDisk struct{ root string }

func (d osDisk) path(name string) string { return filepath.Join(d.root, name) }

func (d osDisk) create(name string) (file, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osDisk) open(name string) (file, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osDisk) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d osDisk) remove(name string) error     { return os.Remove(d.path(name)) }
func (d osDisk) mkdir(dir string) error       { return os.MkdirAll(d.path(dir), 0o700) }

func (d osDisk) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d osDisk) syncDir(dir string) error {
	f, err := os.Open(d.path(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// osFile syncs as cheaply as the platform allows; see sync in fs_linux.go.
type osFile struct{ *os.File }

func (f osFile) truncate(size int64) error { return f.Truncate(size) }

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// writeNew puts a file in place whole or not at all: written beside, synced,
// renamed, and the directory synced.
func writeNew(d disk, name string, content []byte) error {
	tmp := name + ".tmp"
	f, err := d.create(tmp)
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := d.rename(tmp, name); err != nil {
		return fmt.Errorf("rename %s: %w", tmp, err)
	}
	if err := d.syncDir("."); err != nil {
		return fmt.Errorf("sync directory for %s: %w", name, err)
	}
	return nil
}

// readWhole reads a small file.
func readWhole(d disk, name string) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
