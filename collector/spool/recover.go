package spool

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	idName        = "id"
	quarantineDir = "quarantine"

	// quarantineFor is how long cut bytes are kept. They may hold what visitors
	// did, so not longer than it takes to look at them.
	quarantineFor = 7 * 24 * time.Hour
)

// recover brings a directory, in whatever state a crash left it, into one that
// the spool can work with. It may itself be cut short and run again.
func (s *Spool) recover() error {
	if err := s.disk.mkdir(quarantineDir); err != nil {
		return err
	}
	names, err := s.disk.list(".")
	if err != nil {
		return err
	}
	if err := s.openID(names); err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tmp") {
			if err := s.disk.remove(name); err != nil {
				return fmt.Errorf("remove unfinished file: %w", err)
			}
		}
	}
	if err := s.openCursors(names); err != nil {
		return err
	}
	next, err := s.openSegments(names)
	if err != nil {
		return err
	}
	// A seq must not be used twice, even where damage made it look free.
	for _, c := range s.consumers {
		if c.cursor != nil {
			next = max(next, c.cursor.next, c.cursor.last+1)
		}
	}
	s.committed = max(next, 1) - 1
	return s.expireQuarantine()
}

// openID reads the spool's identity, or draws it in a new directory.
func (s *Spool) openID(names []string) error {
	if slices.Contains(names, idName) {
		b, err := readWhole(s.disk, idName)
		if err != nil {
			return fmt.Errorf("read identity: %w", err)
		}
		if s.id, err = uuid.Parse(strings.TrimSuffix(string(b), "\n")); err != nil {
			return &CorruptionError{File: idName, Err: fmt.Errorf("%w; its UUID is also in bytes 32 to 47 of each segment", err)}
		}
		return nil
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentExt) || strings.HasSuffix(name, cursorExt) {
			return &CorruptionError{File: idName, Err: errors.New("is missing beside existing data; write it anew: the UUID is in bytes 32 to 47 of each segment")}
		}
	}
	s.id = uuid.New()
	return writeNew(s.disk, idName, []byte(s.id.String()+"\n"))
}

// openCursors loads every consumer that ever ran here: each pins what it has
// not accepted. A damaged cursor pins everything.
func (s *Spool) openCursors(names []string) error {
	for _, name := range names {
		consumerName, ok := strings.CutSuffix(name, cursorExt)
		if !ok {
			continue
		}
		c := newConsumer(consumerName)
		var err error
		c.cursor, err = openCursor(s.disk, s.id, name)
		if corrupt := (*CorruptionError)(nil); errors.As(err, &corrupt) {
			s.log.Error("cursor is damaged, consumer cannot run", "sink", consumerName, "err", err)
			c.broken = err
		} else if err != nil {
			return err
		} else {
			c.next = c.cursor.next
		}
		s.consumers[consumerName] = c
	}
	return nil
}

// openSegments lists the segments and repairs the last one. It returns the next
// seq as far as segments tell.
func (s *Spool) openSegments(names []string) (next uint64, err error) {
	for _, name := range names {
		base, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		next = max(next, base)
		seg, err := s.openSegment(name, base)
		if err != nil {
			return 0, err
		}
		if seg != nil {
			s.segments = append(s.segments, seg)
			s.stats.bytes += seg.size
		}
	}
	for i, seg := range s.segments {
		if i+1 < len(s.segments) {
			seg.end, seg.next = seg.size, s.segments[i+1].base
			continue
		}
		if err := s.repairTail(seg); err != nil {
			return 0, fmt.Errorf("repair %s: %w", seg.name, err)
		}
		next = max(next, seg.next)
	}
	return next, nil
}

// openSegment reads a segment's header. One that is damaged is worked around;
// nil means that the file holds nothing and was set aside.
func (s *Spool) openSegment(name string, base uint64) (*segment, error) {
	f, err := s.disk.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, segmentHead))
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("read header of %s: %w", name, err)
	}
	h, err := decodeHeader(b)
	switch {
	case err == nil && (h.base != base || h.id != s.id):
		return nil, fmt.Errorf("segment %s belongs elsewhere: it is segment %d of spool %s, and this is spool %s", name, h.base, h.id, s.id)
	case err == nil:
		s.head, s.headBase = h.head, base
		return &segment{base: base, name: name, salt: h.salt, size: size}, nil
	case !errors.Is(err, errBadHeader):
		return nil, fmt.Errorf("segment %s: %w", name, err)
	}
	s.reportDamage(&CorruptionError{File: name, Err: err})
	salt, ok, err := salvageSalt(f, base, size)
	if err != nil {
		return nil, err
	}
	if !ok {
		// A header is synced before the file gets its name, so no crash does this,
		// and without a frame there is nothing to read. What is missing shows as a
		// gap before the next segment.
		return nil, s.quarantineFile(name)
	}
	return &segment{base: base, name: name, salt: salt, size: size, damaged: true}, nil
}

// repairTail scans the last segment, which a crash may have torn, and cuts what
// is not a frame.
func (s *Spool) repairTail(seg *segment) error {
	f, err := s.disk.open(seg.name)
	if err != nil {
		return err
	}
	defer f.Close() // synced below where it was changed
	sc := newScanner(f, seg)
	sc.limit = seg.size
	sc.lost = func(from, to uint64, off int64, why error) { s.reportLost(seg, from, to, off, why) }
	for ok := true; ok; {
		if _, ok, err = sc.next(); err != nil {
			return err
		}
	}
	seg.end, seg.next = sc.off, sc.expect
	if sc.dirty == 0 {
		return nil
	}
	torn, err := (&window{f: f}).bytes(sc.off, sc.dirty, seg.size)
	if err != nil {
		return err
	}
	if err := s.quarantine(seg.name, sc.off, torn); outOfSpace(err) {
		// The tail stays, which harms nobody: readers stop before it, and once a
		// segment follows they pass over it. A start must not wait for room.
		s.log.Warn("torn tail left in the spool, as there is no room to keep it elsewhere", "segment", seg.name, "offset", sc.off, "bytes", sc.dirty, "err", err)
		s.stats.tornBytes += sc.dirty
		return nil
	} else if err != nil {
		return err
	}
	if err := errors.Join(f.truncate(sc.off), f.sync()); err != nil {
		return fmt.Errorf("cut the torn tail: %w", err)
	}
	s.log.Warn("torn tail cut from the spool", "segment", seg.name, "offset", sc.off, "bytes", sc.dirty)
	s.stats.tornBytes += sc.dirty
	s.stats.bytes += sc.off - seg.size
	seg.size = sc.off
	return nil
}

// quarantine keeps bytes that are about to be cut.
func (s *Spool) quarantine(name string, off int64, b []byte) error {
	to := fmt.Sprintf("%s/%d-%s-%d.torn", quarantineDir, s.o.Now().Unix(), name, off)
	f, err := s.disk.create(to)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	_, err = f.WriteAt(bytes.Clone(b), 0)
	if err == nil {
		err = f.sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("quarantine: %w", errors.Join(err, s.disk.remove(to)))
	}
	return s.disk.syncDir(quarantineDir)
}

// quarantineFile moves a damaged file out of the way.
func (s *Spool) quarantineFile(name string) error {
	to := fmt.Sprintf("%s/%d-%s", quarantineDir, s.o.Now().Unix(), name)
	if err := s.disk.rename(name, to); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	s.log.Error("damaged segment moved to the quarantine", "segment", name)
	return nil
}

// expireQuarantine removes what has been kept long enough.
func (s *Spool) expireQuarantine() error {
	names, err := s.disk.list(quarantineDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		stamp, _, _ := strings.Cut(name, "-")
		sec, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || s.o.Now().Sub(time.Unix(sec, 0)) < quarantineFor {
			continue
		}
		if err := s.disk.remove(quarantineDir + "/" + name); err != nil {
			return err
		}
	}
	return nil
}

// scrub reads everything not yet delivered once after open, so that damage is
// known before a consumer gets there.
func (s *Spool) scrub() {
	s.mu.Lock()
	from, until := s.pinnedBy(func(*consumer) bool { return true }), s.committed
	s.mu.Unlock()
	r := s.newReader(from)
	defer r.close()
	for s.ctx.Err() == nil {
		rec, ok, err := r.peek()
		if err != nil {
			s.log.Error("spool cannot be read to its end", "err", err)
		}
		if err != nil || !ok || rec.Seq >= until {
			return
		}
		r.skip()
	}
}
