package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"sluice/collector/spool"
	"sluice/consent"
)

// deadLetters is the folder data_dir/dead: a file of JSON lines for each batch
// of which something was refused, in order of seq. A file is replaced as a
// whole, so a batch that is delivered again after a crash leaves no line twice.
// Processes take turns by a lock.
type deadLetters struct {
	dir     string
	log     *slog.Logger
	expired time.Time // when expire ran last; of the writer
}

func deadLettersOf(dataDir string, log *slog.Logger) *deadLetters {
	return &deadLetters{dir: filepath.Join(dataDir, "dead"), log: log}
}

const (
	letterExt  = ".jsonl"
	damagedExt = ".damaged"
	// deadFor is how long a letter is kept: long enough for a version of Sluice
	// that can read it, and no longer, for its visitor may have left no id in
	// it by which an erasure would find it.
	deadFor = 90 * 24 * time.Hour
	// damagedFor is how long a file is kept that cannot be read, beyond the
	// reach of any erasure: to be looked at.
	damagedFor = 7 * 24 * time.Hour
)

// letterFile names the file of a batch; the same batch has the same one.
func letterFile(spoolID uuid.UUID, first uint64) string {
	return fmt.Sprintf("%s-%020d%s", spoolID, first, letterExt)
}

// DeadLetters returns the dead letters of a data directory, by spool and seq.
func DeadLetters(dataDir string) ([]DeadLetter, error) {
	d := deadLettersOf(dataDir, nil)
	names, err := d.names(letterExt)
	if err != nil {
		return nil, err
	}
	var out []DeadLetter
	for _, name := range names {
		letters, err := d.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // put back in between
		}
		if err != nil {
			return nil, err
		}
		out = append(out, letters...)
	}
	slices.SortFunc(out, byRecord)
	return out, nil
}

// byRecord orders letters by spool and seq.
func byRecord(a, b DeadLetter) int {
	return cmp.Or(bytes.Compare(a.Spool[:], b.Spool[:]), cmp.Compare(a.Seq, b.Seq))
}

// receipts adds the receipts among the letters to those of each consent.
func (d *deadLetters) receipts(of map[uuid.UUID][]uuid.UUID) error {
	return d.edit(func(_ string, letters []DeadLetter) ([]DeadLetter, error) {
		for _, l := range letters {
			if l.Kind != spool.KindReceipt {
				continue
			}
			if r, err := consent.DecodeReceipt(l.Data); err == nil {
				of[r.ConsentID] = append(of[r.ConsentID], r.ReceiptID)
			}
		}
		return letters, nil
	})
}

// forget removes the letters that cuts reach. receipts are those of each
// consent.
func (d *deadLetters) forget(spoolID uuid.UUID, cuts []cut, receipts map[uuid.UUID][]uuid.UUID) error {
	return d.edit(func(_ string, letters []DeadLetter) ([]DeadLetter, error) {
		return slices.DeleteFunc(letters, func(l DeadLetter) bool {
			return slices.ContainsFunc(cuts, func(c cut) bool { return c.reaches(&l, spoolID, receipts[c.consentID]) })
		}), nil
	})
}

// expire removes what has been kept for long enough.
func (d *deadLetters) expire(now time.Time) error {
	err := d.edit(func(_ string, letters []DeadLetter) ([]DeadLetter, error) {
		return slices.DeleteFunc(letters, func(l DeadLetter) bool { return now.Sub(l.Time) > deadFor }), nil
	})
	if err != nil {
		return err
	}
	names, err := d.names(damagedExt)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(d.dir, name)
		info, err := os.Stat(path)
		if err == nil && now.Sub(info.ModTime()) > damagedFor {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("remove a damaged file of dead letters: %w", err)
		}
	}
	return nil
}

// edit hands each file's letters to change, one file after the other, and
// keeps what that returns. An error of change ends the editing and leaves its
// file as it is. A damaged file is set aside.
func (d *deadLetters) edit(change func(name string, letters []DeadLetter) ([]DeadLetter, error)) error {
	names, err := d.names(letterExt)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := d.locked(func() error {
			before, err := d.read(name)
			var damage *damagedError
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // somebody else was faster
			case errors.As(err, &damage):
				return d.setAside(name, damage)
			case err != nil:
				return err
			}
			after, err := change(name, slices.Clone(before))
			if err != nil || slices.EqualFunc(before, after, sameLetter) {
				return err
			}
			return d.put(name, after)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func sameLetter(a, b DeadLetter) bool { return a.Seq == b.Seq && a.Time.Equal(b.Time) }

// names lists the files with an ending.
func (d *deadLetters) names(ext string) ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the dead letters: %w", err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ext) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

func (d *deadLetters) read(name string) ([]DeadLetter, error) {
	data, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	var out []DeadLetter
	for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
		var l DeadLetter
		if err := dec.Decode(&l); err != nil {
			return nil, &damagedError{name, len(out) + 1, err}
		}
		out = append(out, l)
	}
	return out, nil
}

// damagedError is a file that disk or hand has altered: Sluice replaces files
// as a whole.
type damagedError struct {
	name string
	line int
	err  error
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("dead letters are damaged: line %d of %s: %v", e.line, e.name, e.err)
}

func (e *damagedError) Unwrap() error { return e.err }

// setAside takes a damaged file out of everybody's way. The lock is held.
func (d *deadLetters) setAside(name string, damage *damagedError) error {
	d.log.Error("dead letters set aside for a week", "file", name+damagedExt, "err", damage)
	path := filepath.Join(d.dir, name)
	now := time.Now()
	if err := errors.Join(os.Chtimes(path, now, now), os.Rename(path, path+damagedExt)); err != nil {
		return fmt.Errorf("set damaged dead letters aside: %w", err)
	}
	return syncDir(d.dir)
}

// put replaces a file, or removes it where no letters are left. It returns
// once that is on disk. The lock is held.
func (d *deadLetters) put(name string, letters []DeadLetter) error {
	path := filepath.Join(d.dir, name)
	if len(letters) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove dead letters: %w", err)
		}
		return syncDir(d.dir)
	}
	slices.SortFunc(letters, byRecord)
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, l := range letters {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("encode dead letter %s: %w", l.ID(), err)
		}
	}
	if err := consent.WriteFile(path, lines.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	return nil
}

func syncDir(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the dead-letter folder: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync the dead-letter folder: %w", err)
	}
	return nil
}

// locked runs fn while no other process, and nobody else in this one, changes
// the folder. It makes the folder where it is missing.
func (d *deadLetters) locked(fn func() error) (err error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("make the dead-letter folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(d.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock the dead letters: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return fn()
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock the dead letters: %w", err)
		}
	}
}
