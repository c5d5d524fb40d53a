package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Place keeps archives under their names.
type Place interface {
	// Create begins an archive, which appears under its name once it is
	// committed.
	Create(ctx context.Context, name string) (Upload, error)
	// Names lists the archives, oldest first.
	Names(ctx context.Context) ([]string, error)
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	Remove(ctx context.Context, name string) error
	// Path is how a person calls an archive of this place.
	Path(name string) string
}

// Upload is an archive on its way to its place. One of Commit and Abort ends
// it; after a failed Commit nothing has appeared.
type Upload interface {
	io.Writer
	Commit() error
	Abort() error
}

const stamp = "20060102T150405Z"

// archiveName matches what Name makes; names in order of the alphabet are in
// order of time.
var archiveName = regexp.MustCompile(`^sluice-(\d{8}T\d{6}Z)(-[a-z0-9_-]+)?\.tar\.zst(\.age)?$`)

// Name is that of an archive begun at the moment made. occasion may say what
// it was made for, in a-z, 0-9, - and _.
func Name(made time.Time, occasion string, encrypted bool) string {
	name := "sluice-" + made.UTC().Format(stamp)
	if occasion != "" {
		name += "-" + occasion
	}
	name += ".tar.zst"
	if encrypted {
		name += ".age"
	}
	return name
}

// ParseName tells when an archive was begun and for which occasion.
func ParseName(name string) (made time.Time, occasion string, ok bool) {
	m := archiveName.FindStringSubmatch(name)
	if m == nil {
		return time.Time{}, "", false
	}
	made, err := time.Parse(stamp, m[1])
	if m[2] != "" {
		occasion = m[2][1:]
	}
	return made, occasion, err == nil
}

// archives picks the names of archives, oldest first.
func archives(names []string) []string {
	var out []string
	for _, name := range names {
		if archiveName.MatchString(name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Folder keeps archives as files, mode 0600.
type Folder string

// Path implements [Place].
func (d Folder) Path(name string) string { return filepath.Join(string(d), name) }

// Create implements [Place]; it makes the folder where it is missing.
func (d Folder) Create(_ context.Context, name string) (Upload, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of backups: %w", err)
	}
	path := d.Path(name)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s exists already", path)
	}
	f, err := os.CreateTemp(string(d), "."+name+".partial-*")
	if err != nil {
		return nil, fmt.Errorf("begin the archive: %w", err)
	}
	return &fileUpload{File: f, path: path}, nil
}

// Names implements [Place].
func (d Folder) Names(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return archives(names), nil
}

// partialName matches what Create writes until it is committed.
var partialName = regexp.MustCompile(`^\.(sluice-.+)\.partial-\d+$`)

// Sweep removes archives that nobody has written to since the moment before,
// and returns their names: a backup that was killed leaves one, keys and all.
// Another machine may be at one in the same folder, so before is to be well
// past.
func (d Folder) Sweep(before time.Time) (removed []string, err error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for archives that were never finished: %w", err)
	}
	for _, e := range entries {
		m := partialName.FindStringSubmatch(e.Name())
		if m == nil || !archiveName.MatchString(m[1]) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(before) {
			continue
		}
		if err == nil {
			err = os.Remove(d.Path(e.Name()))
		}
		if err != nil {
			return removed, fmt.Errorf("remove an archive that was never finished: %w", err)
		}
		removed = append(removed, e.Name())
	}
	return removed, nil
}

// Open implements [Place].
func (d Folder) Open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(d.Path(name))
	if err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	return f, nil
}

// Remove implements [Place].
func (d Folder) Remove(_ context.Context, name string) error {
	if err := os.Remove(d.Path(name)); err != nil {
		return fmt.Errorf("remove a backup: %w", err)
	}
	return nil
}

// fileUpload is a file beside the one that it becomes.
type fileUpload struct {
	*os.File
	path string
}

// Commit puts the file in its place, on disk as a whole.
func (f *fileUpload) Commit() error {
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("write the archive: %w", err), f.Abort())
	}
	if err := f.Close(); err != nil {
		return errors.Join(fmt.Errorf("write the archive: %w", err), os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return errors.Join(fmt.Errorf("name the archive: %w", err), os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(f.path))
}

// Abort removes what was written.
func (f *fileUpload) Abort() error { return errors.Join(f.Close(), os.Remove(f.Name())) }

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync the folder of backups: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the folder of backups: %w", err)
	}
	return nil
}
