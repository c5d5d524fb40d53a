package collector

import (
	"net/netip"
	"slices"
	"strings"

	"sluice/collector/enrich"
	"sluice/consent"
)

// excluded says whether the site leaves out an event for what it says itself.
func (in *intake) excluded(w *wireEvent, s *shaped) consent.Reason {
	switch {
	case in.site.excludesHost(s.address.Host):
		return of(Excluded, byHostname)
	case in.site.excludesPath(s.address.Path):
		return of(Excluded, byPath)
	case !in.site.ExcludeBots:
	case w.driven || in.driven:
		return of(Bot, string(enrich.Headless))
	case w.referrer != "" && in.h.spammers.Holds(referringHost(w.referrer)):
		return of(Bot, string(enrich.SpamAddress))
	}
	return consent.Live
}

func referringHost(referrer string) string {
	a, _ := enrich.ParseAddress(referrer)
	return a.Host
}

// excludesIP reports whether events from an address are not counted.
func (o *SiteOptions) excludesIP(ip netip.Addr) bool {
	return slices.ContainsFunc(o.ExcludeIPs, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// excludesHost reports whether events on a host are not counted: by its name,
// or with "*." before it by a domain that it belongs to.
func (o *SiteOptions) excludesHost(host string) bool {
	return slices.ContainsFunc(o.ExcludeHosts, func(pattern string) bool {
		if suffix, wild := strings.CutPrefix(pattern, "*"); wild {
			return strings.HasSuffix(host, suffix)
		}
		return host == pattern
	})
}

// excludesPath reports whether events on a page are not counted: by its exact
// path, or by everything before a "*" at the end.
func (o *SiteOptions) excludesPath(path string) bool {
	return slices.ContainsFunc(o.ExcludePaths, func(pattern string) bool {
		if prefix, wild := strings.CutSuffix(pattern, "*"); wild {
			return strings.HasPrefix(path, prefix)
		}
		return path == pattern
	})
}
