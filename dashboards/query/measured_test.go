package query

import (
	"math"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/collector/store/storetest"
	"sluice/consent"
)

// openMeasured holds what four visits told of two pages, and two rows that are
// not to be counted.
func openMeasured(t *testing.T) driver.Conn {
	t.Helper()
	conn := storetest.Open(t).Conn()
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO events (site, ts, seq, visitor, session, name, path, country, props, test, keep_until)")
	if err != nil {
		t.Fatal(err)
	}
	type props = map[string]string
	day := time.Date(2026, 10, 25, 12, 0, 0, 0, time.UTC)
	rows := []struct {
		at         time.Time
		visit      string
		name, path string
		country    string
		props      props
		test       bool
	}{
		// Told twice: the larger value counts. The first one left before any interaction.
		{day, "v1", "web_vital", "/", "DE", props{"LCP": "1000", "CLS": "0", "TTFB": "90"}, false},
		{day, "v1", "web_vital", "/", "DE", props{"CLS": "0.05"}, false},
		{day, "v1", "scroll", "/", "DE", props{"percent_scrolled": "40"}, false},
		{day, "v1", "scroll", "/", "DE", props{"percent_scrolled": "95"}, false},
		{day, "v2", "web_vital", "/", "FR", props{"LCP": "2000", "CLS": "0.2", "INP": "80"}, false},
		{day, "v2", "scroll", "/", "FR", props{"percent_scrolled": "50"}, false},
		{day, "v3", "web_vital", "/", "DE", props{"LCP": "3000", "CLS": "0", "INP": "320"}, false},
		{day, "v4", "web_vital", "/", "DE", props{"LCP": "9000", "INP": "40", "CLS": "0.1"}, false},
		{day, "v4", "scroll", "/read", "DE", props{"percent_scrolled": "100"}, false},
		{day, "v4", "search", "/find", "DE", props{"search_term": "shoes"}, false},
		{day, "v1", "search", "/find", "DE", props{"search_term": "shoes"}, false},
		{day, "v1", "search", "/find", "DE", props{"search_term": "hats"}, false},
		{day, "v2", "search", "/find", "FR", props{"search_term": "tea"}, false},
		{day, "v2", "outbound_link", "/", "FR", props{"link_url": "https://other.test/"}, false},
		{day, "v2", "404", "/gone", "FR", nil, false},
		{day, "v5", "web_vital", "/", "DE", props{"LCP": "60000"}, true},
		{day.AddDate(0, 0, 9), "v6", "web_vital", "/", "DE", props{"LCP": "60000"}, false},
	}
	for i, r := range rows {
		if err := batch.Append("known.example", r.at, uint64(i), r.visit, r.visit, r.name, r.path, r.country, r.props, r.test,
			time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func measuredQuery(t *testing.T, country string) Query {
	t.Helper()
	q := Query{Site: "known.example", Zone: berlin, Limit: 2,
		From: time.Date(2026, 10, 24, 0, 0, 0, 0, berlin), To: time.Date(2026, 10, 27, 0, 0, 0, 0, berlin)}
	if country != "" {
		var err error
		if q.Filter, err = Compare("filter", "is", "visit:country", country); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"visitors", "events"} {
		m, _ := FindMetric(name)
		q.Metrics = append(q.Metrics, m)
	}
	return q
}

// By hand, 0.75 (n − 1) from 0: of LCP 1000 2000 3000 9000 a quarter of the way
// from the third to the fourth, 4500; of INP 40 80 320 half of it from the second,
// 200; of CLS 0 0.05 0.1 0.2 a quarter from the third, 0.125.
func TestFared(t *testing.T) {
	t.Parallel()
	db := openMeasured(t)
	got, err := RunFared(t.Context(), db, measuredQuery(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	want := []Fared{
		{Path: "/", Visits: 4, TTFB: 90, LCP: 4500, INP: 200, CLS: 0.125, Readers: 2, Depth: 72.5, Whole: 50},
		{Path: "/read", TTFB: nan, LCP: nan, INP: nan, CLS: nan, Readers: 1, Depth: 100, Whole: 100},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("how pages fared (-want +got):\n%s", diff)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	db := openMeasured(t)
	term, _ := FindDimension("event:props:search_term")
	link, _ := FindDimension("event:props:link_url")
	page, _ := FindDimension("event:page")
	parts := []Part{{consent.EventNotFound, page}, {consent.EventSearch, term}, {consent.EventOutboundLink, link}, {consent.EventFileDownload, link}}
	row := func(value string, numbers ...float64) Row { return Row{[]string{value}, numbers} }
	tests := []struct {
		name, country string
		want          []Result
	}{
		{"everybody, the first two of each", "", []Result{
			{[]Row{row("/gone", 1, 1)}, 1}, {[]Row{row("shoes", 2, 2), row("hats", 1, 1)}, 3}, {[]Row{row("https://other.test/", 1, 1)}, 1}, {},
		}},
		{"of a country", "DE", []Result{{}, {[]Row{row("shoes", 2, 2), row("hats", 1, 1)}, 2}, {}, {}}},
	}
	for _, tt := range tests {
		got, err := RunParts(t.Context(), db, measuredQuery(t, tt.country), parts)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
