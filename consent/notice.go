package consent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Notice is what a visitor of one site is asked, frozen: the purposes, the
// services under each, and a fingerprint of every purpose. A token refers to
// the notice it was given under; its bits are indexes into Purposes and
// Services, so both keep their order for ever. Notices are kept for as long as
// a token may refer to them (data_dir/notices.json) and are immutable.
type Notice struct {
	Site        string          `json:"site"`
	Version     string          `json:"version"`     // the operator's label
	Fingerprint uint32          `json:"fingerprint"` // first four bytes of Hash, big endian; never 0
	Hash        string          `json:"hash"`        // SHA-256 of everything below, hex
	Purposes    []NoticePurpose `json:"purposes"`
	Services    []NoticeService `json:"services"`
	Days        int             `json:"days"`           // how long a choice holds that is given under it; 0: as long as the site says now
	Since       time.Time       `json:"since"`          // when this server first served it
	Until       time.Time       `json:"until,omitzero"` // when another took its place; zero: in use
}

// NoticePurpose is a purpose as it was asked. Hash covers its words, services,
// hosts and cookies: while it is unchanged, so is what the visitor agreed to.
type NoticePurpose struct {
	Name Purpose `json:"name"`
	Hash string  `json:"hash"`
}

// NoticeService is a service as it was asked.
type NoticeService struct {
	Name     string  `json:"name"`
	Purpose  Purpose `json:"purpose"`
	External bool    `json:"external,omitempty"`
	// Hash covers what its purpose's hash covers of it, to tell which service
	// changed; it is no part of the notice's own. "" in notices of versions
	// that did not note it.
	Hash string `json:"hash,omitempty"`
}

// NewNotice freezes the site's current configuration. words returns the title
// and description of a purpose in the reference language; they are part of
// what was agreed to, and so are the site's own words in any language.
func NewNotice(s *Site, words func(Purpose) (title, description string)) (*Notice, error) {
	services := s.AllServices()
	n := &Notice{Site: s.Domain, Version: s.Notice.Version, Days: s.ConsentDays}
	for _, p := range purposesOf(s, services) {
		title, description := words(p)
		for _, own := range s.Purposes {
			if own.Name == p {
				title, description = own.Title, own.Description
			}
		}
		var under []substance
		for i := range services {
			if services[i].Purpose == p {
				under = append(under, substanceOf(&services[i]))
			}
		}
		sum, err := digestJSON([]any{p, title, description, s.ownWords(p), under})
		if err != nil {
			return nil, fmt.Errorf("fingerprint purpose %s: %w", p, err)
		}
		n.Purposes = append(n.Purposes, NoticePurpose{Name: p, Hash: sum})
	}
	for _, svc := range services {
		if svc.Purpose != Essential {
			n.Services = append(n.Services, NoticeService{Name: svc.Name, Purpose: svc.Purpose, External: svc.External})
		}
	}
	if len(n.Purposes) > maxPurposes || len(n.Services) > maxServices {
		return nil, fmt.Errorf("site %s has %d purposes and %d services; a token holds at most %d and %d",
			s.Domain, len(n.Purposes), len(n.Services), maxPurposes, maxServices)
	}
	sum, err := digestJSON([]any{n.Site, n.Version, n.Days, n.Purposes, n.Services})
	if err != nil {
		return nil, fmt.Errorf("fingerprint notice of %s: %w", s.Domain, err)
	}
	n.Hash = sum
	for i := range n.Services {
		if n.Services[i].Hash, err = serviceHash(services, n.Services[i].Name); err != nil {
			return nil, fmt.Errorf("fingerprint service %s: %w", n.Services[i].Name, err)
		}
	}
	if _, err := fmt.Sscanf(sum[:8], "%08x", &n.Fingerprint); err != nil {
		return nil, fmt.Errorf("fingerprint notice of %s: %w", s.Domain, err)
	}
	n.Fingerprint = max(n.Fingerprint, 1)
	return n, nil
}

// substance is the part of a service that a visitor agrees to; how it is
// presented may change without asking again. What is empty is left out, so
// that a field added here asks only the visitors of sites that use it again.
type substance struct {
	Name        string   `json:"name"`
	Provider    string   `json:"provider,omitempty"`
	Recipients  []string `json:"recipients,omitempty"`
	Country     string   `json:"country,omitempty"`
	Transfer    string   `json:"transfer,omitempty"`
	Hosts       []string `json:"hosts,omitempty"`
	Pages       []string `json:"pages,omitempty"`
	ConsentMode []string `json:"consent_mode,omitempty"`
	Cookies     []Cookie `json:"cookies,omitempty"`
	External    bool     `json:"external,omitempty"`
}

func substanceOf(s *Service) substance {
	return substance{
		Name: s.Name, Provider: s.Provider, Recipients: s.Recipients, Country: s.Country, Transfer: s.Transfer,
		Hosts: s.Hosts, Pages: s.Pages, ConsentMode: s.ConsentMode,
		Cookies: s.Cookies, External: s.External,
	}
}

func serviceHash(services []Service, name string) (string, error) {
	i := slices.IndexFunc(services, func(s Service) bool { return s.Name == name })
	return digestJSON(substanceOf(&services[i]))
}

// ownWords are the texts by which the site replaces Sluice's words for a
// purpose: language → text → words.
func (s *Site) ownWords(p Purpose) map[string]map[string]string {
	out := map[string]map[string]string{}
	for lang, texts := range s.Texts {
		for _, name := range []string{titleText(p), descriptionText(p)} {
			if words, ok := texts[name]; ok {
				if out[lang] == nil {
					out[lang] = map[string]string{}
				}
				out[lang][name] = words
			}
		}
	}
	return out
}

// The names of the texts that put a purpose into words.
func titleText(p Purpose) string       { return "purpose." + string(p) + ".title" }
func descriptionText(p Purpose) string { return "purpose." + string(p) + ".description" }

// purposesOf lists what the visitor can choose: the two that every site has,
// then those with a service, then the site's own.
func purposesOf(s *Site, services []Service) []Purpose {
	out := []Purpose{Analytics, Preference}
	add := func(p Purpose) {
		if p != Essential && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, known := range []Purpose{Marketing, Media} {
		if slices.ContainsFunc(services, func(svc Service) bool { return svc.Purpose == known }) {
			add(known)
		}
	}
	for _, own := range s.Purposes {
		add(own.Name)
	}
	return out
}

func digestJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// purposeBit returns the bit index of p, or -1.
func (n *Notice) purposeBit(p Purpose) int {
	return slices.IndexFunc(n.Purposes, func(q NoticePurpose) bool { return q.Name == p })
}

// serviceBit returns the bit index of the named service, or -1.
func (n *Notice) serviceBit(name string) int {
	return slices.IndexFunc(n.Services, func(s NoticeService) bool { return s.Name == name })
}

// Granted lists the purposes and services that t grants under this notice.
func (n *Notice) Granted(t Token) (purposes []Purpose, services []string) {
	for i, p := range n.Purposes {
		if t.Purposes&(1<<i) != 0 {
			purposes = append(purposes, p.Name)
		}
	}
	for i, s := range n.Services {
		if slices.Contains(purposes, s.Purpose) && t.Denied&(1<<i) == 0 {
			services = append(services, s.Name)
		}
	}
	return purposes, services
}
