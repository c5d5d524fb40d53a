package collector

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeyOfRecord returns what makes an event the same as another one (site,
// consent and id), from its spool encoding.
func KeyOfRecord(b []byte) (EventKey, error) {
	e, err := decodeFixed(b)
	if err != nil {
		return EventKey{}, err
	}
	// The id and the site are the first two strings, see stringFields.
	id, rest, ok := cutString(b[fixedEvent:])
	site, _, ok2 := cutString(rest)
	if !ok || !ok2 {
		return EventKey{}, ErrEventEncoding
	}
	return keyOf(string(site), e.Token.Consent, string(id)), nil
}

// Remember makes events count as duplicates from now on, as if they had been
// accepted at that time. Called before the doors open, older events first.
func (h *Handler) Remember(keys []EventKey, at time.Time) {
	for _, key := range keys {
		h.duplicates.reserve(key, at)
	}
}

// SeenLog keeps the keys of accepted events on disk for as long as they are
// remembered, so that a client that repeats a request is answered duplicate
// also where the server was killed in between. It is a folder with a file for
// each hour (since 1970), which is keys one after the other. One goroutine.
type SeenLog struct {
	dir  string
	hour int64
	file *os.File // of hour; nil: not open
}

const seenExt = ".ids"

// OpenSeenLog makes the folder where it is missing.
func OpenSeenLog(dir string) (*SeenLog, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of seen events: %w", err)
	}
	return &SeenLog{dir: dir}, nil
}

// Append returns once the keys are on disk. Where it fails they may be there
// or not; to append them again does no harm.
func (l *SeenLog) Append(keys []EventKey, now time.Time) (err error) {
	hour := hourOf(now)
	if l.file == nil || l.hour != hour {
		if err := l.open(hour); err != nil {
			return err
		}
	}
	b := make([]byte, 0, len(keys)*len(EventKey{}))
	for _, key := range keys {
		b = append(b, key[:]...)
	}
	_, err = l.file.Write(b)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		// What the disk holds of it is unknown: the next one opens it anew.
		return errors.Join(fmt.Errorf("write %s: %w", l.file.Name(), err), l.Close())
	}
	return nil
}

// open opens the file of an hour and removes those that no one needs.
func (l *SeenLog) open(hour int64) error {
	if err := l.Close(); err != nil {
		return err
	}
	if err := l.forget(hour); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path(hour), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open seen events: %w", err)
	}
	// A write that was cut short leaves part of a key, which is written over.
	size, err := f.Seek(0, 2)
	if err == nil {
		_, err = f.Seek(size-size%int64(len(EventKey{})), 0)
	}
	if err == nil {
		err = syncFolder(l.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open %s: %w", f.Name(), err), f.Close())
	}
	l.hour, l.file = hour, f
	return nil
}

func (l *SeenLog) path(hour int64) string {
	return filepath.Join(l.dir, strconv.FormatInt(hour, 10)+seenExt)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// hours lists the files, newest first.
func (l *SeenLog) hours() ([]int64, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("list seen events: %w", err)
	}
	var out []int64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), seenExt)
		if hour, err := strconv.ParseInt(name, 10, 64); ok && err == nil {
			out = append(out, hour)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out, nil
}

// forget removes the files of hours that are out of the window, and those
// behind so many newer keys that memory would not hold them.
func (l *SeenLog) forget(now int64) error {
	hours, err := l.hours()
	if err != nil {
		return err
	}
	newer := int64(0)
	for _, hour := range hours {
		if newer < maxRemembered && hour >= now-int64(duplicateWindow/duplicateBucket) {
			info, err := os.Stat(l.path(hour))
			if err != nil {
				return fmt.Errorf("look at seen events: %w", err)
			}
			newer += info.Size() / int64(len(EventKey{}))
			continue
		}
		if err := os.Remove(l.path(hour)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget seen events: %w", err)
		}
	}
	return nil
}

// Load hands over what was appended, the oldest hour first, as far as it is
// remembered.
func (l *SeenLog) Load(now time.Time, remember func(keys []EventKey, at time.Time)) error {
	if err := l.forget(hourOf(now)); err != nil {
		return err
	}
	hours, err := l.hours()
	if err != nil {
		return err
	}
	slices.Reverse(hours)
	for _, hour := range hours {
		at := time.Unix(hour*int64(duplicateBucket/time.Second), 0)
		if err := l.load(hour, func(keys []EventKey) { remember(keys, at) }); err != nil {
			return fmt.Errorf("read seen events: %w", err)
		}
	}
	return nil
}

// load hands over the keys of an hour, some at a time: there may be millions.
func (l *SeenLog) load(hour int64, remember func(keys []EventKey)) error {
	f, err := os.Open(l.path(hour))
	if err != nil {
		return err
	}
	defer f.Close()
	const atOnce = 4096
	b, keys := make([]byte, atOnce*len(EventKey{})), make([]EventKey, 0, atOnce)
	for {
		n, err := io.ReadFull(f, b)
		keys = keys[:0]
		for key := range slices.Chunk(b[:n-n%len(EventKey{})], len(EventKey{})) {
			keys = append(keys, EventKey(key))
		}
		remember(keys)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// Close closes the file that is open.
func (l *SeenLog) Close() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close seen events: %w", err)
	}
	return nil
}
