package consent

import "slices"

// Service is a tool under a purpose: a vendor's, or the site's own statistics.
type Service struct {
	Name      string // slug, unique within the site: "google-analytics"
	Title     string // what the visitor reads; "" means Name
	Purpose   Purpose
	Provider  string
	Country   string // ISO 3166-1 alpha-2 of the provider
	Transfer  string // basis of a transfer outside the EEA: "dpf", "scc", "adequacy"
	Hosts     []string
	Cookies   []Cookie
	Pages     []string // path prefixes that an essential service is limited to; none: everywhere
	PolicyURL string
	// External marks a recipient other than the controller: under Global
	// Privacy Control it stays off until it is switched on singly.
	External bool
	// Reload says that the service cannot be stopped in a running page.
	Reload bool
	// ConsentMode lists the Google signals that a grant turns on beyond
	// analytics_storage: "ad_storage", "ad_user_data", "ad_personalization".
	ConsentMode []string
}

// Cookie is a cookie or storage key that a service declares.
type Cookie struct {
	Name    string `json:"name" yaml:"name"` // "*" at the end matches any rest
	Lasts   string `json:"lasts" yaml:"lasts"`
	Purpose string `json:"purpose,omitempty" yaml:"purpose,omitempty"`
}

// OwnStatistics is the service that every site has.
func OwnStatistics(controller string) Service {
	return Service{
		Name: Statistics, Purpose: Analytics, Provider: controller,
		Cookies: []Cookie{
			{Name: "sl_id", Lasts: "13 months", Purpose: "tells visits apart"},
			{Name: "sl_s", Lasts: "30 minutes", Purpose: "tells one visit from the next"},
		},
	}
}

// AllServices lists the site's services, its own statistics among them: first
// where the configuration does not name them.
func (s *Site) AllServices() []Service {
	own := slices.IndexFunc(s.Services, func(svc Service) bool { return svc.Name == Statistics })
	if own < 0 {
		return append([]Service{OwnStatistics(s.Controller.Name)}, s.Services...)
	}
	services := slices.Clone(s.Services)
	if services[own].Provider == "" {
		services[own].Provider = s.Controller.Name
	}
	return services
}
