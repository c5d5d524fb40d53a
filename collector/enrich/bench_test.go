package enrich

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// BenchmarkEnrich is everything that one event costs here once its agent has
// been seen. Budget: 1.5 µs and 2 allocations.
func BenchmarkEnrich(b *testing.B) {
	geo := openGeo(b, writeDB(b, "GeoLite2-Country", map[string]mmdbtype.Map{"81.2.69.0/24": country("GB")}))
	devices := NewDevices(100)
	addr := netip.MustParseAddr("81.2.69.142")
	h := http.Header{"User-Agent": {chromeWindows}, "Accept-Language": {"de-DE,de;q=0.9"}}
	b.ReportAllocs()
	for b.Loop() {
		a, ok := ParseAddress("https://example.com/shop/product-12?size=4")
		if !ok {
			b.Fatal("no address")
		}
		page := defaults.Page(a)
		arrival := ReadArrival(&page, defaults.Referrer("https://www.google.com/", own).From)
		if arrival.Channel != OrganicSearch || devices.Read(ReadAgent(h)).Browser != "Chrome" ||
			Language(h.Get("Accept-Language")) != "de-DE" || geo.Place(addr).Country != "GB" {
			b.Fatal("wrong")
		}
	}
}

func BenchmarkGeo(b *testing.B) {
	geo := openGeo(b, writeDB(b, "GeoLite2-Country", map[string]mmdbtype.Map{"81.2.69.0/24": country("GB")}))
	addr := netip.MustParseAddr("81.2.69.142")
	b.ReportAllocs()
	for b.Loop() {
		geo.Country(addr)
	}
}

func BenchmarkAgentDevice(b *testing.B) {
	a := Agent{UserAgent: chromeWindows}
	b.ReportAllocs()
	for b.Loop() {
		a.Device()
	}
}
