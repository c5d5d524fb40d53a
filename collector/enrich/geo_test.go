package enrich

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// writeDB writes a database of the given type with one record per network.
func writeDB(tb testing.TB, kind string, records map[string]mmdbtype.Map) string {
	tb.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, IncludeReservedNetworks: true})
	if err != nil {
		tb.Fatal(err)
	}
	for network, record := range records {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			tb.Fatal(err)
		}
		if err := tree.Insert(n, record); err != nil {
			tb.Fatal(err)
		}
	}
	path := filepath.Join(tb.TempDir(), "geo.mmdb")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func country(code string) mmdbtype.Map {
	return mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
}

func openGeo(tb testing.TB, path string) *Geo {
	tb.Helper()
	g, err := OpenGeo(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := g.Close(); err != nil {
			tb.Error(err)
		}
	})
	return g
}

func TestGeoPlace(t *testing.T) {
	t.Parallel()
	countries := openGeo(t, writeDB(t, "GeoLite2-Country", map[string]mmdbtype.Map{
		"81.2.69.0/24": country("GB"), "2001:db8::/32": country("SE"),
	}))
	berlin := country("DE")
	berlin["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Berlin"), "de": mmdbtype.String("Berlin")}}
	berlin["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String("BE")}}
	cities := openGeo(t, writeDB(t, "GeoLite2-City", map[string]mmdbtype.Map{"192.0.2.0/24": berlin, "198.51.100.0/24": country("FR")}))
	tests := []struct {
		name string
		geo  *Geo
		addr string
		want Place
	}{
		{"a country", countries, "81.2.69.142", Place{Country: "GB"}},
		{"IPv6", countries, "2001:db8::1", Place{Country: "SE"}},
		{"not in it", countries, "192.0.2.1", Place{}},
		{"a city", cities, "192.0.2.1", Place{Country: "DE", Region: "DE-BE", City: "Berlin"}},
		{"a country in a database of cities", cities, "198.51.100.1", Place{Country: "FR"}},
		{"no database", nil, "81.2.69.142", Place{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := netip.MustParseAddr(tt.addr)
			if diff := cmp.Diff(tt.want, tt.geo.Place(addr)); diff != "" {
				t.Errorf("place of %s (-want +got):\n%s", tt.addr, diff)
			}
			if got := tt.geo.Country(addr); got != tt.want.Country {
				t.Errorf("country of %s = %q, want %q", tt.addr, got, tt.want.Country)
			}
		})
	}
	if got := countries.Place(netip.Addr{}); got != (Place{}) {
		t.Errorf("no address is at %v, want nowhere", got)
	}
}

func TestOpenGeoRefuses(t *testing.T) {
	t.Parallel()
	noise := filepath.Join(t.TempDir(), "noise.mmdb")
	if err := os.WriteFile(noise, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a missing file":      filepath.Join(t.TempDir(), "none.mmdb"),
		"noise":               noise,
		"a database of ASNs":  writeDB(t, "GeoLite2-ASN", nil),
		"a layout of its own": writeDB(t, "country ipvAll", nil),
	} {
		if g, err := OpenGeo(path); err == nil {
			t.Errorf("OpenGeo took %s: %v", name, g)
		}
	}
}
