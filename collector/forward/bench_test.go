package forward

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
	"sluice/consent"
)

// BenchmarkDeliver forwards hits of as many visitors to a stand-in that takes
// 20 ms, one hit a request: the worst that sharing requests can do.
func BenchmarkDeliver(b *testing.B) {
	heard := standin.New(standin.Options{Keep: 1})
	heard.Fail(standin.Fault{Kind: standin.Slow, Delay: 20 * time.Millisecond})
	web := httptest.NewServer(heard)
	defer web.Close()
	r := &rig{t: b, policy: policy(b), index: consent.NewIndex()}
	sink, err := New(Options{
		Policy: r.policy, Service: "google-analytics", Destination: google(b, web.URL+"/mp/collect"),
		Gate: r.index, Outcomes: r, Parallel: 64,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer sink.client.close()
	token := r.token(analytics)
	var records []spool.Record
	for i := range 2000 {
		records = append(records, r.record(token, r.event(fmt.Sprint(i), func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", i+1) })))
	}
	for b.Loop() {
		if err := sink.Deliver(b.Context(), batch(records...)); err != nil {
			b.Fatal(err)
		}
		clear(sink.settled)
	}
	b.ReportMetric(float64(b.N*len(records))/b.Elapsed().Seconds(), "hits/s")
}
