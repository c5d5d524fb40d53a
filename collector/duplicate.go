package collector

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"sluice/consent"
)

// duplicateWindow is how long an event id is remembered (design, section 6).
const duplicateWindow = 24 * time.Hour

// duplicateBucket is the step in which ids are forgotten.
const duplicateBucket = time.Hour

// EventKey is 128 bits of the hash of site, consent and event id.
type EventKey [16]byte

func keyOf(site string, c consent.ID, id string) EventKey {
	b := make([]byte, 0, 192)
	b = append(append(b, site...), 0)
	b = append(append(b, c[:]...), id...)
	sum := sha256.Sum256(b)
	return EventKey(sum[:16])
}

// duplicates remembers the ids of events for duplicateWindow. An id is
// reserved before its event is appended, so that of two requests with the same
// event one wins, and released if it could not be kept. It is safe for
// concurrent use.
//
// It is a hash table of 8 bytes a place, without pointers for the garbage
// collector to follow: 56 bits of the key, and the hour in which it was
// reserved. A key lies in one of two sets of eight places, in the one with more
// room; what is out of the window is room. Where both are full the table
// doubles, or, when it may not grow any more, forgets the oldest of the sixteen
// early. With all places taken, one new id in 10¹² is mistaken for another.
type duplicates struct {
	shards [duplicateShards]duplicateShard
}

// The table is in parts: only requests of one part wait while it doubles, for
// about a millisecond.
const (
	duplicateShards = 64
	duplicatePlaces = 8 // of a set: a line of the processor's cache
	firstSets       = 8 // of a part
	maxSets         = 8192
)

// maxRemembered is how many ids there are places for, in 32 MiB. The first is
// forgotten early where some two thirds of them are taken.
const maxRemembered = duplicateShards * maxSets * duplicatePlaces

type duplicateShard struct {
	mu   sync.Mutex
	sets []placeSet
	most int // sets that it may grow to
}

type placeSet [duplicatePlaces]place

// place is 56 bits of a key, and in the last byte the hour since 1970 modulo
// 256; 0 is an empty one.
type place uint64

func placeOf(key EventKey, hour int64) place {
	return place(binary.BigEndian.Uint64(key[:]))&^0xff | place(uint8(hour))
}

// windowHours is how many hours count besides the current one.
const windowHours = uint8(duplicateWindow / duplicateBucket)

// age is how many hours before hour the place was taken; 0 for what seems to
// come from the future, reserved before the clock was set back.
func (p place) age(hour int64) uint8 {
	if age := uint8(hour) - uint8(p); age < 128 {
		return age
	}
	return 0
}

// free reports whether nothing is there that still counts.
func (p place) free(hour int64) bool { return p == 0 || p.age(hour) > windowHours }

// hourOf numbers the hours since 1970.
func hourOf(t time.Time) int64 { return t.Unix() / int64(duplicateBucket/time.Second) }

// newDuplicates returns an empty table of at most so many sets in each part, a
// power of two.
func newDuplicates(sets int) *duplicates {
	d := &duplicates{}
	for i := range d.shards {
		d.shards[i].sets, d.shards[i].most = make([]placeSet, min(firstSets, sets)), sets
	}
	return d
}

func (d *duplicates) shard(key EventKey) *duplicateShard { return &d.shards[key[15]%duplicateShards] }

// reserve remembers key; false if it is there already.
func (d *duplicates) reserve(key EventKey, now time.Time) bool {
	hour := hourOf(now)
	p, s := placeOf(key, hour), d.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(p)
	if at != nil && !at.free(hour) {
		return false
	}
	for at == nil {
		if at = s.room(p, hour); !at.free(hour) && len(s.sets) < s.most {
			s.double(hour)
			at = nil
		}
	}
	*at = p
	return true
}

// release forgets a reservation whose event was not kept.
func (d *duplicates) release(key EventKey) {
	s := d.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.find(placeOf(key, 0)); at != nil {
		*at = 0
	}
}

// sweep empties what is out of the window, before its hour comes round again.
func (d *duplicates) sweep(now time.Time) {
	for i := range d.shards {
		d.shards[i].sweep(hourOf(now))
	}
}

func (s *duplicateShard) sweep(hour int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.sets {
		for j, p := range s.sets[i] {
			if p.free(hour) {
				s.sets[i][j] = 0
			}
		}
	}
}

// two returns the sets in which a key may lie.
func (s *duplicateShard) two(p place) [2]*placeSet {
	n := uint64(len(s.sets))
	return [...]*placeSet{&s.sets[uint64(p)>>8%n], &s.sets[uint64(p)>>32%n]}
}

// find returns where a key is; nil: nowhere.
func (s *duplicateShard) find(p place) *place {
	for _, set := range s.two(p) {
		for i := range set {
			if set[i] != 0 && (set[i]^p)>>8 == 0 {
				return &set[i]
			}
		}
	}
	return nil
}

// room returns the place for a key that is nowhere: a free one in the set that
// has more of them, or the oldest of both.
func (s *duplicateShard) room(p place, hour int64) *place {
	var best *place
	most := 0
	for _, set := range s.two(p) {
		if at, free := set.room(hour); best == nil || free > most || free == most && free == 0 && at.age(hour) > best.age(hour) {
			best, most = at, free
		}
	}
	return best
}

// room returns a free place and how many there are, or the oldest and 0.
func (set *placeSet) room(hour int64) (at *place, free int) {
	at = &set[0]
	for i := range set {
		switch p := &set[i]; {
		case p.free(hour):
			at, free = p, free+1
		case free == 0 && p.age(hour) > at.age(hour):
			at = p
		}
	}
	return at, free
}

// double gives every key new places in a table twice the size. Half of it is
// empty, so no two sets are full at once.
func (s *duplicateShard) double(hour int64) {
	old := s.sets
	s.sets = make([]placeSet, 2*len(old))
	for i := range old {
		for _, p := range old[i] {
			if !p.free(hour) {
				*s.room(p, hour) = p
			}
		}
	}
}
