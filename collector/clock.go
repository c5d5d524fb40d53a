package collector

import (
	"math"
	"time"

	"sluice/collector/jsonreader"
	"sluice/consent"
)

// maxAge is how old an event may be: GA4 attributes nothing later to its
// session, and a clock that is further off is not a clock.
const maxAge = consent.MaxEventAge

// eventTime returns when an event counts as having happened (design, section
// 6). ts and sent are the client's clock in Unix ms. With both,
// only their difference counts, so a clock that is a week off does no harm.
// What seems to come from the future happened now. ok is false for an event
// older than maxAge, or at no time at all.
func eventTime(received time.Time, ts, sent jsonreader.Optional) (at time.Time, ok bool) {
	if !ts.Set {
		return received, true
	}
	now := float64(received.UnixMilli())
	if sent.Set {
		now = sent.Value
	}
	age := math.Round(now - ts.Value)
	if !(age <= float64(maxAge.Milliseconds())) { // also not a number
		return time.Time{}, false
	}
	if age <= 0 {
		return received, true
	}
	return received.Add(-time.Duration(age) * time.Millisecond), true
}
