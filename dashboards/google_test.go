package dashboards

import (
	"fmt"
	"os"
	"strings"
	"testing"

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

// TestGoogleAnalyticsPage splits a period's events on their way.
func TestGoogleAnalyticsPage(t *testing.T) {
	t.Parallel()
	e := open(t, openHostile(t), nil)
	text := words(t, get(t, e, "/dashboards/shop.example/google-analytics?period=day").Body.Bytes())
	for _, want := range []string{
		"Received 100", "Not consented <10", "Refused 91", "For Sluice alone 0", "Cancelled 1", "Dead 1", "Acknowledged 1",
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
	if w := get(t, e, "/dashboards/secret.example/google-analytics"); !strings.Contains(w.Body.String(), consent.ErrUnknownSite.Error()) {
		t.Errorf("another's site: %d %s", w.Code, w.Body)
	}
}
