package dashboards

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/store/storetest"
)

// TestVariantsPanel: the consent panel compares the banners that were drawn, and
// hides what is too few to tell.
func TestVariantsPanel(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t).Conn()
	insert := func(text string) {
		t.Helper()
		if err := db.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	insert(`INSERT INTO counters (site, hour, kind, key, n, keep_until) VALUES
		('shop.example', '2026-11-22 10:00:00', 'view', 'variant:usual', 300, '2100-01-01'),
		('shop.example', '2026-11-22 10:00:00', 'view', 'variant:short', 40, '2100-01-01')`)
	decide := func(variant string, granted bool, n int) {
		insert(fmt.Sprintf(`INSERT INTO receipts (n, site, ts, variant, method, purposes, keep_until)
			SELECT number, 'shop.example', '2026-11-22 10:00:00.000', '%s', 'custom', map('analytics', %v), '2100-01-01' FROM numbers(%d)`, variant, granted, n))
	}
	decide("usual", true, 81)
	decide("usual", false, 182)
	decide("short", true, 4)
	page := get(t, open(t, db, slog.New(slog.DiscardHandler)), "/dashboards/shop.example?period=7d")
	if page.Code != http.StatusOK {
		t.Fatal(page.Code)
	}
	_, table, found := strings.Cut(page.Body.String(), "Opt-in by variant of the banner")
	table, _, _ = strings.Cut(table, "</table>")
	cells := regexp.MustCompile(`<(?:span|td class="number")>([^<]*)</`).FindAllStringSubmatch(table, -1)
	var got []string
	for _, c := range cells {
		got = append(got, c[1])
	}
	want := []string{"short", "40", "&lt;10", "too few", "The usual banner", "300", "263", "31% (26–37)"}
	if diff := cmp.Diff(want, got); diff != "" || !found {
		t.Errorf("the table of variants (-want +got):\n%s", diff)
	}
}

// TestFewDecisions: what one visitor did shows that the banner works, and not
// how often it was shown, answered or refused.
func TestFewDecisions(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	if err := conn.Exec(t.Context(), `INSERT INTO counters (site, hour, kind, key, n, keep_until) VALUES
		('shop.example', '2026-11-23 10:00:00', 'view', 'variant:short', 2, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'decision', 'accept_all', 1, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'gpc', '', 1, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'event', '', 120, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'channel', 'whatsapp granted', 40, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'channel', 'whatsapp withdrawn', 12, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'channel', 'whatsapp stop', 3, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'channel', 'email start', 99, '2100-01-01'),
		('shop.example', '2026-11-23 10:00:00', 'refusal', 'no_consent', 1, '2100-01-01')`); err != nil {
		t.Fatal(err)
	}
	text := words(t, get(t, open(t, conn, nil), "/dashboards/shop.example?period=day").Body.Bytes())
	for _, want := range []string{
		"Banner shown <10 Decisions <10 Refused by GPC <10 Events accepted 120", "Decisions Kind Count Share Fewer than 10 each <10 –",
		"Refused events Reason Count Share Fewer than 10 each <10 –", "short <10", "Received <130 Passed the gate 120",
		"Messages Channel Agreed Withdrew STOP received WhatsApp 40 12 <10 ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("page does not say %q", want)
		}
	}
	if strings.Contains(text, "of banners") || t.Failed() {
		t.Errorf("page tells the share of so few, or lacks something:\n%s", text)
	}
}
