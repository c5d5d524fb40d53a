package spool

import (
	"cmp"
	"slices"
	"time"
)

// Stats is the state of a spool at one moment. Counts are since Open.
type Stats struct {
	Next     uint64 // seq of the next record
	Oldest   uint64 // the first seq that a consumer has not accepted; Next if there is none
	Bytes    int64  // of segments on disk, the prepared one included
	MaxBytes int64
	Full     bool // the last append was refused for MaxBytes, and nothing has been freed since
	Segments int

	Frames   uint64 // synced
	Failures uint64 // failed writes and syncs, each of which ended a segment
	Sync     SyncStats

	TornBytes int64              // cut behind the last whole frame when the spool was opened
	Lost      []LostRange        // records that cannot be read any more
	Damage    []*CorruptionError // where, and in what else; see the log for the story

	Consumers []ConsumerStats // by name
}

// SyncStats is how long the disk took to sync a frame.
type SyncStats struct {
	Last, Max time.Duration
	Mean      time.Duration // over the last hundred or so
}

// LostRange is a range of seqs, both included.
type LostRange struct {
	From, To uint64
}

// ConsumerStats is where one consumer stands. One with a cursor that is not
// running holds on to its segments all the same.
type ConsumerStats struct {
	Name    string
	Running bool
	Next    uint64 // the first seq not accepted
	Behind  uint64 // records not accepted, those it filters out included
	// Since is when the oldest of them was committed, or the consumer started if
	// that was later. Zero if there is none or it is not running.
	Since   time.Time
	Yielded uint64 // records given up because the spool was nearly full, since Open
	Attempt int    // failed ones of the batch in flight
	Err     error  // why the last one failed, or why the consumer cannot run
}

// counters are guarded by Spool.mu.
type counters struct {
	bytes     int64
	full      bool
	frames    uint64
	failures  uint64
	sync      SyncStats
	tornBytes int64
	lost      []LostRange
	damage    []*CorruptionError
}

// frame counts a synced frame.
func (c *counters) frame(took time.Duration) {
	c.frames++
	c.sync.Last = took
	c.sync.Max = max(c.sync.Max, took)
	if c.frames == 1 {
		c.sync.Mean = took
	}
	c.sync.Mean += (took - c.sync.Mean) / 64
}

// Stats returns the state of the spool now.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.stats
	st := Stats{
		Next: s.committed + 1, Oldest: s.committed + 1,
		Bytes: c.bytes, MaxBytes: s.o.MaxBytes, Full: c.full, Segments: len(s.segments),
		Frames: c.frames, Failures: c.failures, Sync: c.sync,
		TornBytes: c.tornBytes, Lost: slices.Clone(c.lost), Damage: slices.Clone(c.damage),
	}
	for _, c := range s.consumers {
		cs := ConsumerStats{Name: c.name, Running: c.running, Next: c.next, Yielded: c.yielded, Attempt: c.attempt, Err: c.lastErr}
		if c.broken != nil {
			cs.Err = c.broken
		}
		cs.Behind = st.Next - min(c.next, st.Next)
		cs.Since = c.batch
		if cs.Since.IsZero() {
			cs.Since = c.pending
		}
		st.Oldest = min(st.Oldest, c.next)
		st.Consumers = append(st.Consumers, cs)
	}
	slices.SortFunc(st.Consumers, func(a, b ConsumerStats) int { return cmp.Compare(a.Name, b.Name) })
	return st
}

// reportDamage notes and logs what was found damaged.
func (s *Spool) reportDamage(e *CorruptionError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.damage = append(s.stats.damage, e)
	s.log.Error("spool is damaged", "segment", e.File, "offset", e.Offset, "err", e.Err)
}

// reportLost notes and logs records that are gone, once: recovery, the scrub
// and every consumer come past the same place.
func (s *Spool) reportLost(seg *segment, from, to uint64, off int64, why error) {
	s.mu.Lock()
	for _, l := range s.stats.lost {
		if l.From <= from && to <= l.To {
			s.mu.Unlock()
			return
		}
	}
	s.stats.lost = append(s.stats.lost, LostRange{from, to})
	seg.damaged = true
	s.mu.Unlock()
	s.log.Error("records are lost", "from", from, "to", to)
	s.reportDamage(&CorruptionError{File: seg.name, Offset: off, Err: why})
}
