package enrich

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/oschwald/geoip2-golang/v2"
)

// Hosting tells whether an address belongs to a data centre. The nil Hosting
// knows none. It is safe for concurrent use.
type Hosting struct {
	db        *geoip2.Reader
	anonymous bool // the database says it itself
}

// OpenHosting opens an .mmdb: one of anonymous addresses, which says of each
// whether a hosting provider has it (GeoIP2 Anonymous IP), or one of networks
// (GeoLite2 ASN and others of its layout), whose holders are compared with the
// table below.
func OpenHosting(path string) (*Hosting, error) {
	db, err := geoip2.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open database of data centres %s: %w", path, err)
	}
	kind := db.Metadata().DatabaseType
	h := &Hosting{db: db, anonymous: strings.Contains(kind, "Anonymous")}
	if !h.anonymous && !strings.Contains(kind, "ASN") {
		_ = db.Close() // it was read only
		return nil, fmt.Errorf("database of data centres %s holds %s: want ASN or Anonymous-IP", path, kind)
	}
	return h, nil
}

// Close releases the file; no look-up may follow.
func (h *Hosting) Close() error {
	if h == nil {
		return nil
	}
	return h.db.Close()
}

// Holds reports whether an address belongs to a data centre. What cannot be
// read does not.
func (h *Hosting) Holds(addr netip.Addr) bool {
	if h == nil || !addr.IsValid() {
		return false
	}
	if h.anonymous {
		r, err := h.db.AnonymousIP(addr)
		return err == nil && r.IsHostingProvider
	}
	r, err := h.db.ASN(addr)
	if err != nil {
		return false
	}
	_, found := slices.BinarySearch(hostingNetworks, r.AutonomousSystemNumber)
	return found
}

// hostingNetworks are autonomous systems of hosting providers, by number, as
// the regional registries (ARIN, RIPE, APNIC) have them. Networks that carry
// people too stay out: Cloudflare, Fastly and Akamai run Apple's Private Relay,
// M247 and Datacamp most VPNs.
var hostingNetworks = []uint{
	8075,   // Microsoft
	8560,   // IONOS
	8987,   // Amazon, Ireland
	12876,  // Scaleway
	14061,  // DigitalOcean
	14618,  // Amazon, Virginia
	16276,  // OVH
	16509,  // Amazon
	19994,  // Rackspace
	20473,  // Vultr
	24940,  // Hetzner
	28753,  // Leaseweb, Germany
	30633,  // Leaseweb, United States
	31898,  // Oracle
	36351,  // IBM
	37963,  // Alibaba, China
	45090,  // Tencent, China
	45102,  // Alibaba
	47583,  // Hostinger
	51167,  // Contabo
	54825,  // Equinix Metal
	55990,  // Huawei Cloud, China
	60781,  // Leaseweb, Netherlands
	63949,  // Akamai Connected Cloud (Linode)
	132203, // Tencent
	136907, // Huawei Cloud
	197540, // netcup
	213230, // Hetzner, cloud
	396982, // Google Cloud
}
