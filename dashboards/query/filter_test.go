package query

import (
	"testing"
	"time"

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
