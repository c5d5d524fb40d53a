package forward

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/standin/standintest"
	"sluice/collector/matomo"
	"sluice/consent"
)

// TestJudged: what a Matomo answers 200 to and does not keep is dead, and the
// rest of the request acknowledged. What was sent is kept once.
func TestJudged(t *testing.T) {
	t.Parallel()
	ack := func(id string) outcome { return outcome{id, collector.Acknowledged, "", 1} }
	dead := func(id string) outcome { return outcome{id, collector.Dead, Rejected, 1} }
	for name, tt := range map[string]struct {
		body string
		want []outcome
	}{
		"all kept":          {`{"status":"success","tracked":2,"invalid":0}`, []outcome{ack("a"), ack("b")}},
		"one refused":       {`{"status":"success","tracked":1,"invalid":1,"invalid_indices":[1]}`, []outcome{dead("b"), ack("a")}},
		"of another length": {`{"status":"success","tracked":1,"invalid":3,"invalid_indices":[1,1,7]}`, []outcome{dead("b"), ack("a")}},
		"no such website":   {`{"status":"success","tracked":0,"invalid":2}`, []outcome{dead("a"), dead("b")}},
		"endless":           {strings.Repeat("x", 2*maxJudged), []outcome{ack("a"), ack("b")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(standintest.Watch(t, func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Error(err)
				}
				if _, err := io.WriteString(w, tt.body); err != nil {
					t.Error(err)
				}
			}))
			defer web.Close()
			to, err := matomo.New(matomo.Options{URL: web.URL, SiteID: "1", Token: "t"})
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{t: t, policy: policy(t), index: consent.NewIndex(), log: &bytes.Buffer{}}
			r.sink, err = New(Options{
				Policy: r.policy, Service: "google-analytics", Destination: to, Gate: r.index, Outcomes: r,
				Logger: slog.New(slog.NewTextHandler(r.log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer r.sink.client.close()
			token := r.token(analytics)
			r.deliver(r.record(token, r.event("a")), r.record(token, r.event("b")))
			if diff := cmp.Diff(tt.want, r.outcomes()); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			sent, warned := 0, strings.Count(r.log.String(), "refuses events")
			for _, f := range r.recorded {
				if f.Sent != "" {
					sent++
				}
			}
			refused := tt.want[0].State == collector.Dead
			if sent != 1 || refused != (warned == 1) {
				t.Errorf("what was sent is kept %d times, %d warnings", sent, warned)
			}
		})
	}
}
