package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// Snapshot is a spool's directory read from outside: no lock is taken, nothing
// is repaired, and another process may be writing meanwhile. It holds the
// segments open, so that none of them goes while it is read.
type Snapshot struct {
	dir      string
	id       uuid.UUID
	head     []byte
	headBase uint64
	segments []heldSegment // by base
}

// heldSegment is a segment that stays readable after it was removed.
type heldSegment struct {
	segment
	file *os.File
}

// OpenSnapshot takes hold of the segments that the spool in dir has now. The
// caller closes it. A directory without a spool is fs.ErrNotExist.
func OpenSnapshot(dir string) (*Snapshot, error) {
	b, err := os.ReadFile(filepath.Join(dir, idName))
	if err != nil {
		return nil, fmt.Errorf("read the spool's identity: %w", err)
	}
	s := &Snapshot{dir: dir}
	if s.id, err = uuid.Parse(strings.TrimSuffix(string(b), "\n")); err != nil {
		return nil, &CorruptionError{File: idName, Err: err}
	}
	names, err := osDisk{dir}.list(".")
	if err != nil {
		return nil, fmt.Errorf("list the spool: %w", err)
	}
	for _, name := range names {
		base, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		if err := s.hold(name, base); err != nil {
			return nil, errors.Join(fmt.Errorf("open segment %s: %w", name, err), s.Close())
		}
	}
	return s, nil
}

// hold opens one segment. One that has been removed since it was listed is
// left out, one whose header is damaged beyond use as well: both show as
// missing records where anybody still needs them.
func (s *Snapshot) hold(name string, base uint64) error {
	f, err := os.Open(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	seg := segment{base: base, name: name, size: info.Size()}
	b := make([]byte, min(seg.size, segmentHead))
	if _, err := f.ReadAt(b, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	h, err := decodeHeader(b)
	switch {
	case err == nil && (h.base != base || h.id != s.id):
		return errors.Join(fmt.Errorf("it is segment %d of spool %s, and this is spool %s", h.base, h.id, s.id), f.Close())
	case err == nil:
		seg.salt, s.head, s.headBase = h.salt, h.head, base
	case errors.Is(err, errBadHeader):
		salt, ok, err := salvageSalt(osFile{f}, base, seg.size)
		if err != nil || !ok {
			return errors.Join(err, f.Close())
		}
		seg.salt = salt
	default:
		return errors.Join(err, f.Close())
	}
	s.segments = append(s.segments, heldSegment{seg, f})
	return nil
}

// ID is the spool's identity.
func (s *Snapshot) ID() uuid.UUID { return s.id }

// Head is what Options.Head said before record seq, when the newest segment
// was started. Nil and 0 if there is none.
func (s *Snapshot) Head() (head []byte, seq uint64) { return s.head, s.headBase }

// Oldest is the first seq that may be in the snapshot, 0 where it has no
// segment.
func (s *Snapshot) Oldest() uint64 {
	if len(s.segments) == 0 {
		return 0
	}
	return s.segments[0].base
}

// Close lets go of the segments.
func (s *Snapshot) Close() error {
	var errs []error
	for _, seg := range s.segments {
		errs = append(errs, seg.file.Close())
	}
	s.segments = nil
	return errors.Join(errs...)
}

// Cursor returns the first seq that the consumer of this name has not
// accepted: 1 for one that has never been registered.
func (s *Snapshot) Cursor(name string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, name+cursorExt))
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the cursor of %s: %w", name, err)
	}
	p, err := decodeCursor(b, s.id)
	if err != nil {
		return 0, &CorruptionError{File: name + cursorExt, Err: err}
	}
	return p.next, nil
}

// Records calls fn for every record from seq from on, in order, and returns
// the seq of the spool's last one (0 where there never was one) and what is
// missing in between. The record's data holds until fn returns; an error of
// fn's ends the reading and is returned as it is.
func (s *Snapshot) Records(from uint64, fn func(Record) error) (last uint64, lost []LostRange, err error) {
	expect := max(from, 1)
	miss := func(a, b uint64) {
		if a = max(a, from); a <= b {
			lost = append(lost, LostRange{a, b})
		}
	}
	for i := range s.segments {
		seg, bound := &s.segments[i], uint64(math.MaxUint64)
		if i+1 < len(s.segments) {
			bound = s.segments[i+1].base
		}
		last = max(last, seg.base-1)
		if bound <= from {
			continue // all of it is older
		}
		if seg.base > expect {
			miss(expect, seg.base-1)
		}
		end, err := seg.records(bound, from, miss, fn)
		if err != nil {
			return 0, nil, err
		}
		expect, last = max(expect, end), max(last, end-1)
	}
	return last, lost, nil
}

// records goes through one segment and returns the seq behind its last record.
//
// The writer may be at work. It writes a frame only after the one before it is
// on disk, so an invalid frame with a valid one behind it can be two things:
// rot, or a frame that was complete only after it had been looked at. The
// second look tells.
func (seg *heldSegment) records(bound, from uint64, miss func(a, b uint64), fn func(Record) error) (end uint64, err error) {
	scan := func(off int64, expect uint64) *scanner {
		sc := newScanner(osFile{seg.file}, &seg.segment)
		sc.off, sc.expect, sc.limit, sc.bound = off, expect, seg.size, bound
		return sc
	}
	sc, looked := scan(segmentHead, seg.base), int64(-1)
	for {
		off, expect := sc.off, sc.expect
		var gap []LostRange
		sc.lost = func(a, b uint64, _ int64, _ error) { gap = append(gap, LostRange{a, b}) }
		f, ok, err := sc.next()
		if (err != nil || gap != nil) && looked != off {
			sc, looked = scan(off, expect), off
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read segment %s: %w", seg.name, err)
		}
		for _, g := range gap {
			miss(g.From, g.To)
		}
		if !ok {
			return sc.expect, nil
		}
		for rest, seq := f.payload, f.first; len(rest) > 0; seq++ {
			var r Record
			r, rest = takeRecord(rest, seq)
			if seq < from {
				continue
			}
			if err := fn(r); err != nil {
				return 0, err
			}
		}
	}
}
