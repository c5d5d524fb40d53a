package server

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/ga4/standin"
	"sluice/collector/ga4/standin/standintest"
)

// published returns the series of every metric whose name begins so, with their
// values.
func (r *running) published(t *testing.T, prefix string) (out []string) {
	t.Helper()
	families, err := r.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), prefix) {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			out = append(out, fmt.Sprintf("%s %s %v", f.GetName(), strings.Join(labels, "/"), m.GetCounter().GetValue()+m.GetGauge().GetValue()))
		}
	}
	slices.Sort(out)
	return out
}

// TestForwardingMetrics: a recipient that takes everything, as Prometheus sees
// it.
func TestForwardingMetrics(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	i := newInstallation(t)
	web := httptest.NewServer(standintest.New(t, standin.Options{}))
	t.Cleanup(web.Close)
	i.google = web.URL
	r := i.serve("embedded")
	r.mustVisit(t, r.agrees(t, "example.com"), "/a", "/b")
	r.acknowledged(t, 2)
	got := slices.DeleteFunc(r.published(t, "sluice_forward"), func(s string) bool {
		// One request or one for each event; the outcomes are records as well.
		return strings.HasPrefix(s, "sluice_forward_requests_total") || strings.HasPrefix(s, "sluice_forwards_unread_records")
	})
	want := []string{
		"sluice_forward_oldest_seconds google-analytics/example.com 0",
		"sluice_forwards_total google-analytics/example.com/acknowledged 2",
		"sluice_forwards_total google-analytics/example.com/cancelled 0",
		"sluice_forwards_total google-analytics/example.com/dead 0",
		"sluice_forwards_waiting google-analytics/example.com 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}
