package query

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"sluice/collector/store/engine"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

func TestMain(m *testing.M) {
	engine.MainIfChild()
	os.Exit(m.Run())
}

var berlin = mustZone("Europe/Berlin")

func mustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// knownSite is the site of testdata/visits.csv; knownNow is within its last day.
var (
	knownSite = &consent.Site{Domain: "known.example", TimeZone: berlin, Goals: []consent.Goal{
		{Name: "Signup", Event: "Signup"}, {Name: "Pricing", Path: "/pri*"},
	}}
	knownNow = time.Date(2026, 10, 26, 22, 59, 0, 0, time.UTC)
)

// openKnown returns an engine that holds testdata/visits.csv.
func openKnown(t *testing.T) Querier {
	t.Helper()
	file, err := os.Open("testdata/visits.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	conn := storetest.Open(t).Conn()
	batch, err := conn.PrepareBatch(t.Context(),
		"INSERT INTO events (site, ts, seq, visitor, session, name, path, source, country, props, test, engagement_ms, revenue, currency, keep_until)")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range lines[1:] {
		ts, err := time.Parse(time.RFC3339, f[1])
		if err != nil {
			t.Fatal(err)
		}
		seq, err := strconv.ParseUint(f[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		props := map[string]string{}
		if f[9] != "" {
			props["plan"] = f[9]
		}
		engaged, err := strconv.ParseUint(f[11], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		keep := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := batch.Append(f[0], ts, seq, f[3], f[4], f[5], f[6], f[7], f[8], props, f[10] == "true",
			uint32(engaged), decimal.RequireFromString(f[12]), f[13], keep); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestKnownAnswers asks for every metric and many dimensions of a fixture whose
// answers are worked out in testdata/visits.md.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	db := openKnown(t)
	const period = `"date_range": ["2026-10-24", "2026-10-26"]`
	type line = []any // dimensions, then metrics
	tests := []struct {
		name, request string
		want          []line
	}{
		{"every metric", `"metrics": ["visitors","visits","pageviews","events","views_per_visit","bounce_rate","visit_duration","engagement_rate"]`,
			[]line{{8., 9., 13., 17., 1.44, 22., 425., 78.}}},
		{"metrics of events alone", `"metrics": ["visitors","pageviews","events"]`, []line{{8., 13., 17.}}},
		{"metrics of visits alone", `"metrics": ["bounce_rate","visits"]`, []line{{22., 9.}}},
		{"by day, of events and visits", `"metrics": ["visitors","visits","pageviews"], "dimensions": ["time:day"]`,
			[]line{{"2026-10-24", 5., 5., 8.}, {"2026-10-25", 2., 1., 3.}, {"2026-10-26", 3., 3., 2.}}},
		{"by hour, twice the one that comes twice", `"metrics": ["pageviews"], "dimensions": ["time:hour"], "filters": [["is","visit:entry_page",["/"]],["is","visit:source",["Direct / None"]]]`,
			[]line{{"2026-10-24 00:00:00", 1.}, {"2026-10-25 02:00:00", 1.}, {"2026-10-25 02:00:00", 1.}, {"2026-10-26 23:00:00", 1.}}},
		{"by week, the first one cut", `"metrics": ["pageviews","visits"], "dimensions": ["time:week"]`,
			[]line{{"2026-10-24", 11., 6.}, {"2026-10-26", 2., 3.}}},
		{"by month", `"metrics": ["pageviews"], "dimensions": ["time:month"]`, []line{{"2026-10-01", 13.}}},
		{"by source", `"metrics": ["visitors","visits"], "dimensions": ["visit:source"]`,
			[]line{{"Direct / None", 5., 4.}, {"Google", 3., 3.}, {"Hacker News", 1., 1.}, {"newsletter", 1., 1.}}},
		{"by entry page", `"metrics": ["visits","bounce_rate"], "dimensions": ["visit:entry_page"]`,
			[]line{{"/", 4., 0.}, {"/blog", 3., 67.}, {"(not set)", 1., 0.}, {"/pricing", 1., 0.}}},
		{"by exit page", `"metrics": ["visits"], "dimensions": ["visit:exit_page"]`,
			[]line{{"/pricing", 4.}, {"/blog", 3.}, {"(not set)", 1.}, {"/", 1.}}},
		{"by page", `"metrics": ["visitors","pageviews"], "dimensions": ["event:page"]`,
			[]line{{"/", 6., 5.}, {"/blog", 4., 4.}, {"/pricing", 4., 4.}}},
		{"visits by page are those in which it occurs", `"metrics": ["visits"], "dimensions": ["event:page"]`,
			[]line{{"/", 6.}, {"/blog", 4.}, {"/pricing", 4.}}},
		{"by event", `"metrics": ["visitors","events"], "dimensions": ["event:name"]`,
			[]line{{"pageview", 7., 13.}, {"Signup", 2., 2.}, {"404", 1., 1.}, {"Ping", 1., 1.}}},
		{"by property", `"metrics": ["visitors","events"], "dimensions": ["event:props:plan"], "filters": [["is","event:name",["Signup"]]]`,
			[]line{{"(none)", 1., 1.}, {"pro", 1., 1.}}},
		{"by page and source", `"metrics": ["pageviews"], "dimensions": ["event:page","visit:source"], "filters": [["is","event:page",["/blog"]]]`,
			[]line{{"/blog", "Direct / None", 2.}, {"/blog", "Hacker News", 1.}, {"/blog", "newsletter", 1.}}},
		{"of a country", `"metrics": ["visitors","visits","pageviews"], "filters": [["is","visit:country",["DE"]]]`, []line{{3., 4., 7.}}},
		{"of no known country", `"metrics": ["visitors"], "filters": [["is","visit:country",["(not set)"]]]`, []line{{1.}}},
		{"not of a country", `"metrics": ["visits"], "filters": [["not",["is","visit:country",["DE"]]]]`, []line{{5.}}},
		{"is_not", `"metrics": ["visits"], "filters": [["is_not","visit:country",["DE","FR"]]]`, []line{{3.}}},
		{"with a page, of visits and events", `"metrics": ["visitors","visits","pageviews","bounce_rate"], "filters": [["is","event:page",["/pricing"]]]`,
			[]line{{4., 4., 4., 0.}}},
		{"page or source", `"metrics": ["visitors","visits"], "filters": [["or",[["is","event:page",["/blog"]],["is","visit:source",["Google"]]]]]`,
			[]line{{5., 7.}}},
		{"page and source", `"metrics": ["visitors","visits"], "filters": [["and",[["is","event:page",["/pricing"]],["is","visit:source",["Google"]]]]]`,
			[]line{{3., 3.}}},
		{"contains", `"metrics": ["pageviews"], "filters": [["contains","event:page",["pri","log"]]]`, []line{{8.}}},
		{"contains in any case", `"metrics": ["pageviews"], "filters": [["contains","event:page",["PRI"],{"case_sensitive":false}]]`, []line{{4.}}},
		{"matches", `"metrics": ["pageviews"], "filters": [["matches","event:page",["^/(blog|pricing)$"]]]`, []line{{8.}}},
		{"test rows alone", `"metrics": ["visitors","visits"], "include": {"test": true}`, []line{{1., 1.}}},
		{"nothing: one row of zeros", `"metrics": ["visitors","visits","bounce_rate"], "filters": [["is","event:page",["/nowhere"]]]`, []line{{0., 0., 0.}}},
		{"a hostile value is only a value", `"metrics": ["visits"], "filters": [["is_not","visit:source",["'; DROP TABLE events --\\\t\u0000{site:String}</script>"]]]`, []line{{9.}}},
		{"engagement and bounces of visits with a page", `"metrics": ["visits","bounce_rate","engagement_rate","visit_duration"], "filters": [["is","event:page",["/blog"]]]`,
			[]line{{4., 50., 75., 754.}}},
		{"revenue by currency", `"metrics": ["total_revenue","average_revenue","events"], "dimensions": ["event:currency"], "filters": [["is_not","event:currency",["(none)"]]]`,
			[]line{{"EUR", 30., 15., 2.}, {"USD", 5., 5., 1.}}},
		{"revenue of one currency", `"metrics": ["total_revenue"], "filters": [["is","event:currency",["EUR"]],["is","visit:country",["DE"]]]`, []line{{9.9}}},
		{"revenue by source", `"metrics": ["total_revenue","visitors"], "dimensions": ["visit:source"], "filters": [["is","event:currency",["EUR"]]]`, []line{{"Google", 30., 2.}}},
		{"revenue by day and currency", `"metrics": ["total_revenue"], "dimensions": ["time:day","event:currency"], "filters": [["is_not","event:currency",["(none)"]]]`,
			[]line{{"2026-10-24", "EUR", 9.9}, {"2026-10-26", "EUR", 20.1}, {"2026-10-26", "USD", 5.}}},
		{"goals", `"metrics": ["visitors","events","conversion_rate"], "dimensions": ["event:goal"]`, []line{{"Pricing", 4., 4., 50.}, {"Signup", 2., 2., 25.}}},
		{"goals of visitors from a country", `"metrics": ["visitors","conversion_rate"], "filters": [["is","event:goal",["Signup"]],["is","visit:country",["DE"]]]`, []line{{1., 33.33}}},
		{"visits that reached a goal", `"metrics": ["visits","bounce_rate"], "filters": [["is","event:goal",["Signup"]]]`, []line{{2., 0.}}},
		{"visits that reached it not by this event", `"metrics": ["pageviews"], "filters": [["is_not","event:goal",["Pricing"]]]`, []line{{9.}}},
		{"a goal that the site does not have", `"metrics": ["visitors"], "filters": [["is","event:goal",["Luck"]]]`, []line{{0.}}},
		{"credit to the last source", `"metrics": ["visitors","visits"], "dimensions": ["visit:source"], "attribution": "last_non_direct"`,
			[]line{{"Direct / None", 3., 2.}, {"Google", 3., 3.}, {"Hacker News", 2., 2.}, {"Bing", 1., 1.}, {"newsletter", 1., 1.}}},
		{"pageviews by the last source", `"metrics": ["pageviews"], "dimensions": ["visit:source","event:page"], "filters": [["is","visit:source",["Bing","Hacker News"]],["is","event:page",["/"]]], "attribution": "last_non_direct"`,
			[]line{{"Hacker News", "/", 2.}, {"Bing", "/", 0.}}}, // of gus a Ping alone
		{"in another order, second page", `"metrics": ["visits"], "dimensions": ["visit:source"], "order_by": [["visit:source","desc"]], "pagination": {"limit": 2, "offset": 1}`,
			[]line{{"Hacker News", 1.}, {"Google", 3.}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, db, `{"site_id": "known.example", `+period+`, `+tt.request+`}`)
			var lines []line
			for _, r := range got.Results {
				var l line
				for _, d := range r.Dimensions {
					l = append(l, d)
				}
				for _, m := range r.Metrics {
					l = append(l, m)
				}
				lines = append(lines, l)
			}
			if diff := cmp.Diff(tt.want, lines); diff != "" {
				t.Errorf("answer differs from testdata/visits.md (-want +got):\n%s", diff)
			}
		})
	}
}

func ask(t *testing.T, db Querier, request string) Response {
	t.Helper()
	return askOf(t, db, knownSite, request)
}

func askOf(t *testing.T, db Querier, site *consent.Site, request string) Response {
	t.Helper()
	var r Request
	if err := json.Unmarshal([]byte(request), &r); err != nil {
		t.Fatal(err)
	}
	got, err := Answer(context.Background(), db, r, site, knownNow)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestAnswerMeta checks what an answer says beside its rows.
func TestAnswerMeta(t *testing.T) {
	t.Parallel()
	db := openKnown(t)
	t.Run("labels and total", func(t *testing.T) {
		t.Parallel()
		got := ask(t, db, `{"site_id":"known.example","metrics":["visitors"],"date_range":"7d","dimensions":["time:day"],
			"include":{"time_labels":true,"total_rows":true},"pagination":{"limit":1}}`)
		want := map[string]any{
			"time_labels": []string{"2026-10-20", "2026-10-21", "2026-10-22", "2026-10-23", "2026-10-24", "2026-10-25", "2026-10-26"},
			"total_rows":  4, // the 23rd to the 26th
		}
		if diff := cmp.Diff(want, got.Meta); diff != "" {
			t.Errorf("meta (-want +got):\n%s", diff)
		}
		bounds := [2]string{"2026-10-20T00:00:00+02:00", "2026-10-26T23:59:59+01:00"}
		if diff := cmp.Diff(bounds, got.Query.DateRange); diff != "" {
			t.Errorf("date range (-want +got):\n%s", diff)
		}
	})
	t.Run("total beyond the last page", func(t *testing.T) {
		t.Parallel()
		for request, want := range map[string]int{
			`"dimensions":["time:day"],"pagination":{"offset":4}`:             4,
			`"dimensions":["time:day"],"pagination":{"offset":9,"limit":2}`:   4,
			`"pagination":{"offset":1}`:                                       1,
			`"pagination":{"offset":9223372036854775807,"limit":null}`:        1,
			`"dimensions":["time:day"],"filters":[["is","event:page",["?"]]]`: 0,
		} {
			got := ask(t, db, `{"metrics":["visitors"],"date_range":"7d","include":{"total_rows":true},`+request+`}`)
			if len(got.Results) != 0 || got.Meta["total_rows"] != want {
				t.Errorf("%s: %d rows of %v, want none of %d", request, len(got.Results), got.Meta["total_rows"], want)
			}
		}
	})
	t.Run("a pattern that Go compiles and ClickHouse does not", func(t *testing.T) {
		t.Parallel()
		var r Request
		if err := json.Unmarshal([]byte(`{"metrics":["visitors"],"date_range":"7d","filters":[["matches","event:page",["\\pL{1000}"]]]}`), &r); err != nil {
			t.Fatal(err)
		}
		_, err := Answer(t.Context(), db, r, knownSite, knownNow)
		var bad *consent.FieldError
		if !errors.As(err, &bad) || bad.Fields[0].Name != "filters" {
			t.Errorf("got %v, want a *consent.FieldError about filters", err)
		}
	})
	t.Run("all begins with the first event", func(t *testing.T) {
		t.Parallel()
		got := ask(t, db, `{"site_id":"known.example","metrics":["pageviews"],"date_range":"all"}`)
		if from := got.Query.DateRange[0]; from != "2026-07-20T00:00:00+02:00" {
			t.Errorf("all begins at %s, want the day of the first event, 2026-07-20", from)
		}
		if n := got.Results[0].Metrics[0]; n != 17 {
			t.Errorf("pageviews of all time up to the 26th: %v, want 17", n)
		}
	})
}
