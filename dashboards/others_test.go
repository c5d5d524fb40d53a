package dashboards

import (
	"net/url"
	"strings"
	"testing"

	"sluice/collector/store/storetest"
)

// TestFiltersOfOtherEvents: two visits view a page each, and one of them buys in
// the shop and measures how the shop was shown. Under a filter that the purchase
// alone meets, no panel says that no page was viewed.
func TestFiltersOfOtherEvents(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	if err := conn.Exec(t.Context(), `INSERT INTO events (site, ts, seq, visitor, session, name, path, props, keep_until) VALUES
		('shop.example', '2026-11-23 10:00:00.000', 1, 'a', 's1', 'pageview', '/shop', map('plan', 'free'), '2100-01-01'),
		('shop.example', '2026-11-23 10:01:00.000', 2, 'a', 's1', 'Bought', '/shop', map('plan', 'pro'), '2100-01-01'),
		('shop.example', '2026-11-23 10:02:00.000', 3, 'a', 's1', 'Bought', '/shop', map('plan', 'pro'), '2100-01-01'),
		('shop.example', '2026-11-23 10:03:00.000', 4, 'a', 's1', 'scroll', '/shop', map('percent_scrolled', '90'), '2100-01-01'),
		('shop.example', '2026-11-23 11:00:00.000', 5, 'b', 's2', 'pageview', '/blog', map('plan', 'free'), '2100-01-01')`); err != nil {
		t.Fatal(err)
	}
	e := open(t, conn, nil)
	const note = "No pageview meets these filters"
	bought := []string{note, "Visits 1 new", "Events 2 new", "Views per visit 1.00", "Pages Page Visitors Events /shop 1 2"}
	tests := []struct {
		name, filter, metric string
		want, lacks          []string
	}{
		{"a goal that is an event", "is,event:goal,Sale", "", bought, []string{"Pageviews 0", "No page was viewed", "Scroll depth", "/blog"}},
		{"a name", "is,event:name,Bought", "", bought, []string{"Pageviews 0"}},
		{"a property of some events", "is,event:props:plan,pro", "", bought, []string{"Pageviews 0"}},
		{"its chart", "is,event:name,Bought", "pageviews", []string{"Events by hour", "Mon 23 Nov, 11:00 2 0"}, nil},
		{"a property of pageviews", "is,event:props:plan,free", "", []string{"Pageviews 2 new", "Pages Page Visitors Pageviews /blog 1 1"}, []string{note}},
		{"a goal that is a page", "is,event:goal," + hostile[1], "", []string{"Pageviews 2 new"}, []string{note}},
		{"a page", "is,event:page,/shop", "", []string{"Pageviews 1 new", "Scroll depth"}, []string{note}},
		{"nothing at all", "is,event:name,Left", "", []string{"Visits 0", "Pageviews 0", "No pageview of this period meets the filters."}, []string{note, "No page was viewed"}},
		{"no filter", "", "", []string{"Pageviews 2 new", "Scroll depth"}, []string{note}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := url.Values{"period": {"day"}, "m": {tt.metric}}
			if tt.filter != "" {
				q.Set("f", tt.filter)
			}
			text := words(t, get(t, e, "/dashboards/shop.example?"+q.Encode()).Body.Bytes())
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("page does not say %q", want)
				}
			}
			for _, not := range tt.lacks {
				if strings.Contains(text, not) {
					t.Errorf("page says %q", not)
				}
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}
