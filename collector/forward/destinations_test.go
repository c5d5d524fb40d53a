package forward

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin/standintest"
	"sluice/collector/matomo"
	"sluice/collector/webhook"
	"sluice/consent"
)

// TestOtherDestinations sends the same event to a webhook and to a Matomo, by
// the same machine: under a live grant, and not after it was taken back.
func TestOtherDestinations(t *testing.T) {
	t.Parallel()
	const key = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	tests := []struct {
		name string
		open func(url string) (Destination, error)
		want []string // in the body
	}{
		{"webhook", func(url string) (Destination, error) {
			return webhook.New(webhook.Options{URL: collector.Secret(url), Secret: key})
		}, []string{`"type":"events"`, `"id":"a"`}},
		{"matomo", func(url string) (Destination, error) {
			return matomo.New(matomo.Options{URL: url, SiteID: "1", Token: "t"})
		}, []string{`"token_auth":"t"`, `example.com%2Fa`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var bodies []string
			web := httptest.NewServer(standintest.Watch(t, func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				bodies = append(bodies, string(body))
			}))
			defer web.Close()
			to, err := tt.open(web.URL)
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{t: t, policy: policy(t), index: consent.NewIndex()}
			if r.sink, err = New(Options{Policy: r.policy, Service: "google-analytics", Destination: to, Gate: r.index, Outcomes: r}); err != nil {
				t.Fatal(err)
			}
			defer r.sink.client.close()
			token, gone := r.token(analytics), r.token(analytics)
			r.index.Apply(gone.Consent, &consent.Cut{All: consent.Forever})
			r.deliver(r.record(token, r.event("a")), r.record(gone, r.event("b")))
			want := []outcome{{"b", collector.Cancelled, "withdrawn", 0}, {"a", collector.Acknowledged, "", 1}}
			if diff := cmp.Diff(want, r.outcomes()); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(bodies) != 1 {
				t.Fatalf("%d requests, want 1", len(bodies))
			}
			for _, part := range tt.want {
				if !strings.Contains(bodies[0], part) {
					t.Errorf("%q is not in %s", part, bodies[0])
				}
			}
		})
	}
}
