package consent

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// bannerData is what the banner is handed: BannerData of
// static/src/consent/wire.ts.
type bannerData struct {
	Site        string            `json:"site"`
	Language    string            `json:"lang"`
	Direction   string            `json:"dir"`
	Notice      bannerNotice      `json:"notice"`
	Controller  Controller        `json:"controller"`
	Purposes    []shownPurpose    `json:"purposes"`
	Texts       map[string]string `json:"texts"`
	Shown       string            `json:"shown"`
	Layout      string            `json:"layout"`
	Theme       map[string]string `json:"theme,omitempty"`
	CloseButton bool              `json:"close_button,omitempty"`
	Days        int               `json:"days"`
	GPC         bool              `json:"gpc,omitempty"` // honoured
	Variant     string            `json:"variant,omitempty"`
	// Renew names the purposes that changed since the visitor's choice, which
	// alone are asked about, and what changed.
	Renew map[Purpose]string `json:"renew,omitempty"`
}

type bannerNotice struct {
	Version   string `json:"version"`
	Updated   string `json:"updated,omitempty"`
	PolicyURL string `json:"policy_url,omitempty"`
}

// shownPurpose and shownService are what visitors read of them, in their
// language.
type shownPurpose struct {
	Name        Purpose        `json:"name"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Required    bool           `json:"required,omitempty"`
	Services    []shownService `json:"services,omitempty"`
}

type shownService struct {
	Name        string   `json:"name"`
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Provider    string   `json:"provider"`
	Recipients  []string `json:"recipients,omitempty"`
	Country     string   `json:"country,omitempty"`
	Transfer    string   `json:"transfer,omitempty"`
	PolicyURL   string   `json:"policy_url,omitempty"`
	External    bool     `json:"external,omitempty"`
	Cookies     []Cookie `json:"cookies,omitempty"`
}

// alsoInBanner are texts of the choices page that the preferences show as well.
var alsoInBanner = []string{
	"choices.title", "choices.controller", "choices.name", "choices.address", "choices.dpo", "choices.authority",
}

// BannerData returns the data object that the banner of a view is composed of,
// as JSON. texts are all texts of the language; the site's own replace them,
// and a variant's those. Its `shown`, signed with keys, ties a receipt to the
// hash of everything else in it: the words, services and looks that the
// visitor saw.
func BannerData(p *Policy, v View, texts map[string]string, keys *Keys) ([]byte, error) {
	s := p.Site
	lang, variant := v.Language, s.variant(v.Variant)
	words := over(s.words(lang, texts), variant.Texts[lang])
	purposes := p.shownPurposes(lang, words)
	data := bannerData{
		Site: s.Domain, Language: lang, Direction: direction(lang),
		Notice:     bannerNotice{Version: p.Current.Version, Updated: s.Notice.Updated, PolicyURL: s.Notice.PolicyURL},
		Controller: s.Controller,
		Purposes:   purposes,
		Texts:      maps.Clone(words), Layout: cmp.Or(variant.Layout, s.Layout), Theme: over(s.Theme, variant.Theme),
		CloseButton: s.CloseButton, Days: s.ConsentDays, GPC: s.HonourGPC,
		Variant: variant.Name, Renew: p.renewed(v, purposes, words),
	}
	maps.DeleteFunc(data.Texts, func(name, _ string) bool { return strings.Contains(name, ".") && !slices.Contains(alsoInBanner, name) })
	content, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("banner of %s: %w", s.Domain, err)
	}
	sum := sha256.Sum256(content)
	shown := Shown{Notice: p.Current.Fingerprint, Content: [16]byte(sum[:]), Language: lang, Variant: variant.Name}
	data.Shown = keys.SignShown(shown, s.Domain)
	if content, err = json.Marshal(data); err != nil {
		return nil, fmt.Errorf("banner of %s: %w", s.Domain, err)
	}
	return content, nil
}

// words lays the site's own texts over those of a language.
func (s *Site) words(lang string, texts map[string]string) map[string]string {
	out := over(texts, nil)
	for tag, own := range s.Texts {
		if strings.EqualFold(tag, lang) { // pt-br
			maps.Copy(out, own)
		}
	}
	return out
}

// shownPurposes lists what there is to read before a choice: the essential
// first, then what can be chosen, each with its services.
func (p *Policy) shownPurposes(lang string, words map[string]string) []shownPurpose {
	s := p.Site
	services := append([]Service{s.ownCookies()}, s.AllServices()...)
	out := make([]shownPurpose, 0, len(p.Current.Purposes)+1)
	for _, name := range append([]Purpose{Essential}, p.Current.purposeNames()...) {
		shown := shownPurpose{Name: name, Required: name == Essential}
		shown.Title, shown.Description = words[titleText(name)], words[descriptionText(name)]
		if own := slices.IndexFunc(s.Purposes, func(t PurposeText) bool { return t.Name == name }); own >= 0 {
			shown.Title = cmp.Or(shown.Title, s.Purposes[own].Title)
			shown.Description = cmp.Or(shown.Description, s.Purposes[own].Description)
		}
		shown.Title = cmp.Or(shown.Title, string(name))
		for i := range services {
			if services[i].Purpose == name {
				shown.Services = append(shown.Services, showService(&services[i], lang, words))
			}
		}
		out = append(out, shown)
	}
	return out
}

// ownCookies declares the essential cookies of Sluice itself. It is no service
// that anybody could refuse, and no part of a notice.
func (s *Site) ownCookies() Service {
	lasts := strconv.Itoa(s.ConsentDays) + " days"
	return Service{
		Name: "sluice", Title: "Sluice", Purpose: Essential, Provider: s.Controller.Name,
		Cookies: []Cookie{
			{Name: ChoiceCookie, Lasts: lasts, Purpose: "choice"},
			{Name: ProofCookie, Lasts: lasts, Purpose: "proof"},
			{Name: KeptCookie, Lasts: lasts, Purpose: "choice"},
		},
	}
}

func showService(s *Service, lang string, words map[string]string) shownService {
	out := shownService{
		Name: s.Name, Title: cmp.Or(words["service."+s.Name+".title"], s.Title, s.Name),
		Description: s.describe(lang, words), Provider: s.Provider, Recipients: s.Recipients,
		Country: s.Country, PolicyURL: s.PolicyURL, External: s.External,
	}
	if s.Transfer != "none" {
		out.Transfer = cmp.Or(words["transfer."+s.Transfer], s.Transfer)
	}
	for _, c := range s.Cookies {
		c.Lasts = duration(c.Lasts, lang, words)
		c.Purpose = cmp.Or(words["cookie."+c.Name], words["use."+c.Purpose], c.Purpose)
		out.Cookies = append(out.Cookies, c)
	}
	return out
}

// direction is how a language is written.
func direction(lang string) string {
	base, _, _ := strings.Cut(lang, "-")
	if slices.Contains([]string{"ar", "fa", "he", "ur"}, base) {
		return "rtl"
	}
	return "ltr"
}
