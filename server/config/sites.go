package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/consent"
)

// The presets whose events the server itself sends on. A webhook names all its
// fields: who receives it nobody but the site knows.
const (
	GoogleAnalytics = "google-analytics"
	Webhook         = "webhook"
	Matomo          = "matomo"
)

// ConsentSites returns the sites as package consent knows them, in the order
// of the file.
func (c *Config) ConsentSites() ([]*consent.Site, error) {
	sites := make([]*consent.Site, len(c.Sites))
	for i := range c.Sites {
		s, err := c.Sites[i].consent()
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", c.Sites[i].Domain, err)
		}
		s.HostCookies = slices.ContainsFunc(c.Sites, func(other Site) bool { return strings.HasSuffix(other.Domain, "."+s.Domain) })
		sites[i] = s
	}
	return sites, nil
}

func (s *Site) consent() (*consent.Site, error) {
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return nil, fmt.Errorf("time zone: %w", err)
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	out := &consent.Site{
		Domain:       s.Domain,
		PublicURL:    s.PublicURL,
		BasePath:     strings.TrimSuffix(u.Path, "/"),
		TestHosts:    slices.Clone(s.TestHosts),
		TimeZone:     zone,
		Controller:   consent.Controller(s.Controller),
		Notice:       consent.NoticeInfo(s.Notice),
		ConsentDays:  s.ConsentDays,
		OnWithdrawal: consent.WithdrawalAction(s.OnWithdrawal),
		HonourGPC:    s.Signals.GPC == "honour",
		HonourDNT:    s.Signals.DNT == "honour",
		Layout:       s.Banner.Layout,
		Theme:        s.Banner.Theme,
		Texts:        s.Banner.Texts,
		CloseButton:  s.Banner.CloseButton,
		RootDoors:    s.Accept.Root(),
	}
	for _, v := range s.Banner.Variants {
		out.Variants = append(out.Variants, consent.Variant(v))
	}
	for _, p := range s.Purposes {
		out.Purposes = append(out.Purposes, consent.PurposeText{
			Name: consent.Purpose(p.Name), Title: p.Title, Description: p.Description,
		})
	}
	out.Goals, out.Funnels = s.goals()
	for i := range s.Services {
		out.Services = append(out.Services, s.Services[i].consent(s.Controller.Name))
	}
	return out, nil
}

// goals returns the site's goals and funnels; a step of a funnel that is no
// goal's name is a path.
func (s *Site) goals() (goals []consent.Goal, funnels []consent.Funnel) {
	named := map[string]consent.Goal{}
	for _, g := range s.Goals {
		goal := consent.Goal{Name: g.Name, Event: g.Event, Path: consent.EscapePath(g.Path)}
		named[g.Name] = goal
		goals = append(goals, goal)
	}
	for _, f := range s.Funnels {
		out := consent.Funnel{Name: f.Name}
		for _, step := range f.Steps {
			goal, ok := named[step]
			if !ok {
				goal = consent.Goal{Name: step, Path: consent.EscapePath(step)}
			}
			out.Steps = append(out.Steps, goal)
		}
		funnels = append(funnels, out)
	}
	return goals, funnels
}

// slug is the name under which visitors grant or deny the service.
func (v *Service) slug() string {
	if v.Name != "" {
		return v.Name
	}
	if p, ok := preset(v.Preset); ok {
		return p.Name
	}
	return ""
}

// consent returns the preset with every field replaced that the file names. A
// provider that the file names is a recipient of its own unless it is the
// controller: a tool that the site runs itself is none.
func (v *Service) consent(controller string) consent.Service {
	out, _ := preset(v.Preset)
	if v.Provider != "" {
		out.External = v.Provider != controller
	}
	if out.Provider == "" { // the site's own statistics, its own Matomo
		out.Provider = controller
	}
	replace(&out.Name, v.Name)
	replace(&out.Title, v.Title)
	replace(&out.Purpose, consent.Purpose(v.Purpose))
	replace(&out.Kind, v.Kind)
	if v.Texts != nil {
		out.Texts = maps.Clone(v.Texts)
	}
	replace(&out.Necessary, v.Necessary)
	replace(&out.Provider, v.Provider)
	replaceList(&out.Recipients, v.Recipients)
	replace(&out.Country, v.Country)
	replace(&out.Transfer, v.Transfer)
	replace(&out.PolicyURL, v.PolicyURL)
	replaceList(&out.Hosts, v.Hosts)
	replaceList(&out.Pages, v.Pages)
	replaceList(&out.ConsentMode, v.ConsentMode)
	if v.Cookies != nil {
		out.Cookies = nil
		for _, cookie := range v.Cookies {
			out.Cookies = append(out.Cookies, cookie.consent())
		}
	}
	if v.Reload != nil {
		out.Reload = *v.Reload
	}
	return out
}

// consent reads kind "cookie" as what it is by default.
func (c Cookie) consent() consent.Cookie {
	kind := consent.CookieKind(c.Kind)
	if c.Kind == "cookie" {
		kind = ""
	}
	return consent.Cookie{Name: c.Name, Lasts: c.Lasts, Purpose: c.Purpose, Kind: kind, Provider: c.Provider}
}

func replace[T ~string](to *T, value T) {
	if value != "" {
		*to = value
	}
}

// replaceList takes an empty list for an answer too: hosts: [] means none.
func replaceList(to *[]string, value []string) {
	if value != nil {
		*to = slices.Clone(value)
	}
}

// Destination is a recipient to whom the server sends events. Which fields are
// filled depends on the preset.
type Destination struct {
	Preset  string
	Service string // its name in the notice

	MeasurementID string
	APISecret     Secret
	Endpoint      string // "" means Google's
	Region        bool
	Relay         bool

	URL    string
	Secret Secret
	SiteID string
	Token  Secret
}

// Destinations lists the recipients of the site's events.
func (s *Site) Destinations() []Destination {
	var out []Destination
	for i := range s.Services {
		v := &s.Services[i]
		if v.Preset != GoogleAnalytics && v.Preset != Webhook && (v.Preset != Matomo || v.Token == "") {
			continue
		}
		out = append(out, Destination{
			Preset: v.Preset, Service: v.slug(),
			MeasurementID: v.MeasurementID, APISecret: v.APISecret, Endpoint: v.Endpoint, Region: v.Region, Relay: v.Relay,
			URL: v.URL, Secret: v.Secret, SiteID: v.SiteID, Token: v.Token,
		})
	}
	return out
}
