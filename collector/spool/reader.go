package spool

import (
	"fmt"
	"math"
	"slices"
)

// reader walks committed records from a seq on, across segments. One goroutine
// at a time.
type reader struct {
	s    *Spool
	from uint64 // records before it are passed over

	seg  *segment // nil before the first
	sc   *scanner // of seg
	file file     // of seg

	rest []byte // records of the current frame that were not looked at
	seq  uint64 // of the first of them
	rec  Record
	have bool // rec was not taken
}

func (s *Spool) newReader(from uint64) *reader { return &reader{s: s, from: from} }

// peek returns the next committed record without taking it, or false where
// there is none yet. The record's data holds until the next peek after a skip.
func (r *reader) peek() (Record, bool, error) {
	for !r.have {
		if len(r.rest) == 0 {
			if ok, err := r.nextFrame(); err != nil || !ok {
				return Record{}, false, err
			}
		}
		r.rec, r.rest = takeRecord(r.rest, r.seq)
		r.have = r.seq >= r.from
		r.seq++
	}
	return r.rec, true, nil
}

// skip takes the record that peek returned.
func (r *reader) skip() { r.have, r.from = false, r.rec.Seq+1 }

// nextFrame loads the next frame that has a record at or beyond from.
func (r *reader) nextFrame() (bool, error) {
	for {
		more, err := r.locate()
		if err != nil || !more {
			return false, err
		}
		f, ok, err := r.sc.next()
		if err != nil {
			return false, fmt.Errorf("segment %s: %w", r.seg.name, err)
		}
		if !ok {
			r.sc.off = r.sc.limit // what is left there is no frame
			continue
		}
		if f.next() > r.from {
			r.rest, r.seq = f.payload, f.first
			return true, nil
		}
	}
}

// locate moves to where unread committed bytes are, or returns false.
func (r *reader) locate() (bool, error) {
	for {
		var off int64
		seq := r.from
		if r.seg != nil {
			off, seq = r.sc.off, max(seq, r.sc.expect)
		}
		p := r.s.place(r.seg, off, seq)
		if p.seg == nil {
			return false, nil
		}
		if p.seg != r.seg {
			if p.follows && r.sc.expect < p.seg.base {
				r.lost(r.sc.expect, p.seg.base-1, r.sc.off, errMissing)
			}
			if err := r.enter(p.seg); isMissing(err) && !r.s.lists(p.seg) {
				continue // removed in between, as nobody needs it
			} else if err != nil {
				return false, err
			}
		}
		if r.sc.off < p.end {
			r.sc.limit, r.sc.bound = p.end, p.bound
			return true, nil
		}
		if p.last {
			return false, nil
		}
	}
}

func (r *reader) enter(seg *segment) error {
	r.close()
	f, err := r.s.disk.open(seg.name)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	r.seg, r.file = seg, f
	r.sc = newScanner(f, seg)
	r.sc.lost = r.lost
	return nil
}

// lost reports records that are not there, as far as this reader wants them.
func (r *reader) lost(from, to uint64, off int64, why error) {
	if to >= r.from {
		r.s.reportLost(r.seg, max(from, r.from), to, off, why)
	}
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close() // only read from
	}
	r.seg, r.sc, r.file = nil, nil, nil
}

// place is a segment and how far it may be read.
type place struct {
	seg     *segment
	end     int64
	bound   uint64 // frames from this seq on are void
	last    bool
	follows bool // seg is the one behind the reader's
}

// place finds the segment to read next: cur while it has bytes beyond off, then
// the one behind it; without cur, or when that is gone, the one that holds seq.
func (s *Spool) place(cur *segment, off int64, seq uint64) place {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) == 0 {
		return place{}
	}
	i := s.indexOf(seq)
	follows := false
	if cur != nil {
		if at := s.indexOf(cur.base); s.segments[at] == cur {
			i = at
			if off >= cur.end && i+1 < len(s.segments) {
				i, follows = i+1, true
			}
		}
	}
	p := place{seg: s.segments[i], end: s.segments[i].end, bound: math.MaxUint64, last: true, follows: follows}
	if i+1 < len(s.segments) {
		p.bound, p.last = s.segments[i+1].base, false
	}
	return p
}

// lists tells whether seg is still one of the spool's.
func (s *Spool) lists(seg *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.segments, seg)
}

// indexOf returns the last segment with a base of at most seq, or else the
// first. The caller holds mu; there is a segment.
func (s *Spool) indexOf(seq uint64) int {
	i, exact := slices.BinarySearchFunc(s.segments, seq, func(seg *segment, seq uint64) int {
		switch {
		case seg.base < seq:
			return -1
		case seg.base > seq:
			return 1
		}
		return 0
	})
	if !exact && i > 0 {
		i--
	}
	return i
}
