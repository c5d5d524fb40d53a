package query

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"sluice/collector/enrich"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

// spelling is a site whose rows have two spellings of what is not known.
var spelling = &consent.Site{Domain: "spelling.example", TimeZone: time.UTC}

// openSpelling returns an engine with three visits that came from nowhere, and
// one that did not.
func openSpelling(t *testing.T) Querier {
	t.Helper()
	conn := storetest.Open(t).Conn()
	err := conn.Exec(t.Context(), `INSERT INTO events (site, ts, seq, visitor, session, name, path, channel, source, utm_campaign, props, keep_until)
		SELECT 'spelling.example', '2026-10-26 12:00:00', number, toString(number), toString(number), 'pageview', '/',
			['`+string(enrich.Direct)+`', '', '`+string(enrich.Direct)+`', '`+string(enrich.ReferralChannel)+`'][number + 1],
			['', 'Direct / None', '', 'news.example'][number + 1],
			['', '(not set)', '(not set)', 'spring'][number + 1],
			map('plan', ['', '(none)', '', 'pro'][number + 1]),
			'2100-01-01'
		FROM numbers(4)`)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestUnset: what nobody knows is one value, whichever way rows spell it, by
// name as well as in any comparison.
func TestUnset(t *testing.T) {
	t.Parallel()
	db := openSpelling(t)
	for _, tt := range []struct {
		filter string
		want   float64
	}{
		{`["is","visit:channel",["Direct"]]`, 3},
		{`["is_not","visit:channel",["Direct"]]`, 1},
		{`["is","visit:channel",[""]]`, 3},
		{`["contains","visit:channel",["rect"]]`, 3},
		{`["matches","visit:channel",["^(Direct|Email)$"]]`, 3},
		{`["is","visit:channel",["direct"],{"case_sensitive":false}]`, 3},
		{`["is","visit:channel",["Referral"]]`, 1},
		{`["is","visit:source",["Direct / None"]]`, 3},
		{`["is","visit:source",["direct / none"],{"case_sensitive":false}]`, 3},
		{`["is_not","visit:source",["Direct / None"]]`, 1},
		{`["is","visit:utm_campaign",["(not set)"]]`, 3},
		{`["is_not","visit:utm_campaign",["(not set)"]]`, 1},
		{`["is","event:props:plan",["(none)"]]`, 3},
		{`["is_not","event:props:plan",["(none)"]]`, 1},
		{`["is","visit:country",["(not set)"]]`, 4},
	} {
		got := askOf(t, db, spelling, `{"metrics":["visitors"],"date_range":"day","filters":[`+tt.filter+`]}`)
		if n := got.Results[0].Metrics[0]; n != tt.want {
			t.Errorf("%s: %v visitors, want %v", tt.filter, n, tt.want)
		}
	}
	for dimension, unset := range map[string]string{
		"visit:channel": "Direct", "visit:source": "Direct / None", "visit:utm_campaign": "(not set)", "event:props:plan": "(none)",
	} {
		for _, attribution := range []string{VisitSource, LastNonDirect} {
			got := askOf(t, db, spelling, `{"metrics":["visitors"],"date_range":"day","dimensions":["`+dimension+`"],"attribution":"`+attribution+`"}`)
			if n := len(got.Results); n != 2 || got.Results[0].Dimensions[0] != unset || got.Results[0].Metrics[0] != 3 {
				t.Errorf("by %s, attribution %s: got %v, want 3 visitors of %s and 1 of another", dimension, attribution, got.Results, unset)
			}
		}
	}
}

// TestEqualFilters: filters that mean the same give the same figures, of events
// as well as of visits. A visit counts where one of its events makes the whole
// filter true; the answers are worked out in testdata/visits.md.
func TestEqualFilters(t *testing.T) {
	t.Parallel()
	db := openKnown(t)
	const blog, root, pricing = `["is","event:page",["/blog"]]`, `["is","event:page",["/"]]`, `["is","event:page",["/pricing"]]`
	const google, german = `["is","visit:source",["Google"]]`, `["is","visit:country",["DE"]]`
	for _, tt := range []struct {
		name  string
		want  []float64 // visitors, visits, pageviews
		forms []string
	}{
		{"neither", []float64{5, 4, 4}, []string{
			`["not",["or",[` + blog + `,` + google + `]]]`,
			`["and",[["not",` + blog + `],["not",` + google + `]]]`,
			`["not",["not",["and",[["is_not","event:page",["/blog"]],["is_not","visit:source",["Google"]]]]]]`,
			`["is_not","event:page",["/blog"]],["is_not","visit:source",["Google"]]`,
		}},
		{"not both", []float64{8, 8, 10}, []string{
			`["not",["and",[` + pricing + `,` + google + `]]]`,
			`["or",[["not",` + pricing + `],["not",` + google + `]]]`,
			`["not",["and",[["and",[` + pricing + `]],["or",[` + google + `]]]]]`,
		}},
		{"one event has to do", []float64{3, 3, 3}, []string{
			root + `,["or",[` + pricing + `,` + german + `]]`,
			`["or",[["and",[` + root + `,` + pricing + `]],["and",[` + root + `,` + german + `]]]]`,
			`["not",["or",[["not",` + root + `],["and",[["not",` + pricing + `],["not",` + german + `]]]]]]`,
			root + `,` + german,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, filters := range tt.forms {
				got := ask(t, db, `{"metrics":["visitors","visits","pageviews"],"date_range":["2026-10-24","2026-10-26"],"filters":[`+filters+`]}`)
				if diff := cmp.Diff(tt.want, got.Results[0].Metrics); diff != "" {
					t.Errorf("%s (-want +got):\n%s", filters, diff)
				}
			}
		})
	}
	t.Run("not a goal", func(t *testing.T) {
		t.Parallel()
		const signup = `["is","event:goal",["Signup"]]`
		for _, filters := range []string{
			`["not",["or",[` + signup + `,["not",` + german + `]]]]`,
			`["not",` + signup + `],` + german,
		} {
			got := ask(t, db, `{"metrics":["visitors","conversion_rate"],"date_range":["2026-10-24","2026-10-26"],"dimensions":["event:goal"],"filters":[`+filters+`]}`)
			want := []Line{{Dimensions: []string{"Pricing"}, Metrics: []float64{2, 66.67}}} // ann and cay, of ann, cay and fay
			if diff := cmp.Diff(want, got.Results); diff != "" {
				t.Errorf("%s (-want +got):\n%s", filters, diff)
			}
		}
	})
}

// TestPatterns: case_sensitive leaves a regular expression what it is, and a
// path is matched as people read it, or as browsers send it by a pattern that
// has a "%".
func TestPatterns(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	err := conn.Exec(t.Context(), `INSERT INTO events (site, ts, seq, visitor, session, name, path, keep_until)
		SELECT 'spelling.example', '2026-10-26 12:00:00', number, toString(number), toString(number), 'pageview',
			['/%C3%BCber%20uns', '/Blog_1', '/a%2Fb', '/50%25'][number + 1], '2100-01-01'
		FROM numbers(4)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		filter string
		want   float64
	}{
		{`["matches","event:page",["^/über uns$"]]`, 1},
		{`["matches","visit:entry_page",["^/[ö-ü]ber\\s"]]`, 1},
		{`["matches_not","event:page",["^/ü"]]`, 3},
		{`["matches","event:page",["^/[ -~]+$"]]`, 3}, // ASCII
		{`["matches","event:page",["^/%C3%BC"]]`, 1},
		{`["matches","event:page",["^/a%2Fb$"]]`, 1},
		{`["matches","event:page",["^/[^/]+$"]]`, 4}, // %2F is no slash
		{`["matches","event:page",["^/ÜBER"],{"case_sensitive":false}]`, 1},
		{`["matches","event:page",["^/\\pL+\\W\\w"],{"case_sensitive":false}]`, 2}, // ü and a are letters, a space and a % none
		{`["matches","event:page",["^/x|BLOG"],{"case_sensitive":false}]`, 1},
		{`["matches_not","event:page",["\\S\\S_\\d"],{"case_sensitive":false}]`, 3},
		{`["contains","event:page",["ÜBER U"],{"case_sensitive":false}]`, 1},
		{`["is","event:page",["/ÜBER UNS","/%c3%bcber%20uns"],{"case_sensitive":false}]`, 1},
	} {
		got := askOf(t, conn, spelling, `{"metrics":["pageviews"],"date_range":"day","filters":[`+tt.filter+`]}`)
		if n := got.Results[0].Metrics[0]; n != tt.want {
			t.Errorf("%s: %v pageviews, want %v", tt.filter, n, tt.want)
		}
	}
	for c := range byte(0x80) {
		want, encoded := string(rune(c)), fmt.Sprintf("%%%02X", c)
		if consent.EscapePath(want) != encoded {
			want = encoded
		}
		for _, path := range []string{encoded, strings.ToLower(encoded)} {
			var got string
			err := each(t.Context(), conn, "SELECT "+readable("{path:String}"), []any{clickhouse.Named("path", path)},
				func(rows driver.Rows) error { return rows.Scan(&got) })
			if err != nil || !strings.EqualFold(got, want) {
				t.Errorf("%s is read as %q (%v), want %q", path, got, err, want)
			}
		}
	}
}

// TestLongValues: a value may be as long as a property's, counted in
// characters; a request full of those that take most bytes is answered.
func TestLongValues(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	long := strings.Repeat("ü", maxValue)
	err := conn.Exec(t.Context(), `INSERT INTO events (site, ts, visitor, session, name, path, props, keep_until)
		SELECT 'spelling.example', '2026-10-26 12:00:00', 'v', 's', 'pageview', {path:String}, map('plan', {plan:String}), '2100-01-01'`,
		clickhouse.Named("path", consent.EscapePath("/"+long[2:])), clickhouse.Named("plan", long))
	if err != nil {
		t.Fatal(err)
	}
	// 64 KiB are the most that a request has.
	full := `"` + strings.Repeat(long+`","`, 15) + long + `"`
	for _, tt := range []struct {
		filter string
		want   float64
	}{
		{`["is","event:props:plan",["` + long + `"]]`, 1},
		{`["contains","event:page",["` + long[2:] + `"]]`, 1},
		{`["is","event:page",["/` + long[2:] + `"]]`, 1},
		{`["is_not","event:page",[` + full + `]]`, 1},
		{`["contains","event:page",[` + full + `],{"case_sensitive":false}]`, 0},
	} {
		got := askOf(t, conn, spelling, `{"metrics":["pageviews"],"date_range":"day","filters":[`+tt.filter+`]}`)
		if n := got.Results[0].Metrics[0]; n != tt.want {
			t.Errorf("%.40s…: %v pageviews, want %v", tt.filter, n, tt.want)
		}
	}
	if _, err := Compare("filter", "is", "event:props:plan", long+"ü"); err == nil {
		t.Errorf("%d characters are taken, want at most %d", maxValue+1, maxValue)
	}
}
