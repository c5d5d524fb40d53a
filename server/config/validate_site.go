package config

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"sluice/consent"
)

var parameterPattern = regexp.MustCompile(`^[A-Za-z0-9_.~\[\]-]{1,64}$`)

var builtInPurposes = []string{"essential", "analytics", "preference", "marketing", "media"}

// Limits of a token's bits (consent.Token): 15 purposes, 32 services. Own
// statistics takes one of the services.
const (
	maxOwnPurposes = 11
	maxServices    = 31
)

func (s *Site) validate(k *checker, path string) {
	if k.required(path+".domain", s.Domain, "it is the one value that a site cannot do without") && !isHost(s.Domain) {
		k.notHost(path+".domain", s.Domain, "write example.com, without scheme, port and path")
	}
	if s.PublicURL != "" {
		k.webURL(path+".public_url", s.PublicURL)
	}
	for i, h := range s.TestHosts {
		k.testHost(fmt.Sprintf("%s.test_hosts[%d]", path, i), h, s.Domain)
	}
	if _, err := time.LoadLocation(s.Timezone); err != nil || s.Timezone == "Local" {
		k.say(path+".timezone", "%q is not a time zone; write a name such as Europe/Berlin", s.Timezone)
	}
	if s.ConsentDays < 1 || s.ConsentDays > consent.MaxConsentDays {
		k.say(path+".consent_days", "%d is not between 1 and %d; authorities advise 180", s.ConsentDays, consent.MaxConsentDays)
	}
	k.oneOf(path+".on_withdrawal", s.OnWithdrawal, "anonymise", "erase")
	s.validateNotice(k, path+".notice")
	s.validateServices(k, path)
	s.validateBanner(k, path+".banner")
	k.oneOf(path+".signals.gpc", s.Signals.GPC, "honour", "ignore")
	k.oneOf(path+".signals.dnt", s.Signals.DNT, "honour", "ignore")
	s.validateGoals(k, path)
	s.Retention.validate(k, path+".retention")
	s.validateStored(k, path)
	if s.Accept.Gtag && !slices.ContainsFunc(s.Services, func(v Service) bool { return v.Preset == GoogleAnalytics }) {
		k.say(path+".accept.gtag", "needs a service with preset: %s, whose property gtag names and under whose grant its hits are taken", GoogleAnalytics)
	}
	for i := range s.Services {
		if s.Services[i].Relay && s.Services[i].Preset == GoogleAnalytics && !s.Accept.Gtag {
			k.say(fmt.Sprintf("%s.services[%d].relay", path, i), "has nothing to relay: only hits of gtag.js are, which come with accept: {gtag: true}")
		}
	}
	k.paths(path+".exclude.paths", s.Exclude.Paths)
	k.countries(path+".exclude.countries", s.Exclude.Countries)
	for i, h := range s.Exclude.Hostnames {
		if !isHost(strings.TrimPrefix(h, "*.")) {
			k.notHost(fmt.Sprintf("%s.exclude.hostnames[%d]", path, i), h, `write intern.example.com or "*.example.com"`)
		}
	}
	s.Measure.validate(k, path+".measure")
}

// testHost refuses a host that covers the site itself, all of whose data would
// then be test data, and one that covers what strangers register.
func (k *checker) testHost(path, host, domain string) {
	parent, wild := strings.CutPrefix(host, "*.")
	covers := consent.Site{TestHosts: []string{host}}
	switch itself, _ := covers.Owns(domain); {
	case !isHost(parent):
		k.notHost(path, host, `write localhost or "*.preview.example.dev"`)
	case itself:
		k.say(path, `%q covers %s itself, whose data would all be test data and go after 7 days; name the hosts where the site is tested`, host, domain)
	case wild && isPublicSuffix(parent):
		k.say(path, `%q covers the sites of others: under %s anybody registers names; write localhost or "*.preview.example.dev"`, host, parent)
	}
}

// isPublicSuffix reports whether a list says that names below host belong to
// many. Of names that are not listed, such as test, it says nothing.
func isPublicSuffix(host string) bool {
	suffix, icann := publicsuffix.PublicSuffix(host)
	return suffix == host && (icann || strings.Contains(suffix, "."))
}

// Limits of what the browser is handed of a site's settings.
const (
	maxDownloads = 100
	maxSearch    = 20
)

var extensionPattern = regexp.MustCompile(`^[a-z0-9]{1,10}$`)

func (m *Measure) validate(k *checker, path string) {
	for i, extension := range m.Downloads {
		if !extensionPattern.MatchString(extension) {
			k.say(fmt.Sprintf("%s.downloads[%d]", path, i), "%q is not an extension in small letters; write pdf, without a dot", extension)
		}
	}
	for i, parameter := range m.Search {
		if !parameterPattern.MatchString(parameter) {
			k.say(fmt.Sprintf("%s.search[%d]", path, i), "%q is not the name of a parameter; write q for /find?q=shoes", parameter)
		}
	}
	if len(m.Downloads) > maxDownloads {
		k.say(path+".downloads", "are %d; at most %d, the browser is handed all of them", len(m.Downloads), maxDownloads)
	}
	if len(m.Search) > maxSearch {
		k.say(path+".search", "are %d; at most %d, the browser is handed all of them", len(m.Search), maxSearch)
	}
	if m.HashRoutes && !m.Routes {
		k.say(path+".hash_routes", "needs routes: true: a route in the fragment is a navigation within the page")
	}
}

// validateStored checks what is kept of addresses and properties.
func (s *Site) validateStored(k *checker, path string) {
	for i, name := range s.KeepQuery {
		if !parameterPattern.MatchString(name) {
			k.say(fmt.Sprintf("%s.keep_query[%d]", path, i), "%q is not the name of a query parameter; write page for ?page=2", name)
		}
	}
	for i, pattern := range s.Mask {
		at := fmt.Sprintf("%s.mask[%d]", path, i)
		p, err := regexp.Compile(pattern)
		switch {
		case err != nil:
			k.say(at, "is not a pattern (%v); the syntax is RE2's: 'KD-[0-9]{6}'", err)
		case p.MatchString(""):
			k.say(at, "%q finds nothing at all, and so would mask everything", pattern)
		}
	}
}

func (s *Site) validateNotice(k *checker, path string) {
	if k.required(path+".version", s.Notice.Version, "receipts name it") &&
		(len(s.Notice.Version) > 64 || strings.ContainsFunc(s.Notice.Version, func(r rune) bool { return r < ' ' || r == 0x7f })) {
		k.say(path+".version", "is longer than 64 bytes or holds a control character")
	}
	if s.Notice.Updated != "" {
		if _, err := time.Parse(time.DateOnly, s.Notice.Updated); err != nil {
			k.say(path+".updated", "%q is not a date; write 2025-07-01", s.Notice.Updated)
		}
	}
	k.link(path+".policy_url", s.Notice.PolicyURL)
}

func (s *Site) validateServices(k *checker, path string) {
	purposes := slices.Clone(builtInPurposes)
	seen := map[string]string{}
	for i, p := range s.Purposes {
		at := fmt.Sprintf("%s.purposes[%d]", path, i)
		switch {
		case !slugPattern.MatchString(p.Name):
			k.say(at+".name", "%q is not a short name of small letters, digits and hyphens", p.Name)
		case slices.Contains(consent.Channels, consent.Channel(p.Name)):
			k.say(at+".name", "%q is a channel: consent to be written to has doors of its own, see docs/messaging.md", p.Name)
		case slices.Contains(builtInPurposes, p.Name):
			k.say(at+".name", "%q is Sluice's own; its words are changed in banner.texts", p.Name)
		}
		k.unique(seen, at+".name", p.Name)
		k.required(at+".title", p.Title, "the visitor reads it")
		k.required(at+".description", p.Description, "the visitor reads it")
		purposes = append(purposes, p.Name)
	}
	if len(s.Purposes) > maxOwnPurposes {
		k.say(path+".purposes", "are %d; a token holds %d beside Sluice's own", len(s.Purposes), maxOwnPurposes)
	}
	if len(s.Services) > maxServices {
		k.say(path+".services", "are %d; a token holds %d beside the site's own statistics", len(s.Services), maxServices)
	}
	names := map[string]string{}
	for i := range s.Services {
		at := fmt.Sprintf("%s.services[%d]", path, i)
		s.Services[i].validate(k, at, purposes)
		s.Services[i].validateLaw(k, at, s.Controller.Name, purposes)
		k.unique(names, at, s.Services[i].slug())
	}
}

var (
	measurementPattern = regexp.MustCompile(`^G-[A-Z0-9]{4,16}$`)
	signals            = []string{"ad_storage", "ad_user_data", "ad_personalization"}
)

func (v *Service) validate(k *checker, path string, purposes []string) {
	if v.Purpose != "" {
		k.oneOf(path+".purpose", v.Purpose, purposes...)
	}
	switch _, known := preset(v.Preset); {
	case v.Preset == "", !known && (v.Preset == Webhook || v.Preset == Matomo):
		v.validateOwn(k, path)
	case !known:
		k.say(path+".preset", "%q is not one of %s, %s; without a preset a service names all its fields", v.Preset, strings.Join(presetNames(), ", "), Webhook)
	}
	if v.Name != "" && !slugPattern.MatchString(v.Name) {
		k.say(path+".name", "%q is not a short name of small letters, digits and hyphens", v.Name)
	}
	if v.Country != "" {
		k.countries(path+".country", []string{v.Country})
	}
	if v.Transfer != "" {
		k.oneOf(path+".transfer", v.Transfer, "dpf", "scc", "adequacy", "none")
	}
	for i, h := range v.Hosts {
		if !isHost(strings.TrimPrefix(strings.ToLower(h), "*.")) {
			k.notHost(fmt.Sprintf("%s.hosts[%d]", path, i), h, "write static.example.com, without scheme, port and path")
		}
	}
	for i, cookie := range v.Cookies {
		cookie.validate(k, fmt.Sprintf("%s.cookies[%d]", path, i))
	}
	if v.Kind != "" {
		k.oneOf(path+".kind", v.Kind, kinds()...)
	}
	for lang := range v.Texts {
		k.language(path+".texts."+lang, lang)
	}
	k.paths(path+".pages", v.Pages)
	k.link(path+".policy_url", v.PolicyURL)
	for i, signal := range v.ConsentMode {
		k.oneOf(fmt.Sprintf("%s.consent_mode[%d]", path, i), signal, signals...)
	}
	v.validateAccount(k, path)
}

func (c Cookie) validate(k *checker, path string) {
	k.required(path+".name", c.Name, "the visitor reads it")
	if k.required(path+".lasts", c.Lasts, "the visitor has to know how long (write session where it ends with the browser)") && !consent.ValidDuration(c.Lasts) {
		k.say(path+".lasts", "%q is not a duration that every language can put into words; write 180 days, session or persistent", c.Lasts)
	}
	if c.Kind != "" {
		k.oneOf(path+".kind", c.Kind, "cookie", "local", "session")
	}
}

// validateOwn checks a service without a preset.
func (v *Service) validateOwn(k *checker, path string) {
	if !k.required(path+".name", v.Name, "name the service"+presetHint(v.Preset)) {
		return
	}
	k.required(path+".purpose", v.Purpose, "a service without a preset names all its fields")
	k.required(path+".provider", v.Provider, "a service without a preset names all its fields")
}

// presetHint ends the sentence about a missing name.
func presetHint(preset string) string {
	if preset != "" {
		return "; visitors grant and deny it by that name"
	}
	return ", or a preset: " + strings.Join(presetNames(), ", ")
}

// validateAccount checks what a service needs to be reached.
func (v *Service) validateAccount(k *checker, path string) {
	switch v.Preset {
	case GoogleAnalytics:
		if !measurementPattern.MatchString(v.MeasurementID) {
			k.say(path+".measurement_id", "%q is not a measurement ID; Google shows it under Admin, Data streams: G-XXXXXXX", v.MeasurementID)
		}
		k.required(path+".api_secret", string(v.APISecret), "Google shows it under Admin, Data streams, Measurement Protocol API secrets")
		if v.Endpoint != "" {
			k.recipient(path+".endpoint", v.Endpoint, false)
		}
	case Webhook:
		if k.required(path+".url", v.URL, "it is where events are posted to") {
			k.recipient(path+".url", v.URL, true)
		}
		if k.required(path+".secret", string(v.Secret), webhookSecret) && !isWebhookSecret(string(v.Secret)) {
			k.say(path+".secret", "%s", webhookSecret)
		}
	case Matomo:
		if v.URL+v.SiteID+string(v.Token) != "" { // else it runs in browsers alone
			if k.required(path+".url", v.URL, "it is the address of Matomo") {
				k.recipient(path+".url", v.URL, false)
			}
			if n, err := strconv.ParseUint(v.SiteID, 10, 32); err != nil || n == 0 {
				k.say(path+".site_id", "%q is not the number of a website; Matomo shows it under Administration, Websites, Manage", v.SiteID)
			}
			k.required(path+".token", string(v.Token), "Matomo makes one under Personal, Security, Auth tokens, for a user with write access to the website")
		}
	}
	v.validateForeign(k, path)
}

// validateForeign refuses an account's keys that belong to another preset.
func (v *Service) validateForeign(k *checker, path string) {
	if v.Preset != GoogleAnalytics && (v.MeasurementID != "" || v.APISecret != "" || v.Endpoint != "" || v.Region || v.Relay) {
		k.say(path, "measurement_id, api_secret, endpoint, region and relay belong to preset: %s", GoogleAnalytics)
	}
	if v.Preset != Webhook && v.Secret != "" {
		k.say(path, "secret belongs to preset: %s", Webhook)
	}
	if v.Preset != Matomo && (v.SiteID != "" || v.Token != "") {
		k.say(path, "site_id and token belong to preset: %s", Matomo)
	}
	if v.Preset != Webhook && v.Preset != Matomo && v.URL != "" {
		k.say(path, "url belongs to preset: %s and preset: %s", Webhook, Matomo)
	}
}

// webhookSecret says how a secret looks (standardwebhooks.com).
const webhookSecret = `it is whsec_ and the base64 of 24 to 64 random bytes; make one: echo "whsec_$(head -c 32 /dev/urandom | base64)"`

func isWebhookSecret(s string) bool {
	encoded, ok := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	return ok && err == nil && len(key) >= 24 && len(key) <= 64
}

// recipient checks where a request may go: https, or http to an address that
// is given as such, which is the operator's permission for it. What it lets
// pass, collector/forward takes, which this room does not import.
func (k *checker) recipient(path, raw string, query bool) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
		k.say(path, "is not a web address without a user name") // it may hold a key: not repeated
		return
	}
	host := u.Hostname()
	_, err = netip.ParseAddr(host)
	switch literal := err == nil; {
	case !query && u.RawQuery != "":
		k.say(path, "is a web address with a query; leave the query out")
	case u.Scheme == "http" && !literal:
		k.say(path, "has to be https: only a literal address, such as http://127.0.0.1:9999, may be reached in the clear")
	case !literal && !isName(host):
		k.say(path, "is at %q, which is not a host name; write https://hooks.example.com/path", host)
	case u.Port() != "" && !isPort(u.Port()):
		k.say(path, "is at port %s; there are 1 to 65535", u.Port())
	}
}

// isName reports whether a name may be looked up, by its ASCII form where it
// has other letters. A dot at its end ends the look-up and is no part of it.
func isName(host string) bool {
	if strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return false
		}
		host = ascii
	}
	return isHost(strings.TrimSuffix(strings.ToLower(host), "."))
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (s *Site) validateGoals(k *checker, path string) {
	names := map[string]string{}
	for i, g := range s.Goals {
		at := fmt.Sprintf("%s.goals[%d]", path, i)
		k.required(at+".name", g.Name, "reports call the goal by it")
		k.unique(names, at+".name", g.Name)
		if (g.Event == "") == (g.Path == "") {
			k.say(at, "needs either event or path")
		}
		if g.Path != "" {
			k.paths(at+".path", []string{g.Path})
		}
	}
	funnels := map[string]string{}
	for i, f := range s.Funnels {
		at := fmt.Sprintf("%s.funnels[%d]", path, i)
		k.required(at+".name", f.Name, "reports call the funnel by it")
		k.unique(funnels, at+".name", f.Name)
		if len(f.Steps) < 2 {
			k.say(at+".steps", "a funnel has at least two steps")
		}
		for j, step := range f.Steps {
			if _, isGoal := names[step]; !isGoal && !strings.HasPrefix(step, "/") {
				k.say(fmt.Sprintf("%s.steps[%d]", at, j), "%q is neither a path that begins with / nor the name of a goal of this site", step)
			}
		}
	}
}
