package consent

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Site is one website under one controller, as configured.
type Site struct {
	Domain    string   // example.com, lower case; subdomains belong to it
	PublicURL string   // where browsers reach this site's doors, no trailing slash
	BasePath  string   // path of PublicURL, "/_s"; "" at a root
	TestHosts []string // hosts with full behaviour whose rows are marked test; "*." allowed in front
	TimeZone  *time.Location

	Controller Controller
	Notice     NoticeInfo
	Purposes   []PurposeText // the site's own, in order
	Services   []Service     // Statistics is added where it is missing

	Goals   []Goal // what reports count as a success
	Funnels []Funnel

	ConsentDays  int               // how long a choice holds, at least 1
	OnWithdrawal WithdrawalAction  // what happens to the events collected under the grant
	HonourGPC    bool              // Global Privacy Control means no, unless the visitor grants explicitly
	HonourDNT    bool              // the same for the older Do Not Track header
	Layout       string            // of the banner: "bar", "box" or "corner"
	Theme        map[string]string // CSS custom properties of the banner, without the leading "--sluice-"
	Texts        map[string]map[string]string
	CloseButton  bool
	Variants     []Variant // shown to a share of visitors in the place of the above
	RootDoors    bool      // a door outside BasePath is on (/api/event, /g/collect): sl_proof is set for "/"
	HostCookies  bool      // another site of this server lies below Domain: cookies keep to their host, or its pages would have them
}

// Controller is who answers for the processing (GDPR Art. 13(1)(a), (b)).
type Controller struct {
	Name      string `json:"name"`
	Address   string `json:"address,omitempty"`
	Contact   string `json:"contact,omitempty"`
	DPO       string `json:"dpo,omitempty"`
	Authority string `json:"authority,omitempty"`
}

// NoticeInfo is the operator's part of a notice.
type NoticeInfo struct {
	Version   string // the operator's label, "2025-07"
	Updated   string // ISO date
	PolicyURL string
}

// WithdrawalAction says what becomes of events collected under a grant that is
// withdrawn.
type WithdrawalAction string

// Anonymise cuts the link between rows and visitor; Erase deletes the rows.
const (
	Anonymise WithdrawalAction = "anonymise"
	Erase     WithdrawalAction = "erase"
)

// MaxConsentDays bounds Site.ConsentDays: two years, beyond which no
// authority's guidance goes (CNIL advises six months).
const MaxConsentDays = 730

// Lifetime is how long a choice holds.
func (s *Site) Lifetime() time.Duration { return days(s.ConsentDays) }

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// Secure reports whether the site's cookies carry the Secure attribute.
func (s *Site) Secure() bool { return strings.HasPrefix(s.PublicURL, "https://") }

// Owns reports whether host (a name or address, with or without a port)
// belongs to the site, and whether it is one of its test hosts.
func (s *Site) Owns(host string) (test, ok bool) {
	host = hostname(host)
	if host == "" {
		return false, false
	}
	for _, t := range s.TestHosts {
		if host == t {
			return true, true
		}
		if suffix, wild := strings.CutPrefix(t, "*"); wild && strings.HasSuffix(host, suffix) {
			return true, true
		}
	}
	return false, host == s.Domain || strings.HasSuffix(host, "."+s.Domain)
}

// hostname lower-cases host and strips a port, the brackets of an IPv6 address
// and a trailing dot.
func hostname(host string) string {
	if strings.ContainsAny(host, ":[") { // every event comes past here, and few hosts have either
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// HostOf returns the host of an absolute http(s) URL or of an Origin header,
// lower case and without a port; "" where there is none.
func HostOf(raw string) string {
	if host, ok := plainHost(raw); ok {
		return hostname(host)
	}
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return hostname(u.Host)
}

// plainHost takes the host off an Origin header as browsers send it: a scheme
// and a name of letters, digits, dots and hyphens, nothing else. It spares
// nearly every request the parsing of a URL.
func plainHost(origin string) (host string, ok bool) {
	if host, ok = strings.CutPrefix(origin, "https://"); !ok {
		if host, ok = strings.CutPrefix(origin, "http://"); !ok {
			return "", false
		}
	}
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-':
		default:
			return "", false
		}
	}
	return host, host != ""
}

// Sites are all sites of one server, each with its policy.
type Sites struct {
	byDomain map[string]*Policy
	all      []*Policy // longest domain first
}

// NewSites orders policies for look-up.
func NewSites(policies ...*Policy) *Sites {
	s := &Sites{byDomain: make(map[string]*Policy, len(policies)), all: slices.Clone(policies)}
	for _, p := range policies {
		s.byDomain[p.Site.Domain] = p
	}
	slices.SortStableFunc(s.all, func(a, b *Policy) int { return len(b.Site.Domain) - len(a.Site.Domain) })
	return s
}

// Lookup returns the policy of the site with exactly this domain.
func (s *Sites) Lookup(domain string) (*Policy, error) {
	if p, ok := s.byDomain[strings.ToLower(domain)]; ok {
		return p, nil
	}
	return nil, ErrUnknownSite
}

// ForHost returns the site that a host belongs to; the longest matching domain
// wins. Test hosts count only where no domain matches.
func (s *Sites) ForHost(host string) (*Policy, error) {
	var fallback *Policy
	for _, p := range s.all {
		switch test, ok := p.Site.Owns(host); {
		case ok && !test:
			return p, nil
		case ok && fallback == nil:
			fallback = p
		}
	}
	if fallback != nil {
		return fallback, nil
	}
	return nil, ErrUnknownSite
}

// All returns every policy, longest domain first. The slice is shared: do not
// change it.
func (s *Sites) All() []*Policy { return s.all }
