package ga4

import (
	"testing"

	"sluice/collector"
)

// BenchmarkPack maps a pageview with two properties, and has it judged: what a
// hit costs before it is sent.
func BenchmarkPack(b *testing.B) {
	d, err := New(Options{MeasurementID: "G-1", APISecret: "s", Secure: true})
	if err != nil {
		b.Fatal(err)
	}
	events := []*collector.Event{automatic("pageview", "plan", "pro", "variant", "b")}
	b.ReportAllocs()
	for b.Loop() {
		parcel, err := d.Pack(events, collector.AdConsent{}, noon)
		if err != nil || len(parcel.Unfit) > 0 {
			b.Fatal(err, parcel.Unfit)
		}
	}
}
