package store

import "time"

// Period is a span of the calendar.
type Period struct{ Months, Days int }

// Retention is how long the rows of one site are kept. A zero period means the
// ceiling, 36 months.
type Retention struct{ Events, Receipts, Forwards, Counters Period }

// DefaultRetention is what a site keeps that says nothing.
var DefaultRetention = Retention{
	Events: Period{Months: 25}, Receipts: Period{Months: 36}, Forwards: Period{Months: 13}, Counters: Period{Months: 36},
}

// ceiling is the longest time that anything is kept; test rows go earlier.
var (
	ceiling  = Period{Months: 36}
	testRows = Period{Days: 7}
)

// keepUntil is the first day on which a row of the moment at may be deleted: a
// Date expires as it begins, so it is the day after the last.
func keepUntil(at time.Time, keep Period) time.Time {
	at = at.UTC()
	last := at.AddDate(0, ceiling.Months, 0)
	if wanted := at.AddDate(0, keep.Months, keep.Days); keep != (Period{}) && wanted.Before(last) {
		last = wanted
	}
	return last.Truncate(24*time.Hour).AddDate(0, 0, 1)
}
