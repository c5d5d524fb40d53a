package query

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

// TestBadRequests checks that a wrong request names every wrong field, and
// never reaches the database.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`["not",`, 20) + `["is","event:page",["/"]]` + strings.Repeat(`]`, 20)
	tests := []struct {
		name, request string
		fields        []string
	}{
		{"nothing", `{}`, []string{"metrics"}},
		{"unknown keys", `{"metrics":["visits"],"date_range":"7d","filter":[],"Site_ID":"x","include":{"imports":true,"total":true},"pagination":{"page":2}}`,
			[]string{"filter", "include.total", "pagination.page"}},
		{"unknown modifier", `{"metrics":["visits"],"date_range":"7d","filters":[["is","visit:os",["x"],{"case_sensitve":false}],["is","visit:os",["x"],{},{}]]}`, []string{"filters[0]", "filters[1]"}},
		{"a second filter under not", `{"metrics":["visits"],"date_range":"7d","filters":[["not",["is","visit:os",["x"]],["is","visit:os",["y"]]]]}`, []string{"filters[0]"}},
		{"unknown metric and dimension", `{"metrics":["visitors","luck"],"dimensions":["visit:shoe"],"date_range":"7d"}`, []string{"metrics[1]", "dimensions[0]"}},
		{"figure of visits for each page", `{"metrics":["bounce_rate"],"dimensions":["event:page"],"date_range":"7d"}`, []string{"metrics[0]"}},
		{"dimension twice", `{"metrics":["visits"],"dimensions":["visit:os","visit:os"],"date_range":"7d"}`, []string{"dimensions[1]"}},
		{"property without a name", `{"metrics":["visits"],"dimensions":["event:props:"],"date_range":"7d"}`, []string{"dimensions[0]"}},
		{"no date range", `{"metrics":["visits"]}`, []string{"date_range"}},
		{"unknown date range", `{"metrics":["visits"],"date_range":"fortnight"}`, []string{"date_range"}},
		{"date range of one", `{"metrics":["visits"],"date_range":["2026-01-01"]}`, []string{"date_range"}},
		{"date range of numbers", `{"metrics":["visits"],"date_range":7}`, []string{"date_range"}},
		{"operator", `{"metrics":["visits"],"date_range":"7d","filters":[["like","visit:os",["x"]]]}`, []string{"filters[0]"}},
		{"not a filter", `{"metrics":["visits"],"date_range":"7d","filters":[7,["is"],["is","visit:os"],["is","visit:os","x"],["and",[]]]}`,
			[]string{"filters[0]", "filters[1]", "filters[2]", "filters[3]", "filters[4]"}},
		{"filter by time", `{"metrics":["visits"],"date_range":"7d","filters":[["is","time:day",["2026-01-01"]]]}`, []string{"filters[0]"}},
		{"no value", `{"metrics":["visits"],"date_range":"7d","filters":[["is","visit:os",[]]]}`, []string{"filters[0]"}},
		{"regular expression", `{"metrics":["visits"],"date_range":"7d","filters":[["matches","event:page",["("]]]}`, []string{"filters[0]"}},
		{"inside a combination", `{"metrics":["visits"],"date_range":"7d","filters":[["or",[["is","visit:os",["x"]],["is","visit:shoe",["y"]]]]]}`, []string{"filters[0][1][1]"}},
		{"too deep", `{"metrics":["visits"],"date_range":"7d","filters":[` + deep + `]}`, []string{"filters[0]" + strings.Repeat("[1]", 9)}},
		{"order by what is not asked", `{"metrics":["visits"],"date_range":"7d","order_by":[["visitors","desc"],["visits","down"]]}`, []string{"order_by[0]", "order_by[1]"}},
		{"revenue of all currencies", `{"metrics":["visits","total_revenue"],"date_range":"7d","filters":[["is","event:currency",["EUR","USD"]]]}`, []string{"metrics[1]"}},
		{"conversion to no goal", `{"metrics":["conversion_rate"],"date_range":"7d"}`, []string{"metrics[0]"}},
		{"conversion by something else", `{"metrics":["conversion_rate"],"dimensions":["event:goal","visit:source"],"date_range":"7d"}`, []string{"metrics[0]"}},
		{"goal that contains", `{"metrics":["visits"],"date_range":"7d","filters":[["contains","event:goal",["x"]]]}`, []string{"filters[0]"}},
		{"attribution", `{"metrics":["visits"],"date_range":"7d","attribution":"first"}`, []string{"attribution"}},
		{"page", `{"metrics":["visits"],"date_range":"7d","pagination":{"limit":0,"offset":-1}}`, []string{"pagination.limit", "pagination.offset"}},
		{"page beyond numbers", `{"metrics":["visits"],"date_range":"7d","pagination":{"limit":10001,"offset":9223372036854775808}}`, []string{"pagination.limit", "pagination.offset"}},
		{"page of no numbers", `{"metrics":["visits"],"date_range":"7d","pagination":{"limit":"5","offset":1.5}}`, []string{"pagination.limit", "pagination.offset"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r Request
			if err := json.Unmarshal([]byte(tt.request), &r); err != nil {
				t.Fatal(err)
			}
			_, err := Answer(t.Context(), nil, r, knownSite, knownNow)
			var bad *consent.FieldError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a *consent.FieldError", err)
			}
			var got []string
			for _, f := range bad.Fields {
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(tt.fields, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

// TestKnownKeys: what Plausible's clients send is taken, with nulls and all.
func TestKnownKeys(t *testing.T) {
	t.Parallel()
	var r Request
	const request = `{"site_id":"known.example","metrics":["visits"],"date_range":"7d","dimensions":[],"filters":[["is","visit:os",["x"],{"case_sensitive":false}]],
		"order_by":null,"include":{"imports":true,"time_labels":false,"total_rows":true,"test":false},"pagination":{"limit":5,"offset":0},"attribution":"visit"}`
	if err := json.Unmarshal([]byte(request), &r); err != nil {
		t.Fatal(err)
	}
	if _, err := r.query(knownSite); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(`{"metrics":["visits"],"include":null,"pagination":null}`), &r); err != nil {
		t.Fatal(err)
	}
	if _, err := r.query(knownSite); err != nil {
		t.Error(err)
	}
}

// TestSQL checks that a request's words never become part of the SQL.
func TestSQL(t *testing.T) {
	t.Parallel()
	const word = "Robert'); DROP TABLE"
	var r Request
	request := `{"site_id":"known.example","metrics":["visitors","visits"],"date_range":"7d","dimensions":["event:props:` + word + `","visit:source","time:day"],
		"filters":[["is","event:page",["` + word + `"]],["or",[["contains","visit:source",["` + word + `"]],["not",["matches","event:props:` + word + `",["x"]]]]]]}`
	if err := json.Unmarshal([]byte(request), &r); err != nil {
		t.Fatal(err)
	}
	q, err := r.query(knownSite)
	if err != nil {
		t.Fatal(err)
	}
	text, args := q.compile()
	if strings.Contains(text, "Robert") || strings.Contains(text, "known.example") {
		t.Errorf("a value is written into the SQL:\n%s", text)
	}
	if strings.Contains(text, "/*") {
		t.Errorf("a place was left open:\n%s", text)
	}
	bound := 0
	for _, a := range args {
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "Robert") {
			bound++
		}
	}
	if bound == 0 {
		t.Error("no value is bound")
	}
}

// TestReportsEnd: every query but the parts of others has a limit of time.
func TestReportsEnd(t *testing.T) {
	t.Parallel()
	parts := []string{"by_event", "by_visit", "credited", "sessions_with", "visits"}
	entries, err := files.ReadDir("sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".sql")
		if limited := strings.Contains(statement(name), "SETTINGS max_execution_time = "); limited == slices.Contains(parts, name) {
			t.Errorf("%s.sql: limit of time %v", name, limited)
		}
	}
}

// TestMeasurementsAreNoEvents checks that every query agrees with consent about
// what is no event, and what is no interaction.
func TestMeasurementsAreNoEvents(t *testing.T) {
	t.Parallel()
	quoted := func(names []string) string { return "('" + strings.Join(names, "', '") + "')" }
	for _, file := range []string{"by_event", "credited", "first_event", "funnel", "sessions_with"} {
		if want := "name NOT IN " + quoted(consent.Measurements()); !strings.Contains(statement(file), want) {
			t.Errorf("%s.sql does not say %s", file, want)
		}
	}
	visits := statement("visits", "pings", ", 'engagement'")
	for _, want := range []string{
		"countIf(name NOT IN " + quoted(append([]string{consent.EventEngagement}, consent.Bystanders()...)) + ") AS actions",
		"name NOT IN ('scroll', 'web_vital', 'engagement')",
	} {
		if !strings.Contains(visits, want) {
			t.Errorf("visits.sql does not say %s", want)
		}
	}
}
