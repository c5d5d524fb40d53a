package collector

import (
	"crypto/sha256"
	"sync"
	"time"

	"sluice/consent"
)

// duplicateWindow is how long an event id is remembered (design, section 6).
const duplicateWindow = 24 * time.Hour

// duplicateBucket is the step in which ids are forgotten.
const duplicateBucket = time.Hour

// maxRemembered bounds the memory of event ids, about 80 bytes each. Beyond it
// the oldest hour is forgotten early.
const maxRemembered = 1 << 20

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
type duplicates struct {
	mu    sync.Mutex
	seen  map[EventKey]int64 // hour since 1970 in which it was reserved
	hours []hourOfKeys       // oldest first
}

type hourOfKeys struct {
	hour int64
	keys []EventKey
}

// hourOf numbers the hours since 1970.
func hourOf(t time.Time) int64 { return t.Unix() / int64(duplicateBucket/time.Second) }

func newDuplicates() *duplicates { return &duplicates{seen: map[EventKey]int64{}} }

// reserve remembers key; false if it is there already.
func (d *duplicates) reserve(key EventKey, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.seen[key]; there {
		return false
	}
	hour := hourOf(now)
	if n := len(d.hours); n == 0 || d.hours[n-1].hour < hour {
		d.hours = append(d.hours, hourOfKeys{hour: hour})
	}
	last := &d.hours[len(d.hours)-1]
	d.seen[key] = last.hour
	last.keys = append(last.keys, key)
	for len(d.seen) > maxRemembered {
		d.forgetOldest()
	}
	return true
}

// release forgets a reservation whose event was not kept.
func (d *duplicates) release(key EventKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, key)
}

// sweep forgets what is older than the window.
func (d *duplicates) sweep(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := hourOf(now.Add(-duplicateWindow))
	for len(d.hours) > 0 && d.hours[0].hour < limit {
		d.forgetOldest()
	}
}

// forgetOldest drops the first hour. A key that was released and reserved
// again belongs to its later hour.
func (d *duplicates) forgetOldest() {
	first := d.hours[0]
	for _, key := range first.keys {
		if hour, there := d.seen[key]; there && hour == first.hour {
			delete(d.seen, key)
		}
	}
	d.hours = d.hours[1:]
}
