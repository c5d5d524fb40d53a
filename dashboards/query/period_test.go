package query

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	// 26 October 2026, 00:30 in Berlin, the day after clocks went back; still
	// the 25th in UTC.
	now := time.Date(2026, 10, 25, 23, 30, 0, 0, time.UTC)
	first := time.Date(2026, 9, 30, 22, 30, 0, 0, time.UTC)
	tests := []struct{ name, from, to string }{
		{"day", "2026-10-26T00:00:00+01:00", "2026-10-27T00:00:00+01:00"},
		{"7d", "2026-10-20T00:00:00+02:00", "2026-10-27T00:00:00+01:00"},
		{"30d", "2026-09-27T00:00:00+02:00", "2026-10-27T00:00:00+01:00"},
		{"month", "2026-10-01T00:00:00+02:00", "2026-10-27T00:00:00+01:00"},
		{"6mo", "2026-05-01T00:00:00+02:00", "2026-10-27T00:00:00+01:00"},
		{"12mo", "2025-11-01T00:00:00+01:00", "2026-10-27T00:00:00+01:00"},
		{"year", "2026-01-01T00:00:00+01:00", "2026-10-27T00:00:00+01:00"},
		{"all", "2026-10-01T00:00:00+02:00", "2026-10-27T00:00:00+01:00"},
	}
	for _, tt := range tests {
		p, ok := Named(tt.name, berlin, now, first)
		if !ok {
			t.Errorf("%s: is no period", tt.name)
			continue
		}
		got := [2]string{p.From.Format(time.RFC3339), p.To.Format(time.RFC3339)}
		if want := [2]string{tt.from, tt.to}; got != want {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
	}
	for _, name := range []string{"", "0d", "-1d", "+7d", "4000d", "13", "mo", "decade", "121mo"} {
		if p, ok := Named(name, berlin, now, first); ok {
			t.Errorf("%q: got %v, want no period", name, p)
		}
	}
}

// TestMidnight takes zones whose clocks change at midnight.
func TestMidnight(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, zone, day, want string }{
		{"an ordinary day", "Europe/Berlin", "2026-07-01", "2026-07-01T00:00:00+02:00"},
		{"clocks go forward in the night", "Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00"},
		{"clocks go back in the night", "Europe/Berlin", "2026-10-25", "2026-10-25T00:00:00+02:00"},
		{"00:00 is skipped", "Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00"},
		{"00:00 comes twice", "America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00"},
		{"the day before had 25 hours", "Africa/Cairo", "2026-10-30", "2026-10-30T00:00:00+02:00"},
		{"half an hour off", "Australia/Lord_Howe", "2026-10-04", "2026-10-04T00:00:00+10:30"},
		{"no rules at all", "UTC", "2026-10-04", "2026-10-04T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			zone := mustZone(tt.zone)
			day, err := time.Parse(time.DateOnly, tt.day)
			if err != nil {
				t.Fatal(err)
			}
			got := midnight(day.Year(), day.Month(), day.Day(), zone)
			if s := got.Format(time.RFC3339); s != tt.want {
				t.Errorf("midnight of %s in %s: got %s, want %s", tt.day, tt.zone, s, tt.want)
			}
			if before := got.Add(-time.Second).Format(time.DateOnly); before >= tt.day {
				t.Errorf("a second before the first moment of %s is on %s already", tt.day, before)
			}
		})
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	p, err := Dates("2026-10-25", "2026-10-25", berlin)
	if err != nil {
		t.Fatal(err)
	}
	if d := p.To.Sub(p.From); d != 25*time.Hour {
		t.Errorf("the day on which clocks go back has %v, want 25h", d)
	}
	for _, bad := range [][2]string{{"2026-10-25", "2026-10-24"}, {"2026-13-01", "2026-10-24"}, {"", ""}, {"1999-12-31", "2026-01-01"}, {"2026-01-01", "2100-01-01"}, {"25.10.2026", "26.10.2026"}} {
		if _, err := Dates(bad[0], bad[1], berlin); err == nil {
			t.Errorf("Dates(%q, %q) is accepted", bad[0], bad[1])
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	p, err := Dates("2026-10-24", "2026-11-02", berlin)
	if err != nil {
		t.Fatal(err)
	}
	hours, _ := p.Labels("time:hour")
	if got, want := hours[24:29], []string{"2026-10-25 00:00:00", "2026-10-25 01:00:00", "2026-10-25 02:00:00", "2026-10-25 02:00:00", "2026-10-25 03:00:00"}; !cmp.Equal(got, want) {
		t.Errorf("hours of the 25th: got %v, want %v", got, want)
	}
	weeks, _ := p.Labels("time:week")
	if want := []string{"2026-10-24", "2026-10-26", "2026-11-02"}; !cmp.Equal(weeks, want) {
		t.Errorf("weeks: got %v, want %v", weeks, want)
	}
	months, _ := p.Labels("time:month")
	if want := []string{"2026-10-01", "2026-11-01"}; !cmp.Equal(months, want) {
		t.Errorf("months: got %v, want %v", months, want)
	}
	century, err := Dates("2000-01-01", "2099-12-31", berlin)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := century.Labels("time:hour"); ok {
		t.Errorf("a century has %d hours to label, want a refusal", len(got))
	}
}
