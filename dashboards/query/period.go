package query

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period is a span of a site's calendar, From <= time < To, in the site's zone.
type Period struct{ From, To time.Time }

// Names of periods that end with today: day, month, year, all, and N days or
// months as Nd and Nmo.
const (
	PeriodDay   = "day"
	PeriodMonth = "month" // since its first day
	PeriodYear  = "year"  // since its first day
	PeriodAll   = "all"   // since the site's first event
)

// periodNames is what a remedy lists.
const periodNames = "day, 7d, 28d, 30d, 91d, month, 6mo, 12mo, year, all, or [from, to] as dates"

// Bounds of Nd and Nmo.
const (
	maxDays   = 3660
	maxMonths = 120
)

// Named returns the period of that name around now, today included. N months
// are the current one and the N-1 before it. For PeriodAll, first is the site's
// first event. ok is false where there is no such name.
func Named(name string, zone *time.Location, now, first time.Time) (p Period, ok bool) {
	now = now.In(zone)
	today := midnight(now.Year(), now.Month(), now.Day(), zone)
	p.To = nextMidnight(today)
	switch name {
	case PeriodDay:
		p.From = today
	case PeriodMonth:
		p.From = midnight(today.Year(), today.Month(), 1, zone)
	case PeriodYear:
		p.From = midnight(today.Year(), time.January, 1, zone)
	case PeriodAll:
		p.From = today
		if first = first.In(zone); !first.IsZero() && first.Before(today) {
			p.From = midnight(first.Year(), first.Month(), first.Day(), zone)
		}
	default:
		if n, ok := number(name, "mo", maxMonths); ok {
			p.From = midnight(today.Year(), today.Month()-time.Month(n-1), 1, zone)
			return p, true
		}
		if n, ok := number(name, "d", maxDays); ok {
			p.From = midnight(today.Year(), today.Month(), today.Day()-(n-1), zone)
			return p, true
		}
		return Period{}, false
	}
	return p, true
}

// number reads "30d" as 30, where that is from 1 to limit.
func number(name, unit string, limit int) (int, bool) {
	digits, ok := strings.CutSuffix(name, unit)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 1 && n <= limit && digits[0] != '+'
}

// midnight is the first moment of a day in a zone: where clocks skip 00:00 the
// one after the gap, where 00:00 comes twice the first. Days and months out of
// range carry over, as in time.Date.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	noon := time.Date(year, month, day, 12, 0, 0, 0, zone)
	start := noon.Add(-12 * time.Hour)
	change, _ := noon.ZoneBounds()
	if change.IsZero() {
		return start
	}
	_, is := noon.Zone()
	_, was := change.Add(-time.Nanosecond).Zone()
	if before := start.Add(time.Duration(is-was) * time.Second); before.Before(change) {
		return before
	}
	if start.Before(change) {
		return change
	}
	return start
}

func nextMidnight(day time.Time) time.Time {
	return midnight(day.Year(), day.Month(), day.Day()+1, day.Location())
}

// Dates returns the period from the first to the last date (2006-01-02), both
// included. The error's text is for whoever asked.
func Dates(from, to string, zone *time.Location) (Period, error) {
	var bounds [2]time.Time
	for i, s := range []string{from, to} {
		t, err := time.Parse(time.DateOnly, s)
		if err != nil || t.Year() < 2000 || t.Year() > 2099 {
			return Period{}, fmt.Errorf("%q is no date from 2000-01-01 to 2099-12-31", s)
		}
		bounds[i] = t
	}
	f, l := bounds[0], bounds[1]
	if l.Before(f) {
		return Period{}, fmt.Errorf("the period ends (%s) before it begins (%s)", to, from)
	}
	return Period{
		From: midnight(f.Year(), f.Month(), f.Day(), zone),
		To:   midnight(l.Year(), l.Month(), l.Day()+1, zone),
	}, nil
}

// times reads [from, to] with times of day, to the second that to names.
func times(from, to string, zone *time.Location) (Period, bool) {
	f, err1 := time.Parse(time.RFC3339, from)
	t, err2 := time.Parse(time.RFC3339, to)
	if err1 != nil || err2 != nil || t.Before(f) || f.Year() < 2000 || t.Year() > 2099 {
		return Period{}, false
	}
	return Period{From: f.In(zone), To: t.In(zone).Truncate(time.Second).Add(time.Second)}, true
}

// readPeriod reads date_range. The error's text is for whoever asked.
func readPeriod(raw json.RawMessage, zone *time.Location, now, first time.Time) (Period, error) {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		p, ok := Named(name, zone, now, first)
		if !ok {
			return p, fmt.Errorf("%q is no period: use %s", name, periodNames)
		}
		return p, nil
	}
	var bounds []string
	if json.Unmarshal(raw, &bounds) != nil || len(bounds) != 2 {
		return Period{}, fmt.Errorf("is missing or no period: use %s", periodNames)
	}
	if p, ok := times(bounds[0], bounds[1], zone); ok {
		return p, nil
	}
	return Dates(bounds[0], bounds[1], zone)
}

// maxLabels bounds how many buckets of time are listed.
const maxLabels = 20_000

// Labels lists what a time dimension's buckets in the period are called, first
// to last, also those in which nothing happened; false where there are too
// many.
func (p Period) Labels(dimension string) ([]string, bool) {
	var out []string
	zone := p.From.Location()
	for t := p.From; t.Before(p.To); {
		if len(out) == maxLabels {
			return nil, false
		}
		y, m, d := t.Date()
		switch dimension {
		case "time:hour":
			from, to := hourOf(t)
			out = append(out, from.Format(time.DateTime))
			t = to
		case "time:day":
			out = append(out, t.Format(time.DateOnly))
			t = midnight(y, m, d+1, zone)
		case "time:week":
			out = append(out, t.Format(time.DateOnly))
			t = midnight(y, m, d+7-(int(t.Weekday())+6)%7, zone)
		case "time:month":
			out = append(out, time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
			t = midnight(y, m+1, 1, zone)
		default:
			return nil, true
		}
	}
	return out, true
}

// hourOf bounds the hour on the clock that t is in. Where clocks change within an
// hour (by half of one on Lord Howe), the change divides it.
func hourOf(t time.Time) (from, to time.Time) {
	t = t.Truncate(time.Second)
	from = t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second)
	to = from.Add(time.Hour)
	last, next := t.ZoneBounds()
	if from.Before(last) {
		from = last
	}
	if !next.IsZero() && next.Before(to) {
		to = next
	}
	return from, to
}
