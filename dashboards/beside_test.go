package dashboards

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/store/storetest"
)

// TestImportedIsApart lays a complete import and one under way beside a visit:
// the chart shows the former in a column of its own, and no other figure knows
// of either.
func TestImportedIsApart(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	for _, insert := range []string{
		`INSERT INTO events (site, ts, seq, visitor, session, name, path, keep_until) VALUES
			('shop.example', '2026-11-20 10:00:00.000', 1, 'a', 's', 'pageview', '/', '2100-01-01')`,
		`INSERT INTO imported (site, date, tool, dimension, value, visitors, visits, pageviews, keep_until, spool_id, seq) VALUES
			('shop.example', '2026-11-19', 'plausible', '', '', 10, 12, 30, '2100-01-01', '00000000-0000-0000-0000-000000000001', 0),
			('shop.example', '2026-11-20', 'plausible', '', '', 20, 22, 50, '2100-01-01', '00000000-0000-0000-0000-000000000001', 1),
			('shop.example', '2026-11-20', 'plausible', 'page', '/imported', 20, 22, 50, '2100-01-01', '00000000-0000-0000-0000-000000000001', 2),
			('shop.example', '2026-11-18', 'umami', '', '', 99, 99, 99, '2100-01-01', '00000000-0000-0000-0000-000000000002', 0),
			('other.example', '2026-11-20', 'log', '', '', 99, 99, 99, '2100-01-01', '00000000-0000-0000-0000-000000000003', 0)`,
		`INSERT INTO imports (site, tool, state, first, last, keep_until, spool_id, seq) VALUES
			('shop.example', 'plausible', 'reading', '2026-11-19', '2026-11-20', '2100-01-01', '00000000-0000-0000-0000-000000000001', 1),
			('shop.example', 'plausible', 'complete', '2026-11-19', '2026-11-20', '2100-01-01', '00000000-0000-0000-0000-000000000001', 2),
			('shop.example', 'umami', 'reading', '2026-11-18', '2026-11-18', '2100-01-01', '00000000-0000-0000-0000-000000000002', 1),
			('other.example', 'log', 'complete', '2026-11-20', '2026-11-20', '2100-01-01', '00000000-0000-0000-0000-000000000003', 1)`,
		// 23:30 UTC on the 20th is the 21st in Berlin.
		`INSERT INTO counters (site, hour, kind, n, keep_until) VALUES
			('shop.example', '2026-11-20 23:00:00', 'key_drawn', 1, '2100-01-01'),
			('other.example', '2026-11-19 12:00:00', 'key_drawn', 1, '2100-01-01')`,
	} {
		if err := conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	site := policy(t, "shop.example").Site
	type beside struct{ Value, Imported, Mark string }
	tests := []struct {
		name, address string
		tools         string
		want          map[string]beside // by label; points without anything are left out
	}{
		{"visitors by day", "", "Plausible", map[string]beside{"Thu 19 Nov 2026": {"0", "10", ""}, "Fri 20 Nov 2026": {"1", "20", ""}, "Sat 21 Nov 2026": {"0", "", "marked"}}},
		{"pageviews by day", "m=pageviews", "Plausible", map[string]beside{"Thu 19 Nov 2026": {"0", "30", ""}, "Fri 20 Nov 2026": {"1", "50", ""}}},
		{"visits by month", "m=visits&period=12mo", "Plausible", map[string]beside{"November 2026": {"1", "34", "marked"}}},
		{"a share", "m=bounce_rate", "", map[string]beside{"Fri 20 Nov 2026": {"100%", "", ""}, "Sat 21 Nov 2026": {"0%", "", "marked"}}},
		{"filtered", "f=is,event:page,/", "", map[string]beside{"Fri 20 Nov 2026": {"1", "", ""}, "Sat 21 Nov 2026": {"0", "", "marked"}}},
		{"by hour", "period=custom&from=2026-11-20&to=2026-11-21", "", map[string]beside{"Fri 20 Nov, 11:00": {"1", "", ""}, "Sat 21 Nov, 00:00": {"0", "", "marked"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := drawn(t, conn, site, tt.address)
			got := map[string]beside{}
			for _, p := range c.Points {
				b := beside{Value: p.Text, Imported: p.ImportedText}
				if p.Mark != "" {
					b.Mark = "marked"
				}
				if p.Value > 0 || b.Imported != "" || b.Mark != "" {
					got[p.Label] = b
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("points (-want +got):\n%s", diff)
			}
			if c.Tools != tt.tools || (c.Imported == "") != (tt.tools == "") {
				t.Errorf("imported from %q, drawn as %q; want %q", c.Tools, c.Imported, tt.tools)
			}
		})
	}
	f, err := askFigures(t.Context(), conn, ReadView(site, nil, now), now)
	if err != nil {
		t.Fatal(err)
	}
	if f.List[0].Value != "1" || f.List[2].Value != "1" {
		t.Errorf("visitors %s, pageviews %s; want the one of Sluice's own", f.List[0].Value, f.List[2].Value)
	}
}

// TestAccounts writes down where events went.
func TestAccounts(t *testing.T) {
	t.Parallel()
	if accounts(nil, time.UTC) != nil {
		t.Error("nobody counts, and there is a panel")
	}
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	b := &Balance{Since: at, Total: Account{Received: 1100, Stored: 1000, Waiting: 40, Refused: map[string]uint64{"bot": 50, "no_consent": 3}, Unaccounted: 7}, Carried: 5}
	for i := range 70 {
		b.Minutes = append(b.Minutes, Minute{Start: at.Add(time.Duration(i) * time.Minute), Account: Account{Received: uint64(i), Stored: uint64(i)}})
	}
	b.Minutes = append(b.Minutes, Minute{Start: at.Add(time.Hour + 10*time.Minute), Account: Account{Received: 16, Stored: 14, Refused: map[string]uint64{"bot": 1}, Unaccounted: 1}})
	a := accounts(b, time.UTC)
	if a.Received != "1,100" || a.Refused != "53" || a.Waiting != "45" || a.Unaccounted != "7" || a.Even || a.Dead != "" {
		t.Errorf("got %+v", a)
	}
	// The refused one could be somebody, and 16 received would tell of it.
	want := []MinuteLine{{"23 Nov 15:10", "<25", "14", "<10", "0", "1"}, {"23 Nov 15:09", "69", "69", "0", "0", "0"}}
	if diff := cmp.Diff(want, a.Minutes[:2]); diff != "" || len(a.Minutes) != shownMinutes {
		t.Errorf("%d minutes, want 60, the newest first (-want +got):\n%s", len(a.Minutes), diff)
	}
	if diff := cmp.Diff([]Line{{Label: "Bot", Width: 100, Values: []string{"50", "94%"}}, {Label: "Fewer than 10 each", Values: []string{"<10", "–"}}}, a.Reasons); diff != "" {
		t.Errorf("reasons, the small ones as one (-want +got):\n%s", diff)
	}
	few := accounts(&Balance{Since: at, Total: Account{Received: 3, Stored: 2, Refused: map[string]uint64{"bot": 1}}}, time.UTC)
	if few.Received != "<20" || few.Stored != "<10" || few.Refused != "<10" {
		t.Errorf("of a small site, got %+v", few)
	}
}
