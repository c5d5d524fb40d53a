package enrich

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/oschwald/geoip2-golang/v2"
)

// Place is where an address is registered, coarsely; "" where unknown.
type Place struct {
	Country string // ISO 3166-1 alpha-2
	Region  string // ISO 3166-2, "DE-BE"
	City    string // English
}

// Geo looks addresses up in a GeoLite2, GeoIP2 or DB-IP database of countries
// or cities. The nil Geo knows nothing. It is safe for concurrent use.
type Geo struct {
	db     *geoip2.Reader
	cities bool
}

// OpenGeo opens an .mmdb file. The file may be replaced while it is open.
func OpenGeo(path string) (*Geo, error) {
	db, err := geoip2.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open geo database %s: %w", path, err)
	}
	kind := db.Metadata().DatabaseType
	g := &Geo{db: db, cities: strings.Contains(kind, "City") || strings.Contains(kind, "Enterprise")}
	if !g.cities && !strings.Contains(kind, "Country") {
		return nil, fmt.Errorf("geo database %s holds %s: want countries or cities", path, kind)
	}
	return g, nil
}

// Close releases the file; no look-up may follow.
func (g *Geo) Close() error {
	if g == nil {
		return nil
	}
	return g.db.Close()
}

// Place looks an address up. A record that cannot be read is an unknown place:
// no event is lost to a damaged database.
func (g *Geo) Place(addr netip.Addr) Place {
	if g == nil || !addr.IsValid() {
		return Place{}
	}
	if !g.cities {
		return Place{Country: g.Country(addr)}
	}
	c, err := g.db.City(addr)
	if err != nil {
		return Place{}
	}
	p := Place{Country: c.Country.ISOCode, City: c.City.Names.English}
	if len(c.Subdivisions) > 0 && c.Subdivisions[0].ISOCode != "" {
		p.Region = p.Country + "-" + c.Subdivisions[0].ISOCode
	}
	return p
}

// Country looks up the country alone.
func (g *Geo) Country(addr netip.Addr) string {
	if g == nil || !addr.IsValid() {
		return ""
	}
	if g.cities {
		return g.Place(addr).Country
	}
	c, err := g.db.Country(addr)
	if err != nil {
		return ""
	}
	return c.Country.ISOCode
}
