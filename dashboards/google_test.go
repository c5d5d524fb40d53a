package dashboards

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sluice/collector/store/storetest"
	"sluice/consent"
)

// TestGoogleReportsInDocs holds docs/google-analytics.md to the table that the
// dashboard shows.
func TestGoogleReportsInDocs(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/google-analytics.md")
	if err != nil {
		t.Fatal(err)
	}
	cell := func(a Answer) string {
		if a.Why == "" {
			return "**" + string(a.Shows) + "**"
		}
		return "**" + string(a.Shows) + "**: " + a.Why
	}
	for _, r := range googleReports {
		if row := fmt.Sprintf("| %s | %s | %s | %s |", r.Name, cell(r.Forwarder), cell(r.Door), cell(r.OwnTag)); !strings.Contains(string(doc), row) {
			t.Errorf("docs/google-analytics.md lacks\n%s", row)
		}
	}
}

// TestGaps: 100 events of October passed the gate and 60 of them were
// acknowledged; what waits is a part of today, whatever there is of it.
func TestGaps(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	for _, insert := range []string{
		`INSERT INTO counters (site, hour, kind, key, n, keep_until) VALUES
			('shop.example', '2026-10-10 10:00:00', 'event', '', 100, '2100-01-01'), ('shop.example', '2026-11-23 10:00:00', 'event', '', 100, '2100-01-01'),
			('shop.example', '2026-11-23 10:00:00', 'refusal', 'no_consent', 20, '2100-01-01')`,
		`INSERT INTO forwards (site, event_id, destination, state, ts, keep_until)
			SELECT 'shop.example', toString(number), 'google-analytics', 'acknowledged', if(number < 60, '2026-10-10 10:00:00.000', '2026-11-23 10:00:00.000'), '2100-01-01' FROM numbers(120)`,
	} {
		if err := conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, address             string
		waiting                   Queue
		received, notMeant, waits string
	}{
		{"a period that has ended", "from=2026-10-01&to=2026-10-31", Queue{Events: 30, Unread: 5}, "100", "40", ""},
		{"today", "period=day", Queue{Events: 20}, "120", "20", "20"},
		{"today, some not looked at", "period=day", Queue{Events: 20, Unread: 8}, "120", "12", "20 and up to 8 not looked at yet"},
		{"few for Sluice alone", "period=day", Queue{Events: 37}, "<127", "<10", "37"},
		{"more than is left of today", "period=day", Queue{Events: 30, Unread: 50}, "120", "0", "30 and up to 10 not looked at yet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := viewOf(t, policy(t, "shop.example").Site, tt.address)
			gaps, err := askGaps(t.Context(), conn, v, Waiting{"google-analytics": tt.waiting}, now)
			if err != nil || len(gaps) != 1 {
				t.Fatalf("%d gaps, %v", len(gaps), err)
			}
			got, want := [3]string{gaps[0].Received, gaps[0].NotMeant, gaps[0].Waiting}, [3]string{tt.received, tt.notMeant, tt.waits}
			if got != want {
				t.Errorf("received, for Sluice alone, waiting: %q, want %q", got, want)
			}
		})
	}
}

// TestGoogleAnalyticsPage splits a period's events on their way.
func TestGoogleAnalyticsPage(t *testing.T) {
	t.Parallel()
	e := open(t, openHostile(t), nil)
	text := words(t, get(t, e, "/dashboards/shop.example/google-analytics?period=day").Body.Bytes())
	for _, want := range []string{
		"Received <101", "Not consented <10", "Refused 91", "For Sluice alone 0", "Cancelled 1", "Dead 1", "Acknowledged 1",
		"Import into Google Ads absent", "Realtime same",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(strings.ToLower(text), "delivered") {
		t.Error("the page speaks of delivery, which nobody knows of")
	}
	if t.Failed() {
		t.Log(text)
	}
	if text := words(t, get(t, e, "/dashboards/shop.example/google-analytics?period=aeon").Body.Bytes()); !strings.Contains(text, "The period of this address is not one") {
		t.Error("the page does not say that it shows another period than was asked for")
	}
	if w := get(t, e, "/dashboards/secret.example/google-analytics"); !strings.Contains(w.Body.String(), consent.ErrUnknownSite.Error()) {
		t.Errorf("another's site: %d %s", w.Code, w.Body)
	}
}
