package spool

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// zeroChunk is written and synced at once: an append that comes meanwhile waits
// for that, so it is small, and so large that a segment takes few of them.
const zeroChunk = 256 << 10

// preparedFile is a file full of zeros, synced, that will be a segment.
type preparedFile struct {
	file file
	name string
	size int64
}

// janitor works behind the committer's back: it removes delivered segments,
// fills the next one with zeros, and empties the quarantine.
func (s *Spool) janitor() {
	s.prepare()
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.kick:
			s.reap()
			s.prepare()
		case <-hour.C:
			if err := s.expireQuarantine(); err != nil {
				s.log.Warn("quarantine not emptied", "err", err)
			}
		}
	}
}

func (s *Spool) wakeJanitor() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// prepare makes the next segment's file, if none waits and there is room. It
// then also is the reserve that a full disk cannot take away.
func (s *Spool) prepare() {
	s.mu.Lock()
	size, name := s.nextSize, s.tmpName()
	tight := s.prepared == nil && s.stats.bytes+size > s.o.MaxBytes
	wanted := s.prepared == nil && !tight
	s.mu.Unlock()
	if !wanted {
		if tight {
			s.makeRoom()
		}
		return
	}
	f, err := s.disk.create(name)
	if err == nil {
		if err = s.fill(f, size); err != nil {
			err = errors.Join(err, f.Close(), s.disk.remove(name))
		}
	}
	if errors.Is(err, ErrClosed) {
		return // nobody needs it any more
	}
	if err != nil {
		s.log.Warn("next segment cannot be prepared", "err", err)
		if outOfSpace(err) {
			s.makeRoom()
		}
		return
	}
	s.mu.Lock()
	s.prepared = &preparedFile{f, name, size}
	s.stats.bytes += size
	s.mu.Unlock()
}

// fill writes zeros and syncs them piece by piece, so that the committer's
// fsyncs never queue behind a whole segment.
func (s *Spool) fill(f file, size int64) error {
	zeros := make([]byte, min(zeroChunk, size))
	for off := int64(0); off < size; off += zeroChunk {
		if s.ctx.Err() != nil {
			return ErrClosed
		}
		if _, err := f.WriteAt(zeros[:min(zeroChunk, size-off)], off); err != nil {
			return err
		}
		if err := f.sync(); err != nil {
			return err
		}
	}
	return nil
}

// startSegment turns the prepared file into the segment with this base; without
// one it starts with an empty file, which is slower to sync but there at once.
// Header, name and directory are durable before it returns.
func (s *Spool) startSegment(base uint64, head []byte) (seg *segment, f file, capacity int64, err error) {
	p := s.takePrepared()
	if p.file == nil {
		if p.file, err = s.disk.create(p.name); err != nil {
			return nil, nil, 0, err
		}
	}
	seg = &segment{base: base, name: segmentName(base), salt: newSalt(), size: max(p.size, segmentHead), end: segmentHead, next: base}
	_, err = p.file.WriteAt(header{base, seg.salt, s.id, head}.encode(), 0)
	if err == nil {
		err = p.file.sync()
	}
	if err == nil {
		err = s.disk.rename(p.name, seg.name)
	}
	if err != nil {
		s.dropped(p.size)
		return nil, nil, 0, errors.Join(err, p.file.Close(), s.disk.remove(p.name))
	}
	if err := s.disk.syncDir("."); err != nil {
		// The name may or may not survive. The next attempt has the same base and
		// replaces the file.
		s.dropped(p.size)
		return nil, nil, 0, errors.Join(fmt.Errorf("sync directory: %w", err), p.file.Close())
	}
	capacity = p.size
	if capacity == 0 {
		capacity = s.o.SegmentBytes
	}
	s.adopt(seg, p.size)
	return seg, p.file, capacity, nil
}

// takePrepared returns the prepared file, or only the name for one.
func (s *Spool) takePrepared() preparedFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.prepared
	s.prepared = nil
	if p == nil {
		return preparedFile{name: s.tmpName()}
	}
	return *p
}

func (s *Spool) isPrepared() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prepared != nil
}

// tmpName is a new one each time: while the committer is about to rename a
// prepared file, the janitor may be making the next. The caller holds mu.
func (s *Spool) tmpName() string {
	s.tmpNames++
	return fmt.Sprintf("segment-%d.tmp", s.tmpNames)
}

// dropped accounts for a prepared file that did not become a segment.
func (s *Spool) dropped(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.bytes -= size
}

// adopt lists a new segment. One with the same base was left without a record
// by a crash or a failed write, and the new file has just taken its name.
func (s *Spool) adopt(seg *segment, counted int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.bytes += seg.size - counted
	if n := len(s.segments); n > 0 {
		last := s.segments[n-1]
		if used := last.end; used > last.size/2 {
			s.nextSize = min(2*s.nextSize, s.o.SegmentBytes)
		} else if s.nextSize > minSegment {
			s.nextSize = max(minSegment, s.nextSize/2)
		}
		if last.base == seg.base {
			s.segments = s.segments[:n-1]
			s.stats.bytes -= last.size
		}
	}
	s.segments = append(s.segments, seg)
	s.wakeJanitor()
}

// reap removes segments that nobody needs any more. Positions of consumers are
// on disk before they are counted here.
func (s *Spool) reap() {
	s.mu.Lock()
	pin := s.pinnedBy(func(*consumer) bool { return true })
	var done []*segment
	for len(s.segments) > 1 && s.segments[1].base <= pin {
		done = append(done, s.segments[0])
		s.stats.bytes -= s.segments[0].size
		s.stats.full = false
		s.segments = s.segments[1:]
	}
	s.mu.Unlock()

	for _, seg := range done {
		remove := s.disk.remove
		if seg.damaged {
			remove = s.quarantineFile
		}
		if err := remove(seg.name); err != nil {
			s.log.Warn("delivered segment cannot be removed", "segment", seg.name, "err", err)
		}
	}
}

// pinnedBy returns the first seq that one of these consumers, or whoever called
// Retain, still needs: everything while nobody has said so. The caller holds
// mu.
func (s *Spool) pinnedBy(counts func(*consumer) bool) uint64 {
	if len(s.consumers) == 0 && len(s.retained) == 0 {
		return 0
	}
	pin := uint64(math.MaxUint64)
	for _, c := range s.consumers {
		if counts(c) {
			pin = min(pin, c.next)
		}
	}
	for _, seq := range s.retained {
		pin = min(pin, max(seq+1, seq)) // MaxUint64 holds on to nothing
	}
	return pin
}

// reserve makes room for a segment to grow to size, or answers ErrFull.
func (s *Spool) reserve(seg *segment, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	grow := size - seg.size
	if grow <= 0 {
		return nil
	}
	if s.stats.bytes+grow > s.o.MaxBytes {
		s.stats.full = true
		s.wakeJanitor()
		return fmt.Errorf("%w: %d of %d bytes", ErrFull, s.stats.bytes, s.o.MaxBytes)
	}
	s.stats.bytes += grow
	seg.size = size
	return nil
}

// grown accounts for a footer behind the prepared part.
func (s *Spool) grown(seg *segment, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if grow := size - seg.size; grow > 0 {
		s.stats.bytes += grow
		seg.size = size
	}
}

// publish makes a synced frame visible to readers.
func (s *Spool) publish(f landed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.segment.end, f.segment.next = f.end, f.next
	s.stats.frame(f.took)
	s.stats.full = false
	s.committed = f.next - 1
	for _, c := range s.consumers {
		c.tell(s.committed)
	}
}

// holdsRecords tells whether the newest segment has a record.
func (s *Spool) holdsRecords() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.segments) > 0 && s.committed >= s.segments[len(s.segments)-1].base
}
