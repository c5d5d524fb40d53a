package consent

import (
	"cmp"
	"slices"
	"strings"
)

// Service is a tool under a purpose: a vendor's, or the site's own statistics.
type Service struct {
	Name       string // slug, unique within the site: "google-analytics"
	Title      string // what the visitor reads; "" means Name
	Purpose    Purpose
	Provider   string
	Recipients []string // who else receives data: "Google LLC, US"
	Country    string   // ISO 3166-1 alpha-2 of the provider
	Transfer   string   // basis of a transfer outside the EEA: "dpf", "scc", "adequacy"
	Hosts      []string
	Cookies    []Cookie
	Pages      []string // path prefixes that an essential service is limited to; none: everywhere
	PolicyURL  string
	// Kind says what the service does, in a word that every language has a
	// sentence for: "video" is the text does.video.
	Kind string
	// Texts say it more precisely, by language: one plain sentence each.
	Texts map[string]string
	// Necessary is why a site that names an essential service of its own cannot
	// do without it, in the site's words.
	Necessary string
	// Legal is what the service's purpose rests on, the newest last.
	Legal []Legal
	// External marks a recipient other than the controller: under Global
	// Privacy Control it stays off until it is switched on singly.
	External bool
	// Reload says that the service cannot be stopped in a running page.
	Reload bool
	// ConsentMode lists the Google signals that a grant turns on beyond
	// analytics_storage: "ad_storage", "ad_user_data", "ad_personalization".
	ConsentMode []string
}

// Legal is a source of law: a provision, a decision or an authority's guidance.
type Legal struct {
	Source string `yaml:"source"` // "CNIL, SAN-2023-003"
	Date   string `yaml:"date"`   // ISO date of the decision, or of the text as amended
}

// Cookie is a cookie or storage key that a service declares.
type Cookie struct {
	Name  string `json:"name" yaml:"name"`   // "*" at the end matches any rest
	Lasts string `json:"lasts" yaml:"lasts"` // "13 months", "session", "persistent"
	// Purpose is one of the words that every language knows, "visitor" for the
	// text use.visitor, or the operator's own words.
	Purpose  string     `json:"purpose,omitempty" yaml:"purpose,omitempty"`
	Kind     CookieKind `json:"kind,omitempty" yaml:"kind,omitempty"`
	Provider string     `json:"provider,omitempty" yaml:"provider,omitempty"` // where it is not the service's
}

// CookieKind is where the browser keeps it.
type CookieKind string

// The kinds; none is a cookie.
const (
	LocalStorage   CookieKind = "local"
	SessionStorage CookieKind = "session"
)

// Storage names where the browser keeps a key that is no cookie, as a developer
// finds it; "" for a cookie.
func (c Cookie) Storage() string {
	switch c.Kind {
	case LocalStorage:
		return "localStorage"
	case SessionStorage:
		return "sessionStorage"
	}
	return ""
}

// describe says in one sentence what the service does: in the site's words, in
// the service's own, in those of its kind, and where the language has none of
// them in English.
func (s *Service) describe(lang string, words map[string]string) string {
	base, _, _ := strings.Cut(lang, "-")
	return cmp.Or(words["service."+s.Name+".description"], s.Texts[lang], s.Texts[base],
		words["does."+s.Kind], s.Necessary, s.Texts["en"])
}

// OwnStatistics is the service that every site has.
func OwnStatistics(controller string) Service {
	return Service{
		Name: Statistics, Purpose: Analytics, Provider: controller, Kind: "statistics",
		Legal: []Legal{{Source: "Directive 2002/58/EC Art. 5(3)", Date: "2009-11-25"}, {Source: "GDPR Art. 6(1)(a)", Date: "2016-04-27"}},
		Cookies: []Cookie{
			{Name: VisitorCookie, Lasts: "13 months", Purpose: "visitor"},
			{Name: SessionCookie, Lasts: "30 minutes", Purpose: "visit"},
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
