package dashboards

import (
	"net/url"
	"testing"
	"time"

	"sluice/consent"
	"sluice/dashboards/query"
)

// located is shop.example in a zone.
func located(t *testing.T, name string) *consent.Site {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	site := *policy(t, "shop.example").Site
	site.TimeZone = zone
	return &site
}

// viewOf reads the query string of an address.
func viewOf(t *testing.T, site *consent.Site, address string) View {
	t.Helper()
	q, err := url.ParseQuery(address)
	if err != nil {
		t.Fatal(err)
	}
	return ReadView(site, q, now)
}

// TestViewPath checks that an address survives being read and written.
func TestViewPath(t *testing.T) {
	t.Parallel()
	site := policy(t, "shop.example").Site
	tests := []struct {
		name, in, want string
		problems       int
	}{
		{"nothing", "", "period=30d", 0},
		{"today", "period=day&m=visits", "m=visits&period=day", 0},
		{"custom", "period=custom&from=2026-01-01&to=2026-02-01", "from=2026-01-01&period=custom&to=2026-02-01", 0},
		{"custom without its name", "from=2026-01-01&to=2026-02-01", "from=2026-01-01&period=custom&to=2026-02-01", 0},
		{"bad dates", "period=custom&from=2026-02-01&to=2026-01-01", "period=30d", 1},
		{"bad dates without a name", "from=x", "period=30d", 1},
		{"an unknown period", "period=aeon", "period=30d", 1},
		{"the API's own period", "period=all", "period=30d", 1},
		{"an unknown figure", "m=luck", "period=30d", 1},
		{"an unknown panel", "panel=x", "period=30d", 1},
		{"unknown things", "period=aeon&m=luck&panel=x&test=yes&credit=all", "period=30d", 5},
		{"filters, one twice, one with commas", "f=is,visit:country,DE&f=is,visit:country,DE&f=contains,event:page,a,b%26c", "f=is%2Cvisit%3Acountry%2CDE&f=contains%2Cevent%3Apage%2Ca%2Cb%26c&period=30d", 0},
		{"bad filters", "f=is&f=is,visit:shoe,x&f=like,visit:os,x&f=matches,event:page,(", "period=30d", 4},
		{"test rows of one panel", "test=1&panel=pages", "panel=pages&period=30d&test=1", 0},
	}
	for _, tt := range tests {
		v := viewOf(t, site, tt.in)
		if got, want := v.Path(), "/dashboards/shop.example?"+tt.want; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, want)
		}
		if len(v.Problems) != tt.problems {
			t.Errorf("%s: problems %q, want %d", tt.name, v.Problems, tt.problems)
		}
	}
}

// TestChips says filters as people do.
func TestChips(t *testing.T) {
	t.Parallel()
	site := policy(t, "shop.example").Site
	tests := []struct{ filter, want string }{
		{"is,visit:country,DE", "Country is Germany"},
		{"is_not,visit:country,DE", "Country is not Germany"},
		{"contains,visit:country,DE", "Country contains DE"},
		{"is,visit:country,(not set)", "Country is (not set)"},
		{"is,visit:entry_page,/%C3%BCber", "Entry page is /über"},
		{"is,event:page,/%C3%BCber", "Page is /über"},
		{"contains,event:page,%C3%BC", "Page contains ü"},
		{"contains_not,visit:exit_page,%C3%BC", "Exit page does not contain ü"},
		{"matches,event:page,%C3%BC.*", "Page matches %C3%BC.*"},
		{"is,event:props:link_url,https://maps.example/kiln", "Link is https://maps.example/kiln"},
		{"is,event:props:search_term,kiln", "Looked for is kiln"},
		{"is,event:props:plan,pro", "Property plan is pro"},
		{"is,event:props:Plan_b:x,pro", "Property Plan_b:x is pro"},
		{"is,visit:utm_term,kiln", "Utm term is kiln"},
		{"is,event:name,Bought", "Event is Bought"},
	}
	for _, tt := range tests {
		shown := chips(ReadView(site, url.Values{"f": {tt.filter}}, now))
		if len(shown) != 1 || shown[0].Words != tt.want {
			t.Errorf("%s: got %v, want %q", tt.filter, shown, tt.want)
		}
	}
}

// TestBefore checks what a period is compared with; now is 23 November 2026,
// 15:20 in Berlin.
func TestBefore(t *testing.T) {
	t.Parallel()
	tests := []struct{ zone, query, from, to, sofar string }{
		{"Europe/Berlin", "period=day", "2026-11-22 00:00 CET", "2026-11-23 00:00 CET", "2026-11-22 15:20 CET"},
		{"Europe/Berlin", "period=30d", "2026-09-25 00:00 CEST", "2026-10-25 00:00 CEST", "2026-10-24 15:20 CEST"},
		{"Europe/Berlin", "period=12mo", "2024-12-01 00:00 CET", "2025-11-24 00:00 CET", "2025-11-23 15:20 CET"},
		{"Europe/Berlin", "from=2026-10-25&to=2026-10-25", "2026-10-24 00:00 CEST", "2026-10-25 00:00 CEST", "2026-10-25 00:00 CEST"},
		// Days that begin at 01:00, for clocks skip midnight.
		{"Africa/Cairo", "from=2026-04-24&to=2026-04-24", "2026-04-23 00:00 EET", "2026-04-24 01:00 EEST", "2026-04-24 01:00 EEST"},
		{"Africa/Cairo", "from=2026-04-25&to=2026-04-25", "2026-04-24 01:00 EEST", "2026-04-25 00:00 EEST", "2026-04-25 00:00 EEST"},
		{"America/Santiago", "from=2026-09-06&to=2026-09-06", "2026-09-05 00:00 -04", "2026-09-06 01:00 -03", "2026-09-06 01:00 -03"},
	}
	for _, tt := range tests {
		whole, sofar := viewOf(t, located(t, tt.zone), tt.query).before(now)
		const layout = "2006-01-02 15:04 MST"
		got := [3]string{whole.From.Format(layout), whole.To.Format(layout), sofar.To.Format(layout)}
		if want := [3]string{tt.from, tt.to, tt.sofar}; got != want {
			t.Errorf("%s %s: got %v, want %v", tt.zone, tt.query, got, want)
		}
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		unit        query.Unit
		now, before float64
		lower       bool
		text, tone  string
	}{
		{query.Count, 112, 100, false, "+12%", "good"},
		{query.Count, 88, 100, false, "−12%", "bad"},
		{query.Count, 100, 100, false, "±0%", "same"},
		{query.Count, 5, 0, false, "new", "good"},
		{query.Count, 0, 0, false, "–", "same"},
		{query.Count, 0, 7, false, "−100%", "bad"},
		{query.Percent, 43, 40, true, "+3 pts", "bad"},
		{query.Percent, 40, 43, true, "−3 pts", "good"},
		{query.Count, 30000, 2, false, "+1,499,900%", "good"},
	}
	for _, tt := range tests {
		c := change(tt.unit, tt.now, tt.before, tt.lower)
		if c.Text != tt.text || c.Tone != tt.tone {
			t.Errorf("from %v to %v: got %s %s, want %s %s", tt.before, tt.now, c.Text, c.Tone, tt.text, tt.tone)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	tests := []struct {
		unit            query.Unit
		most, top, step float64
	}{
		{query.Count, 0, 1, 1},
		{query.Count, 1, 1, 1},
		{query.Count, 7, 8, 2},
		{query.Count, 13755, 15000, 5000},
		{query.Ratio, 2.4, 3, 1},
		{query.Percent, 45, 60, 20},
		{query.Seconds, 45, 60, 20},
		{query.Seconds, 400, 480, 120},
	}
	for _, tt := range tests {
		top, step := scale(tt.most, tt.unit)
		if top != tt.top || step != tt.step {
			t.Errorf("scale for %v: got %v by %v, want %v by %v", tt.most, top, step, tt.top, tt.step)
		}
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	tests := []struct{ got, want string }{
		{thousands(0), "0"}, {thousands(999), "999"}, {thousands(1000), "1,000"}, {thousands(-1234567), "−1,234,567"},
		{duration(0), "0s"}, {duration(65 * time.Second), "1m 5s"}, {duration(2*time.Hour + 61*time.Second), "2h 1m"},
		{share(0), "0%"}, {share(0.001), "<1%"}, {share(0.999), ">99%"}, {share(1), "100%"}, {share(0.5), "50%"},
		{country("DE"), "Germany"}, {country("ZZ"), "ZZ"}, {country("x\n"), "x\n"},
		{sentence("no_consent"), "No consent"}, {sentence(""), ""}, {sentence("étage"), "Étage"},
		{visible("a\u202eb\x00"), "a\uFFFDb\uFFFD"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
