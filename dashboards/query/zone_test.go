package query

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/store/storetest"
)

// TestZones counts one pageview every 15 minutes around days on which clocks
// change, and in zones that are not a whole number of hours from UTC: every
// bucket has as many as it has quarters of an hour, and together they have all
// of them.
func TestZones(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	const insert = `INSERT INTO events (site, ts, seq, visitor, session, name, keep_until)
		SELECT 'zone.example', toDateTime64('%s', 3, 'UTC') + INTERVAL number * 15 MINUTE, number, 'v', toString(number), 'pageview', '2100-01-01'
		FROM numbers(%d)`
	for _, from := range []string{"2026-03-27 00:00:00", "2026-04-03 00:00:00", "2026-10-02 00:00:00", "2026-10-23 00:00:00"} {
		if err := conn.Exec(t.Context(), fmt.Sprintf(insert, from, 5*24*4)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		zone, from, to string
		dimension      string
		want           []bucket
	}{
		{"Europe/Berlin", "2026-03-28", "2026-03-30", "time:day", []bucket{{"2026-03-28", 96}, {"2026-03-29", 92}, {"2026-03-30", 96}}},
		{"Europe/Berlin", "2026-10-24", "2026-10-26", "time:day", []bucket{{"2026-10-24", 96}, {"2026-10-25", 100}, {"2026-10-26", 96}}},
		{"Asia/Kolkata", "2026-03-28", "2026-03-30", "time:day", []bucket{{"2026-03-28", 96}, {"2026-03-29", 96}, {"2026-03-30", 96}}},
		{"America/St_Johns", "2026-03-28", "2026-03-30", "time:day", []bucket{{"2026-03-28", 96}, {"2026-03-29", 96}, {"2026-03-30", 96}}},
		{"UTC", "2026-10-24", "2026-10-26", "time:day", []bucket{{"2026-10-24", 96}, {"2026-10-25", 96}, {"2026-10-26", 96}}},
		// 02:00 does not exist on the last Sunday in March, and comes twice on that in October.
		{"Europe/Berlin", "2026-03-29", "2026-03-29", "time:hour", hours("2026-03-29", 2, -1)},
		{"Europe/Berlin", "2026-10-25", "2026-10-25", "time:hour", hours("2026-10-25", -1, 2)},
		{"Asia/Kolkata", "2026-03-29", "2026-03-29", "time:hour", hours("2026-03-29", -1, -1)},
		{"America/St_Johns", "2026-10-25", "2026-10-25", "time:hour", hours("2026-10-25", -1, -1)},
		// Clocks change by half an hour: from 02:00 to 02:30, and from 02:00 back to 01:30.
		{"Australia/Lord_Howe", "2026-10-04", "2026-10-04", "time:hour", slices.Insert(hours("2026-10-04", 2, -1), 2, bucket{"2026-10-04 02:30:00", 2})},
		{"Australia/Lord_Howe", "2026-04-05", "2026-04-05", "time:hour", slices.Insert(hours("2026-04-05", -1, -1), 2, bucket{"2026-04-05 01:30:00", 2})},
		{"Australia/Lord_Howe", "2026-10-04", "2026-10-05", "time:day", []bucket{{"2026-10-04", 94}, {"2026-10-05", 96}}},
		{"Europe/Berlin", "2026-03-28", "2026-03-30", "time:week", []bucket{{"2026-03-28", 96 + 92}, {"2026-03-30", 96}}},
		{"Europe/Berlin", "2026-10-24", "2026-10-26", "time:month", []bucket{{"2026-10-01", 96 + 100 + 96}}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s by %s", tt.zone, tt.from, tt.dimension[5:]), func(t *testing.T) {
			t.Parallel()
			zone := mustZone(tt.zone)
			p, err := Dates(tt.from, tt.to, zone)
			if err != nil {
				t.Fatal(err)
			}
			by, _ := FindDimension(tt.dimension)
			for _, metric := range []string{"pageviews", "visits"} { // of events, and of visits
				q := Query{Site: "zone.example", Zone: zone, From: p.From, To: p.To, Metrics: metricsNamed(t, metric), Dimensions: []Dimension{by}}
				result, err := Run(t.Context(), conn, q)
				if err != nil {
					t.Fatal(err)
				}
				var got []bucket
				for _, row := range result.Rows {
					got = append(got, bucket{row.Dimensions[0], row.Metrics[0]})
				}
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(bucket{})); diff != "" {
					t.Errorf("%s (-want +got):\n%s", metric, diff)
				}
				labels, _ := p.Labels(tt.dimension)
				var names []string
				for _, b := range tt.want {
					names = append(names, b.name)
				}
				if diff := cmp.Diff(names, labels); diff != "" {
					t.Errorf("labels (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// bucket is one of time, with how many pageviews it has.
type bucket struct {
	name     string
	quarters float64
}

// hours lists a day's, without the one that clocks skip and with the one that
// comes twice; -1: none.
func hours(day string, skipped, twice int) []bucket {
	var out []bucket
	for h := range 24 {
		n := 1
		switch h {
		case skipped:
			n = 0
		case twice:
			n = 2
		}
		for range n {
			out = append(out, bucket{fmt.Sprintf("%s %02d:00:00", day, h), 4})
		}
	}
	return out
}

// TestDayBounds is where days begin when clocks change.
func TestDayBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, day, from, to string }{
		{"Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"Asia/Kolkata", "2026-10-25", "2026-10-24T18:30:00Z", "2026-10-25T18:30:00Z"},
		{"America/St_Johns", "2026-03-08", "2026-03-08T03:30:00Z", "2026-03-09T02:30:00Z"},
		{"America/St_Johns", "2026-11-01", "2026-11-01T02:30:00Z", "2026-11-02T03:30:00Z"},
	} {
		p, err := Dates(tt.day, tt.day, mustZone(tt.zone))
		if err != nil {
			t.Fatal(err)
		}
		if from, to := p.From.UTC().Format(time.RFC3339), p.To.UTC().Format(time.RFC3339); from != tt.from || to != tt.to {
			t.Errorf("%s in %s: from %s to %s, want %s to %s", tt.day, tt.zone, from, to, tt.from, tt.to)
		}
	}
}
