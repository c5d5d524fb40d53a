package dashboards

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/store/storetest"
	"sluice/consent"
	"sluice/dashboards/query"
)

// drawn is the chart of an address.
func drawn(t *testing.T, db query.Querier, site *consent.Site, address string) Chart {
	t.Helper()
	c, err := askChart(t.Context(), db, viewOf(t, site, address), now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestChartOverClockChanges: of 25 October a visitor comes in both hours from
// 02:00, and a second one in the first of them; every visit is one page long.
func TestChartOverClockChanges(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	if err := conn.Exec(t.Context(), `INSERT INTO events (site, ts, seq, visitor, session, name, path, keep_until) VALUES
		('shop.example', '2026-10-25 00:10:00.000', 1, 'a', 's1', 'pageview', '/', '2100-01-01'),
		('shop.example', '2026-10-25 00:20:00.000', 2, 'b', 's2', 'pageview', '/', '2100-01-01'),
		('shop.example', '2026-10-25 01:30:00.000', 3, 'a', 's3', 'pageview', '/', '2100-01-01'),
		('shop.example', '2026-10-24 00:30:00.000', 4, 'c', 's4', 'pageview', '/', '2100-01-01'),
		('shop.example', '2026-03-28 01:30:00.000', 5, 'c', 's5', 'pageview', '/', '2100-01-01'),
		('shop.example', '2026-03-29 00:30:00.000', 6, 'd', 's6', 'pageview', '/', '2100-01-01')`); err != nil {
		t.Fatal(err)
	}
	site := located(t, "Europe/Berlin")
	type point struct{ Text, Before string }
	tests := []struct {
		name, address string
		points        int
		want          map[string]point // of the points with a figure
	}{
		{"visitors, clocks go back", "from=2026-10-25&to=2026-10-25", 25, map[string]point{"Sun 25 Oct, 02:00 CEST": {"2", ""}, "Sun 25 Oct, 02:00 CET": {"1", "1"}}},
		{"a share, clocks go back", "from=2026-10-25&to=2026-10-25&m=bounce_rate", 25, map[string]point{"Sun 25 Oct, 02:00 CEST": {"100%", ""}, "Sun 25 Oct, 02:00 CET": {"100%", "100%"}}},
		{"the day after them", "from=2026-10-26&to=2026-10-26&m=visits", 24, map[string]point{"Mon 26 Oct, 02:00": {"0", "3"}}},
		{"clocks go forward", "from=2026-03-29&to=2026-03-29", 23, map[string]point{"Sun 29 Mar, 01:00": {"1", "1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := drawn(t, conn, site, tt.address)
			got := map[string]point{}
			for _, p := range c.Points {
				if p.Value > 0 || p.Before > 0 {
					got[p.Label] = point{p.Text, p.BeforeText}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || len(c.Points) != tt.points {
				t.Errorf("%d points, want %d; with a figure (-want +got):\n%s", len(c.Points), tt.points, diff)
			}
		})
	}
}

// TestChartBounds: a point leads to its own days, no fewer, no more, and none
// beyond the period; what was imported falls into the same days.
func TestChartBounds(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	for _, insert := range []string{
		`INSERT INTO imported (site, date, tool, dimension, value, visitors, visits, pageviews, keep_until, spool_id, seq)
			SELECT 'shop.example', toDate('2026-03-01') + number, 'plausible', '', '', 10, 10, 10, '2100-01-01', '00000000-0000-0000-0000-000000000001', number FROM numbers(200)`,
		`INSERT INTO imports (site, tool, state, first, last, keep_until, spool_id, seq) VALUES
			('shop.example', 'plausible', 'complete', '2026-03-01', '2026-09-16', '2100-01-01', '00000000-0000-0000-0000-000000000001', 201)`,
	} {
		if err := conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	type bounds struct {
		From, To, Imported string
		Partial            bool
	}
	tests := []struct {
		name, zone, address string
		want                map[string]bounds // of some points
	}{
		{"a day of 23 hours", "Europe/Berlin", "from=2026-03-20&to=2026-04-10", map[string]bounds{"Sun 29 Mar 2026": {"2026-03-29", "2026-03-29", "10", false}}},
		{"a day that begins at 01:00", "Africa/Cairo", "from=2026-04-20&to=2026-04-30", map[string]bounds{
			"Thu 23 Apr 2026": {"2026-04-23", "2026-04-23", "10", false}, "Fri 24 Apr 2026": {"2026-04-24", "2026-04-24", "10", false},
		}},
		{"weeks, the first and the last cut", "Europe/Berlin", "from=2026-03-04&to=2026-06-20", map[string]bounds{
			"Week of 4 Mar 2026": {"2026-03-04", "2026-03-08", "50", false}, "Week of 9 Mar 2026": {"2026-03-09", "2026-03-15", "70", false},
			"Week of 23 Mar 2026": {"2026-03-23", "2026-03-29", "70", false}, "Week of 15 Jun 2026": {"2026-06-15", "2026-06-20", "60", false},
		}},
		{"months, the first and the last cut", "Europe/Berlin", "from=2026-03-04&to=2026-11-22", map[string]bounds{
			"March 2026": {"2026-03-04", "2026-03-31", "280", false}, "November 2026": {"2026-11-01", "2026-11-22", "", false},
		}},
		{"a month that goes on", "Europe/Berlin", "period=12mo", map[string]bounds{"November 2026": {"2026-11-01", "2026-11-23", "", true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := map[string]bounds{}
			for _, p := range drawn(t, conn, located(t, tt.zone), tt.address).Points {
				if _, asked := tt.want[p.Label]; !asked {
					continue
				}
				link, err := url.Parse(p.Path)
				if err != nil {
					t.Fatal(err)
				}
				got[p.Label] = bounds{link.Query().Get("from"), link.Query().Get("to"), p.ImportedText, p.Partial}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("points (-want +got):\n%s", diff)
			}
		})
	}
}

// TestChartBefore: a visit on each day, and the days of the period before are
// cut as those of the period are, whatever Mondays and months were there.
func TestChartBefore(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	if err := conn.Exec(t.Context(), `INSERT INTO events (site, ts, seq, visitor, session, name, path, keep_until)
		SELECT 'shop.example', toDateTime64('2024-01-01 12:00:00', 3, 'UTC') + toIntervalDay(number), number, toString(number), toString(number), 'pageview', '/', '2100-01-01' FROM numbers(1100)`); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, address string
		whole         string // API's figure of the period before
		first, last   float64
	}{
		{"weeks of 109 days", "from=2026-03-04&to=2026-06-20&m=visits", "109", 5, 6},
		{"weeks of 98 days", "from=2026-03-02&to=2026-06-07&m=pageviews", "98", 7, 7},
		{"months", "from=2026-02-04&to=2026-11-22&m=visits", "292", 25, 22},
		{"twelve months", "period=12mo&m=visits", "358", 31, 23},
		{"days", "from=2026-10-01&to=2026-10-31", "31", 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			points := drawn(t, conn, located(t, "Europe/Berlin"), tt.address).Points
			sum := 0.0
			for _, p := range points {
				sum += p.Before
			}
			if first, last := points[0].Before, points[len(points)-1].Before; thousands(sum) != tt.whole || first != tt.first || last != tt.last {
				t.Errorf("before: %v in all, %v first, %v last; want %s, %v, %v", sum, first, last, tt.whole, tt.first, tt.last)
			}
		})
	}
}
