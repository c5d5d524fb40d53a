package forward

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/consent"
)

// ofGtag makes an event one that gtag.js measured.
func ofGtag(ev *collector.Event) {
	ev.Gtag = "_p=1795435200000&_s=1&_ss=1&sct=1&seg=1&tid=G-TEST"
}

// hitsOf admits hits of gtag.js to the spool.
func (q *queued) hitsOf(token consent.Token, ids ...string) {
	q.t.Helper()
	for _, id := range ids {
		r := q.record(token, q.event(id, ofGtag))
		if err := q.spool.Append(q.t.Context(), entry{r.Kind, r.Data}); err != nil {
			q.t.Fatal(err)
		}
	}
}

func relaying(r *rig) { r.relay = true }

// TestRelayedHit is what reaches Google of a hit of gtag.js that a site relays.
func TestRelayedHit(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t, relaying)
		token := q.token(analytics)
		refused := token
		refused.Denied = googleBit
		q.hitsOf(refused, "refused")
		q.hitsOf(token, "a")
		q.admit(token, "own") // of our own script: by the Measurement Protocol
		time.Sleep(10 * time.Second)
		hits := q.google.Hits()
		if len(hits) != 2 || hits[0].Path != standin.HitPath || hits[1].Path != standin.CollectPath {
			t.Fatalf("%d requests: %v", len(hits), hits)
		}
		h := hits[0]
		if !h.Verdict.Clean() || len(h.Kept()) != 1 {
			t.Errorf("the judge complains: %+v", h.Verdict)
		}
		var headers []string
		for name := range h.Header {
			headers = append(headers, name)
		}
		slices.Sort(headers)
		if diff := cmp.Diff([]string{"Content-Length", "Content-Type", "User-Agent"}, headers); diff != "" || h.Method != http.MethodPost {
			t.Errorf("%s with headers (-want +got):\n%s", h.Method, diff)
		}
		if h.Query.Has("api_secret") || h.Query.Get("dl") != "https://example.com/a" || h.Query.Get("_ss") != "1" || h.Query.Get("gcs") != "G101" {
			t.Errorf("query: %v", h.Query)
		}
		want := []outcome{{"a", collector.Acknowledged, "", 1}, {"own", collector.Acknowledged, "", 1}}
		if diff := cmp.Diff(want, q.outcomes()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		said := h.Query.Encode() + "\n"
		sum := sha256.Sum256([]byte(said))
		if f := q.recorded[0]; f.Sent != said || f.PayloadHash != hex.EncodeToString(sum[:]) {
			t.Errorf("kept as sent: %q under %s", f.Sent, f.PayloadHash)
		}
	})
}

// TestRelayedHitWithdrawn: a hit that waits for an endpoint is looked up again
// before each try, as any other event.
func TestRelayedHitWithdrawn(t *testing.T) {
	queueBubble(t, func(t *testing.T) {
		q := newQueued(t, relaying)
		token := q.token(analytics)
		q.google.Fail(standin.Fault{Kind: standin.Answer, Status: 503})
		q.hitsOf(token, "a", "b")
		time.Sleep(10 * time.Second)
		before := len(q.google.Hits())
		q.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
		q.google.Fail(standin.Fault{})
		time.Sleep(10 * time.Minute)
		if after := len(q.google.Hits()); before == 0 || after != before {
			t.Errorf("%d requests before the withdrawal, %d after", before, after)
		}
		for _, o := range q.outcomes() {
			if o.State != collector.Cancelled || o.Reason != string(consent.Withdrawn) {
				t.Errorf("outcome %+v, want cancelled, withdrawn", o)
			}
		}
		for _, f := range q.recorded {
			if f.Sent != "" {
				t.Errorf("what was sent of %s is kept: %q", f.EventID, f.Sent)
			}
		}
		if len(q.outcomes()) != 2 {
			t.Errorf("outcomes: %v", q.outcomes())
		}
	})
}
