package query

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/store/storetest"
	"sluice/consent"
)

// TestCountsAndOutcomes reads counters and forwards of one day, beside rows of
// other days and sites.
func TestCountsAndOutcomes(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	day, err := Dates("2026-10-25", "2026-10-25", berlin)
	if err != nil {
		t.Fatal(err)
	}
	for _, insert := range []string{
		`INSERT INTO counters (site, hour, kind, key, language, n, keep_until) VALUES
			('known.example', '2026-10-24 22:00:00', 'view', '', 'de', 30, '2100-01-01'),
			('known.example', '2026-10-25 22:00:00', 'view', '', 'en', 10, '2100-01-01'),
			('known.example', '2026-10-25 10:00:00', 'decision', 'accept_all', 'de', 12, '2100-01-01'),
			('known.example', '2026-10-25 11:00:00', 'decision', 'accept_all', 'de', 3, '2100-01-01'),
			('known.example', '2026-10-25 11:00:00', 'decision', 'reject_all', 'de', 5, '2100-01-01'),
			('known.example', '2026-10-25 11:00:00', 'grant', 'analytics', 'de', 15, '2100-01-01'),
			('known.example', '2026-10-24 21:00:00', 'decision', 'reject_all', 'de', 100, '2100-01-01'),
			('known.example', '2026-10-25 23:00:00', 'decision', 'reject_all', 'de', 100, '2100-01-01'),
			('other.example', '2026-10-25 11:00:00', 'decision', 'reject_all', 'de', 100, '2100-01-01')`,
		`INSERT INTO forwards (site, event_id, destination, state, reason, ts, keep_until, seq) VALUES
			('known.example', 'a', 'google-analytics', 'acknowledged', '', '2026-10-25 10:00:00.000', '2100-01-01', 1),
			('known.example', 'b', 'google-analytics', 'acknowledged', '', '2026-10-25 10:00:00.000', '2100-01-01', 2),
			('known.example', 'c', 'google-analytics', 'cancelled', 'withdrawn', '2026-10-25 10:00:00.000', '2100-01-01', 3),
			('known.example', 'd', 'google-analytics', 'dead', 'too_old', '2026-10-26 10:00:00.000', '2100-01-01', 4),
			('other.example', 'e', 'google-analytics', 'dead', 'too_old', '2026-10-25 10:00:00.000', '2100-01-01', 5)`,
		// A forwarder that was killed reports once more.
		`INSERT INTO forwards (site, event_id, destination, state, reason, ts, keep_until, seq) VALUES
			('known.example', 'a', 'google-analytics', 'acknowledged', '', '2026-10-25 10:00:00.000', '2100-01-01', 6)`,
	} {
		if err := conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}

	counts, err := CountsIn(t.Context(), conn, "known.example", day)
	if err != nil {
		t.Fatal(err)
	}
	want := Counts{
		consent.CountView:     {"": 40},
		consent.CountDecision: {"accept_all": 15, "reject_all": 5},
		consent.CountGrant:    {"analytics": 15},
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts of the day (-want +got):\n%s", diff)
	}
	if rate, ok := counts.OptInRate(consent.Analytics); !ok || rate != 0.75 {
		t.Errorf("opt-in rate of analytics: %v %v, want 15 grants ÷ 20 decisions = 0.75", rate, ok)
	}
	if rate, ok := counts.DecisionRate(); !ok || rate != 0.5 {
		t.Errorf("decision rate: %v %v, want 20 ÷ 40 = 0.5", rate, ok)
	}
	if rate, ok := (Counts{}).OptInRate(consent.Analytics); ok {
		t.Errorf("without decisions the opt-in rate is %v, want none", rate)
	}

	outcomes, err := Outcomes(t.Context(), conn, "known.example", day)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes := []Outcome{
		{Destination: "google-analytics", State: "acknowledged", N: 2},
		{Destination: "google-analytics", State: "cancelled", Reason: "withdrawn", N: 1},
	}
	if diff := cmp.Diff(wantOutcomes, outcomes); diff != "" {
		t.Errorf("outcomes of the day (-want +got):\n%s", diff)
	}

	if first, err := FirstEvent(t.Context(), conn, "known.example", false); err != nil || !first.Equal(time.Time{}) {
		t.Errorf("first event of a site without events: %v, %v; want the zero time", first, err)
	}
}
