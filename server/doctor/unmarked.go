package doctor

import (
	"fmt"
	"slices"
	"strings"

	"sluice/consent"
)

// maxListed bounds how many unmarked tags are told of; there may be hundreds.
const maxListed = 20

// examineUnmarked looks for what the page loads from third parties before
// anybody has said yes.
func (e *examination) examineUnmarked(elements []element) {
	found := map[string]bool{}
	others := []string{}
	for _, el := range elements {
		if el.name == "script" && el.attr("type") == "text/plain" {
			continue // waits
		}
		address := el.attr("src")
		if el.name == "link" && fetches(el.attr("rel")) {
			address = el.attr("href")
		}
		if s, how := e.serviceOf(el, address); s != nil {
			key := s.Name + el.name + how
			if !found[key] && len(found) < maxListed {
				e.wrong("unmarked", waiting(el, s, address), "%s is loaded before a yes (%s)", titleOf(s), how)
			}
			found[key] = true
			continue
		}
		if host := e.foreign(address); host != "" && !slices.Contains(others, host) && !e.essential(host) {
			others = append(others, host)
		}
	}
	if len(found) == 0 {
		e.ok("unmarked", "no known service is loaded before a yes")
	}
	if len(others) > 0 {
		e.note("unmarked", "a service of your own: services: [{name: …, purpose: …, provider: …, country: …, hosts: […]}]   (sluice.yaml), and data-service on the tag",
			"the page loads from hosts that no service names: %s", strings.Join(others[:min(len(others), maxListed)], ", "))
	}
}

// fetches reports whether a link makes the browser speak to its host.
func fetches(rel string) bool {
	for _, word := range strings.Fields(strings.ToLower(rel)) {
		switch word {
		case "stylesheet", "preload", "modulepreload", "prefetch", "preconnect", "icon", "manifest":
			return true
		}
	}
	return false
}

// serviceOf returns the service that an element belongs to and has to wait
// for, and by which host it is known: that of its address, or one that an
// inline script names.
func (e *examination) serviceOf(el element, address string) (*consent.Service, string) {
	host := e.foreign(address)
	var candidates []*consent.Service
	how := host
	for i := range e.Services {
		s := &e.Services[i]
		if s.Purpose == consent.Essential {
			continue
		}
		for _, pattern := range s.Hosts {
			name := strings.TrimPrefix(pattern, "*.")
			if host != "" && matches(pattern, host) || el.name == "script" && host == "" && mentions(el.text, name) {
				if candidates = append(candidates, s); host == "" {
					how = "an inline script that names " + name
				}
				break
			}
		}
	}
	return pick(candidates, address+el.text), how
}

// pick chooses among services of one host: Google serves its tag manager, its
// advertising and its analytics from the same, and tells them apart by the id.
func pick(candidates []*consent.Service, text string) *consent.Service {
	if len(candidates) == 0 {
		return nil
	}
	id := "google-analytics"
	switch {
	case strings.Contains(text, "gtm.js") || strings.Contains(text, "GTM-"):
		id = "google-tag-manager"
	case strings.Contains(text, "AW-"):
		id = "google-ads"
	}
	for _, s := range candidates {
		if s.Name == id {
			return s
		}
	}
	return candidates[0]
}

func (e *examination) essential(host string) bool {
	for _, s := range e.Services {
		if s.Purpose == consent.Essential && slices.ContainsFunc(s.Hosts, func(p string) bool { return matches(p, host) }) {
			return true
		}
	}
	return false
}

// foreign returns the host of an address that is not of the page's site; "".
func (e *examination) foreign(address string) string {
	if address == "" {
		return ""
	}
	at, err := e.page.Parse(address)
	if err != nil || at.Hostname() == "" || at.Scheme != "http" && at.Scheme != "https" || sameSite(at.Hostname(), e.page.Hostname()) {
		return ""
	}
	return strings.ToLower(at.Hostname())
}

func matches(pattern, host string) bool {
	if suffix, wild := strings.CutPrefix(pattern, "*"); wild {
		return strings.HasSuffix(host, suffix) || host == suffix[1:]
	}
	return host == pattern
}

// mentions reports whether a text names a host as part of an address: followed
// by what ends a host's name, and not as the end of another word.
func mentions(text, host string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], host)
		if i < 0 {
			return false
		}
		from, to := at+i, at+i+len(host)
		if (from == 0 || strings.ContainsRune(`/."'`, rune(text[from-1]))) && to < len(text) && strings.ContainsRune(`/"'?:`, rune(text[to])) {
			return true
		}
		at = to
	}
}

func titleOf(s *consent.Service) string {
	if s.Title != "" {
		return s.Title
	}
	return s.Name
}

// waiting is the tag as it has to be written, so that it waits.
func waiting(el element, s *consent.Service, address string) string {
	switch {
	case el.noscript:
		return "take it out of <noscript>: no choice holds it back there"
	case el.name == "script" && address == "":
		return fmt.Sprintf(`<script type="text/plain" data-service="%s">…</script>`, s.Name)
	case el.name == "script":
		return fmt.Sprintf(`<script type="text/plain" data-service="%s" data-src="%s"></script>`, s.Name, address)
	case el.name == "link" && !strings.Contains(el.attr("rel"), "stylesheet"):
		return "take the hint out: it speaks to the host before a yes"
	case el.name == "link":
		return fmt.Sprintf(`<link rel="stylesheet" data-service="%s" data-src="%s">`, s.Name, address)
	}
	return fmt.Sprintf(`<%s data-service="%s" data-src="%s">`, el.name, s.Name, address)
}
