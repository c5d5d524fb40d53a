package query

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

// TestFunnel asks for the funnel whose answers are worked out in
// testdata/visits.md.
func TestFunnel(t *testing.T) {
	t.Parallel()
	db := openKnown(t)
	funnel := consent.Funnel{Name: "Signing up", Steps: []consent.Goal{
		{Name: "/", Path: "/"}, {Name: "/pricing", Path: "/pricing"}, {Name: "Signup", Event: "Signup"},
	}}
	for _, tt := range []struct {
		name, filters string
		want          []uint64
	}{
		{"all visits", `[]`, []uint64{5, 3, 1}},
		{"from a source", `[["is","visit:source",["Google"]]]`, []uint64{2, 2, 1}},
		{"with a page", `[["is","event:page",["/blog"]]]`, []uint64{2, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := Request{SiteID: "known.example", Metrics: []string{"visits"}}
			if err := json.Unmarshal([]byte(tt.filters), &r.Filters); err != nil {
				t.Fatal(err)
			}
			q, err := r.query(knownSite)
			if err != nil {
				t.Fatal(err)
			}
			period, err := Dates("2026-10-24", "2026-10-26", berlin)
			if err != nil {
				t.Fatal(err)
			}
			q.From, q.To = period.From, period.To
			steps, err := RunFunnel(t.Context(), db, q, funnel)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, s := range steps {
				got = append(got, s.Visits)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("visits by step (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoGoals checks that a site without goals has an engagement rate, and an
// empty list of goals.
func TestNoGoals(t *testing.T) {
	t.Parallel()
	db := openKnown(t)
	q := Query{Site: "known.example", Zone: berlin, Metrics: metricsNamed(t, "engagement_rate")}
	q.From, q.To = time.Date(2026, 10, 23, 22, 0, 0, 0, time.UTC), time.Date(2026, 10, 26, 23, 0, 0, 0, time.UTC)
	got, err := Run(t.Context(), db, q)
	if err != nil {
		t.Fatal(err)
	}
	if rate := got.Rows[0].Metrics[0]; rate != 67 {
		t.Errorf("engagement rate without goals: %v %%, want 67 (testdata/visits.md)", rate)
	}
	goal, _ := FindDimension("event:goal")
	q.Metrics, q.Dimensions = metricsNamed(t, "visitors"), []Dimension{goal}
	if got, err = Run(t.Context(), db, q); err != nil || len(got.Rows) != 0 {
		t.Errorf("goals of a site without any: %v %v, want none", got.Rows, err)
	}
}

func metricsNamed(t *testing.T, names ...string) []Metric {
	t.Helper()
	out := make([]Metric, len(names))
	for i, name := range names {
		m, ok := FindMetric(name)
		if !ok {
			t.Fatalf("there is no metric %s", name)
		}
		out[i] = m
	}
	return out
}

// TestPathsOfFilters: a marketer writes a path as people read it, rows have it as
// browsers send it.
func TestPathsOfFilters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ dimension, value, stored, spelt string }{
		{"event:page", "/größe", "/gr%C3%B6%C3%9Fe", "/gr%C3%B6%C3%9Fe"},
		{"visit:entry_page", "/gr%C3%B6%C3%9Fe", "/gr%C3%B6%C3%9Fe", "/gr%C3%B6%C3%9Fe"},
		{"visit:exit_page", "(not set)", "", "(not%20set)"},
		{"visit:source", "Münchner Zeitung", "Münchner Zeitung", "Münchner Zeitung"},
	} {
		d, ok := FindDimension(tt.dimension)
		if !ok {
			t.Fatalf("no dimension %s", tt.dimension)
		}
		if stored, spelt := d.stored(tt.value, false), d.spelt(tt.value); stored != tt.stored || spelt != tt.spelt {
			t.Errorf("%s %q: is asked for as %q, a part of it as %q, want %q and %q", tt.dimension, tt.value, stored, spelt, tt.stored, tt.spelt)
		}
	}
}
