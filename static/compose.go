package static

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// placeholder is where the banner's bundles and the extras take a site's data: an identifier
// that occurs once in each.
const placeholder = "__SLUICE_DATA__"

// Banner is a site's banner in one language, in the parts in which it travels.
// Each is compressed when it is first asked for, which takes some 30 ms.
type Banner struct {
	First       func() Asset // the first layer, enough to ask and to answer
	Preferences func() Asset // what the first layer needs to open the preferences
	Both        func() Asset // where the preferences are opened without having been asked
}

// The texts that travel with each part. In the first layer "close" is left out
// where it has no button for it.
var (
	firstTexts = []string{"title", "intro", "ignore", "accept", "reject", "choose", "policy", "saved", "failed"}
	fullTexts  = []string{
		"preferences", "required", "since", "gpc", "accept", "reject", "save", "close",
		"provider", "recipient", "country", "transfer", "policy", "updated", "contact", "records",
		"cookies", "cookie", "use", "lasts",
		"choices.title", "choices.controller", "choices.name", "choices.address", "choices.dpo", "choices.authority",
	}
	// renewTexts take the place of others where only what changed is asked about.
	renewTexts = map[string]string{"title": "renew", "intro": "renewed", "accept": "agree", "reject": "decline"}
)

// bannerData is what whoever composes a banner hands over. What is only passed
// on stays as it came: src/consent/wire.ts has its shape.
type bannerData struct {
	Site       json.RawMessage   `json:"site,omitempty"`
	Language   string            `json:"lang"`
	Direction  json.RawMessage   `json:"dir,omitempty"`
	Notice     json.RawMessage   `json:"notice,omitempty"`
	Controller json.RawMessage   `json:"controller,omitempty"`
	Purposes   []purposeData     `json:"purposes"`
	Texts      map[string]string `json:"texts"`
	Close      bool              `json:"close_button,omitempty"`
	look
}

// look is for the first layer alone.
type look struct {
	Shown   json.RawMessage   `json:"shown,omitempty"`
	Layout  json.RawMessage   `json:"layout,omitempty"`
	Theme   map[string]string `json:"theme,omitempty"`
	Days    json.RawMessage   `json:"days,omitempty"`
	GPC     bool              `json:"gpc,omitempty"`
	Variant string            `json:"variant,omitempty"`
	Renew   map[string]string `json:"renew,omitempty"`
}

type purposeData struct {
	Name        string        `json:"name"`
	Title       string        `json:"title"`
	Description string        `json:"description"`
	Required    bool          `json:"required,omitempty"`
	Services    []serviceData `json:"services,omitempty"`
}

type serviceData struct {
	Name        string       `json:"name"`
	Title       string       `json:"title,omitempty"`
	Description string       `json:"description,omitempty"`
	Provider    string       `json:"provider,omitempty"`
	Recipients  []string     `json:"recipients,omitempty"`
	Country     string       `json:"country,omitempty"`
	Transfer    string       `json:"transfer,omitempty"`
	PolicyURL   string       `json:"policy_url,omitempty"`
	External    bool         `json:"external,omitempty"`
	Clear       []string     `json:"clear,omitempty"`
	Cookies     []cookieData `json:"cookies,omitempty"`
}

type cookieData struct {
	Name     string `json:"name"`
	Kind     string `json:"kind,omitempty"`
	Provider string `json:"provider,omitempty"`
	Lasts    string `json:"lasts"`
	Purpose  string `json:"purpose"`
}

// ComposeBanner puts a site's data, a JSON object, into the banner's code. Its
// `texts` are laid over the embedded ones of its `lang`.
func ComposeBanner(data []byte) (*Banner, error) {
	var d bannerData
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("composing a banner: data: %w", err)
	}
	if d.Language == "" {
		return nil, fmt.Errorf("composing a banner: data names no lang")
	}
	texts, ok := Texts(d.Language)
	if !ok {
		texts, _ = Texts(Match(d.Language))
	}
	maps.Copy(texts, d.Texts)
	first, err := d.first(texts)
	if err != nil {
		return nil, err
	}
	full, err := d.full(texts)
	if err != nil {
		return nil, err
	}
	return &Banner{
		First: lazily(bannerName, first), Preferences: lazily(preferencesName, full),
		Both: lazily(bannerName, bytes.Join([][]byte{first, full}, nil)),
	}, nil
}

func lazily(name string, body []byte) func() Asset {
	return sync.OnceValue(func() Asset { return newAsset(name, body, "private, no-store") })
}

// first is the first layer with its part of the data: of what is essential
// there is nothing to ask, and of services the names are enough to answer.
func (d *bannerData) first(texts map[string]string) ([]byte, error) {
	out := *d
	var controller struct{ Name string }
	if len(d.Controller) > 0 {
		if err := json.Unmarshal(d.Controller, &controller); err != nil {
			return nil, fmt.Errorf("composing a banner: data.controller: %w", err)
		}
	}
	out.Controller, out.Purposes, out.Close = nil, nil, false
	for _, p := range d.Purposes {
		if p.Required {
			continue
		}
		services := p.Services
		p.Services = nil
		for _, s := range services {
			p.Services = append(p.Services, serviceData{Name: s.Name, External: s.External, Clear: s.cookies()})
		}
		out.Purposes = append(out.Purposes, p)
	}
	out.Texts = selected(texts, firstTexts)
	if d.Close {
		out.Texts["close"] = texts["close"]
	}
	if len(d.Renew) > 0 {
		for name, instead := range renewTexts {
			out.Texts[name] = texts[instead]
		}
	}
	out.Texts["intro"] = strings.ReplaceAll(out.Texts["intro"], "{controller}", controller.Name)
	return fill(bannerName, out)
}

// cookies are the names of the service's cookies, without those that another one
// with an asterisk stands for.
func (s *serviceData) cookies() (names []string) {
	for _, c := range s.Cookies {
		covered := slices.ContainsFunc(s.Cookies, func(o cookieData) bool {
			prefix, wild := strings.CutSuffix(o.Name, "*")
			return wild && o.Kind == "" && o.Name != c.Name && strings.HasPrefix(c.Name, prefix)
		})
		if c.Kind == "" && !covered { // no storage key
			names = append(names, c.Name)
		}
	}
	return names
}

// full is the preferences with theirs.
func (d *bannerData) full(texts map[string]string) ([]byte, error) {
	out := *d
	out.look, out.Close = look{}, false
	out.Texts = selected(texts, fullTexts)
	return fill(preferencesName, out)
}

func selected(texts map[string]string, names []string) map[string]string {
	out := make(map[string]string, len(names))
	for _, name := range names {
		out[name] = texts[name]
	}
	return out
}

// fill puts a site's data into a bundle. JSON means the same wherever the code ends up:
// encoding/json escapes <, >, &, U+2028 and U+2029, also in raw parts.
func fill(name string, data any) ([]byte, error) {
	literal, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("composing %s: %w", name, err)
	}
	before, after, found := bytes.Cut(read(name), []byte(placeholder))
	if !found || bytes.Contains(after, []byte(placeholder)) {
		return nil, fmt.Errorf("composing %s: it has not exactly one %s", name, placeholder)
	}
	return bytes.Join([][]byte{before, after}, literal), nil
}
