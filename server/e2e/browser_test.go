package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/google/go-cmp/cmp"

	"sluice/collector/ga4/judge"
	"sluice/static/browsertest"
)

// eventRows is what a visitor left behind, oldest first.
const eventRows = "SELECT name, path FROM events WHERE name NOT IN ('engagement', 'scroll', 'web_vital') ORDER BY ts, seq"

func TestJourneyWithoutAChoice(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	b := browsertest.Open(t)
	b.Visit(r.origin() + "/")
	b.Asked()
	b.Run(`history.pushState(null, '', '/moved')`)
	b.Settle()
	b.Visit(r.origin() + "/next")
	b.Asked()
	wantPaths(t, b.Paths(r.origin()), "GET /", "GET /_s/s.js", "GET /_s/b", "GET /next", "GET /_s/s.js", "GET /_s/b")
	wantCookies(t, r, b)
	if stored := browsertest.Eval[[]any](b, `[localStorage.length, sessionStorage.length]`); !slices.Equal(stored, []any{0.0, 0.0}) {
		t.Errorf("storage before a choice: %v", stored)
	}
	r.wantRows("SELECT kind, sum(n) FROM counters GROUP BY kind ORDER BY kind", "script,2", "view,2")
	r.wantRows("SELECT count() FROM events", "0")
	r.wantRows("SELECT count() FROM receipts", "0")
	if hits := r.google.Hits(); len(hits) > 0 {
		t.Errorf("Google heard of %d hits", len(hits))
	}
}

func TestJourneyReject(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	b := browsertest.Open(t)
	b.Visit(r.origin() + "/")
	b.Asked()
	b.Click("Reject all", "section")
	b.Gone()
	b.Visit(r.origin() + "/next")
	b.Until(`window.sluice?.consent`)
	b.Settle()
	wantPaths(t, b.Paths(r.origin()), "GET /", "GET /_s/s.js", "GET /_s/b", "POST /_s/d", "GET /next", "GET /_s/s.js")
	wantCookies(t, r, b, "sl_choice")
	r.wantRows("SELECT method, has(mapValues(purposes), true), consent_id FROM receipts", "reject_all,0,00000000-0000-0000-0000-000000000000")
	r.wantRows("SELECT count() FROM events", "0")
	if hits := r.google.Hits(); len(hits) > 0 {
		t.Errorf("Google heard of %d hits", len(hits))
	}
}

// The main journey, with the prefix kept and stripped by the site's server:
// accept, reload, navigate within the page, a second tab, withdraw.
func TestJourneyAcceptThenWithdraw(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]prefix{"prefix kept": kept, "prefix stripped": stripped} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, p)
			b := browsertest.Open(t)
			b.Visit(r.origin() + "/")
			b.Asked()
			b.Click("Accept all", "section")
			b.Gone()
			r.wantRows(eventRows, "pageview,/")
			cookies := wantCookies(t, r, b, "sl_choice", "sl_id", "sl_proof", "sl_s")
			if proof := cookies["sl_proof"]; !proof.HTTPOnly || proof.Path != "/_s" || len(proof.Value) != 111 {
				t.Errorf("sl_proof: %+v", proof)
			}
			b.Visit(r.origin() + "/next")
			b.Until(`window.sluice?.consent`)
			r.wantRows(eventRows, "pageview,/", "pageview,/next")
			b.Run(`history.pushState(null, '', '/within')`)
			r.wantRows(eventRows, "pageview,/", "pageview,/next", "pageview,/within")

			second := browsertest.Open(t, b)
			second.Visit(r.origin() + "/second")
			second.Until(`window.sluice?.consent`)
			r.wantRows("SELECT uniqExact(visitor), uniqExact(session), any(country), any(hostname) FROM events", "1,1,GB,localhost")
			r.wantRows("SELECT state, count() FROM forwards FINAL WHERE event_id IN (SELECT event_id FROM events WHERE name = 'pageview') GROUP BY state", "acknowledged,4")
			r.googleIsContent()

			visitor := r.sql("SELECT any(visitor) FROM events")[0][0]
			b.Run(`document.querySelector('#choices').click()`)
			b.Until(`$('dialog')?.open`)
			b.Click("Reject all", "dialog")
			b.Gone()
			wantCookies(t, r, b, "sl_choice")
			r.wantRows("SELECT countIf(visitor = '"+visitor+"'), countIf(receipt_id != toUUID('00000000-0000-0000-0000-000000000000')) FROM events", "0,0")
			before := len(r.google.Hits())
			b.Run(`history.pushState(null, '', '/after')`)
			second.Run(`(window.dispatchEvent(new Event('pageshow')), document.dispatchEvent(new Event('visibilitychange')), history.pushState(null, '', '/after'))`)
			b.Settle()
			second.Settle()
			r.wantRows("SELECT countIf(path = '/after') FROM events", "0")
			if after := len(r.google.Hits()); after != before {
				t.Errorf("Google heard of %d hits after the withdrawal", after-before)
			}
			r.wantRows("SELECT method FROM receipts ORDER BY n", "accept_all", "withdraw")
			r.verifyLedger()
		})
	}
}

func TestJourneyChooseWithoutGoogle(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	b := browsertest.Open(t)
	b.Visit(r.origin() + "/")
	b.Asked()
	b.Click("Choose", "section")
	b.Until(`$('dialog')?.open`)
	b.Run(`$('#analytics-statistics').click()`)
	b.Click("Save", "dialog")
	b.Gone()
	r.wantRows(eventRows, "pageview,/")
	r.wantRows("SELECT arrayJoin(mapKeys(mapFilter((name, granted) -> granted, services))) FROM receipts", "statistics")
	b.Visit(r.origin() + "/next")
	r.wantRows(eventRows, "pageview,/", "pageview,/next")
	if hits := r.google.Hits(); len(hits) > 0 {
		t.Errorf("Google heard of %d hits, though the visitor chose own statistics alone", len(hits))
	}
}

func TestJourneyBackForwardCache(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	b := browsertest.Open(t)
	b.Visit(r.origin() + "/")
	b.Asked()
	b.Click("Accept all", "section")
	b.Gone()
	r.wantRows(eventRows, "pageview,/")
	b.Visit(r.origin() + "/next")
	r.wantRows(eventRows, "pageview,/", "pageview,/next")

	other := browsertest.Open(t, b)
	other.Visit(r.origin() + "/")
	r.wantRows(eventRows, "pageview,/", "pageview,/next", "pageview,/")
	other.Run(`sluice.open()`)
	other.Until(`$('dialog')?.open`)
	other.Click("Reject all", "dialog")
	other.Gone()

	b.Run(`void history.back()`) // from the cache there is no load event to wait for
	b.Until(`location.pathname === '/' && window.sluice?.consent`)
	b.Run(`history.pushState(null, '', '/after')`)
	b.Settle()
	r.wantRows("SELECT countIf(path = '/after'), count() FROM events WHERE name = 'pageview'", "0,3")
}

func TestJourneyUnderPrivacyControl(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	b := browsertest.Open(t)
	b.PrivacyControl()
	b.Visit(r.origin() + "/")
	b.Until(`window.sluice`)
	r.wantRows("SELECT kind, sum(n) FROM counters GROUP BY kind ORDER BY kind", "gpc,1", "script,1")
	if shown := browsertest.Eval[bool](b, `!!$('section')`); shown {
		t.Error("the banner is shown in spite of Global Privacy Control")
	}
	wantCookies(t, r, b)

	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Accept all", "dialog")
	b.Gone()
	r.wantRows(eventRows, "pageview,/")
	r.wantRows("SELECT gpc FROM receipts", "true")
}

// googleIsContent fails on every hit that Google would not keep, or that says
// more than it should.
func (r *rig) googleIsContent() {
	r.t.Helper()
	hits := r.google.Hits()
	if len(hits) == 0 {
		r.t.Error("Google heard of nothing")
	}
	for _, h := range hits {
		if diff := cmp.Diff([]judge.Message(nil), h.Verdict.Messages); diff != "" {
			r.t.Errorf("Google would complain (-want +got):\n%s", diff)
		}
	}
}

func wantPaths(t *testing.T, got []string, want ...string) {
	t.Helper()
	got = slices.DeleteFunc(got, func(p string) bool { return strings.HasSuffix(p, "/favicon.ico") })
	if !slices.Equal(got, want) {
		t.Errorf("requests: %q, want %q", got, want)
	}
}

// wantCookies checks which cookies the browser holds for the site.
func wantCookies(t *testing.T, r *rig, b *browsertest.Tab, want ...string) map[string]network.Cookie {
	t.Helper()
	got := b.Cookies(r.origin()+"/", r.origin()+"/_s/d")
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("cookies: %q, want %q", names, want)
	}
	return got
}
