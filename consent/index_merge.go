package consent

import (
	"cmp"
	"slices"
	"time"
)

// TakenBack is what a later index takes back from one consent and an earlier
// one does not: what was collected under it has to be anonymised or erased in
// rows that were put back from a time before.
type TakenBack struct {
	Consent ID

	// Erasure says that the visitor asked for it: of everything collected up to
	// record Seq of spool Spool. Otherwise it is a withdrawal of the site's own
	// statistics, at At.
	Erasure bool
	Spool   ID
	Seq     uint64
	At      time.Time
}

// Merge puts everything in force that later knows, and returns what that takes
// back from the site's own statistics beyond what x did, by consent.
func (x *Index) Merge(later *Index) []TakenBack {
	later.mu.RLock()
	defer later.mu.RUnlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []TakenBack
	for id, c := range later.cuts {
		if c.statistics() > x.cuts[id].statistics() {
			out = append(out, TakenBack{Consent: id, At: c.withdrawn()})
		}
		x.cuts[id] = x.cuts[id].merge(c)
	}
	for id, t := range later.tombs {
		// The same erasure may have been moved to another spool (MoveTo).
		if known, ok := x.tombs[id]; ok && known.Expires >= t.Expires {
			continue
		}
		out = append(out, TakenBack{Consent: id, Erasure: true, Spool: t.Spool, Seq: t.Seq})
		x.tombs[id] = t
	}
	x.mergeContacts(later)
	slices.SortFunc(out, func(a, b TakenBack) int {
		return cmp.Or(slices.Compare(a.Consent[:], b.Consent[:]), cmp.Compare(a.Seq, b.Seq))
	})
	return out
}

// MoveTo says that records are numbered anew from here on, in another spool:
// what was to be erased has been, and none of the new records is older.
func (x *Index) MoveTo(spool ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, t := range x.tombs {
		x.tombs[id] = tomb{Spool: spool, Expires: t.Expires}
	}
}

// statistics is the moment before which tokens are dead for the site's own
// statistics, in Unix seconds; 0 where the cut leaves those alone.
func (c *Cut) statistics() uint32 {
	if c == nil {
		return 0
	}
	return max(c.All, c.Purposes[StatisticsUse.Purpose], c.Services[StatisticsUse.Service])
}

// withdrawn is when the decision was made that cut statistics.
func (c *Cut) withdrawn() time.Time {
	at := c.statistics()
	if at == Forever {
		at = c.Latest
	}
	return time.Unix(int64(at), 0).UTC()
}
