package store

import (
	"testing"
	"time"

	"sluice/collector"
)

// TestSentUntil: what was sent tells of an event, and goes when that does, or
// with its row where the row goes first.
func TestSentUntil(t *testing.T) {
	t.Parallel()
	f := collector.Forward{Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Sent: "x"}
	for _, c := range []struct {
		name             string
		events, forwards Period
		want             string
	}{
		{"events go first", Period{Days: 30}, Period{Months: 13}, "2026-04-01"},
		{"outcomes go first", Period{Months: 25}, Period{Months: 13}, "2027-04-02"},
	} {
		row := newForwardRow(&f, origin{}, Retention{Events: c.events, Forwards: c.forwards})
		if got := row.SentUntil.Format(time.DateOnly); got != c.want || row.SentUntil.After(row.KeepUntil) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestKeepUntil(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // 1 February in UTC
	for _, c := range []struct {
		name string
		keep Period
		want string
	}{
		{"nothing said", Period{}, "2029-02-02"},
		{"months", Period{Months: 25}, "2028-03-02"},
		{"days", Period{Days: 7}, "2026-02-09"},
		{"the ceiling", Period{Months: 36}, "2029-02-02"},
		{"beyond the ceiling", Period{Months: 48}, "2029-02-02"},
	} {
		if got := keepUntil(at, c.keep).Format(time.DateOnly); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
