package collector

import (
	"maps"
	"sync"
	"time"

	"sluice/consent"
)

// Unavailable is why an event is refused whose request was told to come back:
// the spool could not keep it.
const Unavailable consent.Reason = "unavailable"

// Account is what became of events. The four figures are counted in four
// places: at the door, where events are refused, by the spool's committer and
// by the writer behind it.
type Account struct {
	Received uint64 // in requests that could be read
	Refused  map[consent.Reason]uint64
	Kept     uint64 // on disk in the spool
	Stored   uint64 // in ClickHouse
	Dead     uint64 // refused by ClickHouse, kept with the reason
}

// Waiting is how many lie in the spool alone.
func (a Account) Waiting() uint64 { return a.Kept - min(a.Kept, a.Stored+a.Dead) }

// Unaccounted is received − refused − stored − dead − waiting: 0, or something
// is lost or counted twice. Events of a request under way are neither.
func (a Account) Unaccounted() int64 {
	n := int64(a.Received) - int64(a.Stored) - int64(a.Dead) - int64(a.Waiting())
	for _, refused := range a.Refused {
		n -= int64(refused)
	}
	return n
}

func (a *Account) refuse(reasons map[consent.Reason]int) {
	for reason, n := range reasons {
		if a.Refused == nil {
			a.Refused = map[consent.Reason]uint64{}
		}
		a.Refused[reason] += uint64(n)
	}
}

func (a Account) clone() Account {
	a.Refused = maps.Clone(a.Refused)
	return a
}

// Minute is the account of the events that were received within one.
type Minute struct {
	Start time.Time
	Account
}

// balanceMinutes is how long accounts are kept by the minute.
const balanceMinutes = 24 * 60

// Balance keeps the account of every site since the start, and by the minute
// for the last day with traffic. It is safe for concurrent use.
type Balance struct {
	since time.Time

	mu    sync.Mutex
	sites map[string]*siteBalance
}

type siteBalance struct {
	total   Account
	carried uint64 // waiting, received before the start or before the first of minutes
	before  uint64 // of these, what was received before the start
	minutes []Minute
	settled int // minutes before this one wait for nothing
}

// NewBalance returns a balance of nothing.
func NewBalance(now time.Time) *Balance {
	return &Balance{since: now, sites: map[string]*siteBalance{}}
}

func (b *Balance) site(name string) *siteBalance {
	s := b.sites[name]
	if s == nil {
		s = &siteBalance{}
		b.sites[name] = s
	}
	return s
}

// minute returns the account of a moment. Moments come nearly in order; one
// before the first minute counts there.
func (s *siteBalance) minute(at time.Time) *Minute {
	start := at.UTC().Truncate(time.Minute)
	for i := len(s.minutes) - 1; i >= 0; i-- {
		if !s.minutes[i].Start.After(start) {
			if s.minutes[i].Start.Equal(start) {
				return &s.minutes[i]
			}
			break
		}
		if i == 0 {
			return &s.minutes[0]
		}
	}
	if n := len(s.minutes); n > 0 && s.minutes[n-1].Start.After(start) {
		return &s.minutes[n-1] // a minute without traffic until its end
	}
	if len(s.minutes) == balanceMinutes {
		s.carried += s.minutes[0].Waiting()
		s.minutes = append(s.minutes[:0], s.minutes[1:]...)
		s.settled = max(s.settled-1, 0)
	}
	s.minutes = append(s.minutes, Minute{Start: start})
	return &s.minutes[len(s.minutes)-1]
}

// Request counts what one request brought, and what of it was refused.
func (b *Balance) Request(site string, received time.Time, events int, refused map[consent.Reason]int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.site(site)
	for _, a := range []*Account{&s.total, &s.minute(received).Account} {
		a.Received += uint64(events)
		a.refuse(refused)
	}
}

// Kept counts events that are on disk, in the order of the spool.
func (b *Balance) Kept(site string, received time.Time, events int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.site(site)
	s.total.Kept += uint64(events)
	s.minute(received).Kept += uint64(events)
}

// Carried counts events that waited in the spool when the server started.
func (b *Balance) Carried(site string, events int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.site(site)
	s.carried += uint64(events)
	s.before += uint64(events)
}

// Settled counts what the writer is done with, in the order of the spool: first
// what was carried, then minute by minute.
func (b *Balance) Settled(site string, stored, dead int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.site(site)
	for _, of := range []struct {
		n     uint64
		count func(*Account) *uint64
	}{{uint64(stored), func(a *Account) *uint64 { return &a.Stored }}, {uint64(dead), func(a *Account) *uint64 { return &a.Dead }}} {
		left := of.n
		from := min(left, s.carried)
		s.carried -= from
		left -= from
		old := min(from, s.before)
		s.before -= old
		*of.count(&s.total) += of.n - old
		for left > 0 && s.settled < len(s.minutes) {
			m := &s.minutes[s.settled]
			n := min(left, m.Waiting())
			*of.count(&m.Account) += n
			if left -= n; m.Waiting() == 0 {
				if s.settled == len(s.minutes)-1 {
					break // more may come of this minute
				}
				s.settled++
			}
		}
	}
}

// Of returns a site's account since the start, by the minute, and how many
// events from before the start wait still.
func (b *Balance) Of(site string) (total Account, minutes []Minute, carried uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[site]
	if s == nil {
		return Account{}, nil, 0
	}
	minutes = make([]Minute, len(s.minutes))
	for i, m := range s.minutes {
		minutes[i] = Minute{Start: m.Start, Account: m.clone()}
	}
	return s.total.clone(), minutes, s.before
}

// Since is when counting began.
func (b *Balance) Since() time.Time { return b.since }
