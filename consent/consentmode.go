package consent

import (
	"slices"
	"strings"
)

// The signals of Google's Consent Mode v2 that a decision can turn on.
// (security_storage is always granted, and no part of a decision.)
const (
	analyticsStorage = "analytics_storage"
	functionality    = "functionality_storage"
	personalisation  = "personalization_storage"
)

// googleHosts are where Google's tags come from and report to; a service that
// declares one of them obeys the signals.
var googleHosts = []string{"googletagmanager.com", "google-analytics.com", "googleadservices.com", "doubleclick.net"}

// google reports whether a service is a tag of Google's.
func (s *Service) google() bool {
	return len(s.ConsentMode) > 0 || slices.ContainsFunc(s.Hosts, func(host string) bool {
		host = strings.TrimPrefix(host, "*.")
		return slices.ContainsFunc(googleHosts, func(g string) bool { return host == g || strings.HasSuffix(host, "."+g) })
	})
}

// signals lists what a decision turns on for Google's tags, sorted; nothing
// for a site that declares none of them. Analytics grants analytics_storage
// alone, and only while no tag of Google's under analytics is refused;
// preference grants what is stored for the visitor's convenience; the signals
// of advertising come from granted services that list them (consent_mode).
func (s *Site) signals(r *Receipt) []string {
	var out []string
	declared, refused := false, false
	for _, svc := range s.Services {
		if !svc.google() {
			continue
		}
		declared = true
		if r.Services[svc.Name] {
			out = append(out, svc.ConsentMode...)
		} else if svc.Purpose == Analytics {
			refused = true
		}
	}
	if !declared {
		return nil
	}
	if r.Purposes[Analytics] && !refused {
		out = append(out, analyticsStorage)
	}
	if r.Purposes[Preference] {
		out = append(out, functionality, personalisation)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
