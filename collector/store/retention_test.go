package store

import (
	"testing"
	"time"
)

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
