package e2e

import (
	"testing"

	"sluice/static/browsertest"
)

// What the script measures reaches the table, masked, and Google without a
// complaint; what is wrong is refused and counted.
func TestJourneyMeasured(t *testing.T) {
	t.Parallel()
	// By name: requests of the same moment overtake each other.
	const rows = "SELECT name, path FROM events WHERE name NOT IN ('engagement', 'scroll', 'web_vital') ORDER BY path, lower(name)"
	r := newRig(t, kept)
	b := browsertest.Open(t)
	b.Visit(r.origin() + "/")
	b.Asked()
	b.Click("Accept all", "section")
	b.Gone()
	r.wantRows(rows, "pageview,/")
	b.Visit(r.origin() + "/found?q=Blue+Vase&mail=ada@example.com")
	r.wantRows(rows, "pageview,/", "pageview,/found", "search,/found")
	b.Run(`(() => {
		const link = document.createElement('a');
		link.href = 'https://other.example/a?token=secret';
		link.onclick = (event) => event.preventDefault();
		document.body.append(link);
		link.click();
		sluice.track('Purchase', {plan: 'pro'}, {revenue: {amount: '9.90', currency: 'EUR'}});
		sluice.track('Refused', {}, {revenue: {amount: '9,90', currency: 'EUR'}});
	})()`)
	r.wantRows(rows, "pageview,/", "outbound_link,/found", "pageview,/found", "Purchase,/found", "search,/found")
	r.wantRows("SELECT props['search_term'] FROM events WHERE name = 'search'", "blue vase")
	r.wantRows("SELECT props['link_url'] FROM events WHERE name = 'outbound_link'", "https://other.example/a")
	r.wantRows("SELECT revenue, currency FROM events WHERE name = 'Purchase'", "9.9,EUR")
	r.wantRows("SELECT key, sum(n) FROM counters WHERE kind = 'refusal' GROUP BY key", "invalid,1")

	b.Visit(r.origin() + "/last")
	r.wantRows("SELECT path, toFloat64(props['percent_scrolled']) FROM events WHERE name = 'scroll' AND path = '/found'", "/found,100")
	r.wantRows("SELECT mapContains(props, 'CLS'), toFloat64OrZero(props['LCP']) > 0 FROM events WHERE name = 'web_vital'", "1,1")
	r.wantRows("SELECT uniqExact(session), countIf(path = '/' AND name = 'web_vital') FROM events", "1,0") // loaded before the grant
	r.googleIsContent()
}
