package enrich

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Rules are what a site has kept and masked beyond the defaults, which are the
// nil Rules. They are safe for concurrent use.
type Rules struct {
	keep []string
	mask []*regexp.Regexp
}

// NewRules returns the rules of a site: the query parameters that tell its
// pages apart, and patterns (RE2, regexp/syntax) of what is masked.
func NewRules(keep, mask []string) (*Rules, error) {
	r := &Rules{keep: keep}
	for _, pattern := range mask {
		p, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("mask pattern %q: %w", pattern, err)
		}
		r.mask = append(r.mask, p)
	}
	return r, nil
}

// Limits of what is kept of a page's address, in characters.
const (
	maxPath  = 2000
	maxValue = 300
)

// UTM is how a link was labelled by whoever placed it.
type UTM struct{ Source, Medium, Campaign, Term, Content string }

// Page is what is kept of the address of a page, and what the address says
// about how the visitor came.
type Page struct {
	Path  string // masked, percent-encoding as sent; with the parameters that the site's rules keep
	Query string // utm_* and ref alone, for Google's page_location
	UTM   UTM
	Ref   string // the parameter ref or source: a label without a campaign
	Click Click  // by a click id, which itself is dropped

	Masked int  // e-mail addresses and tokens that were replaced
	Cut    bool // something was longer than is kept
}

// Page keeps what may be kept of an address.
func (r *Rules) Page(a Address) Page {
	var p Page
	p.Path, p.Cut = Cut(Clean(a.Path), maxPath)
	p.Path, p.Masked = r.Mask(p.Path)
	if a.Query == "" {
		return p
	}
	var query strings.Builder
	var own []string // of r.keep
	if r != nil && len(r.keep) > 0 {
		own = make([]string, len(r.keep))
	}
	for rest := a.Query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, raw, _ := strings.Cut(pair, "=")
		if click, ok := clicks[key]; ok {
			p.Click = click
			continue
		}
		if raw == "" {
			continue
		}
		if own != nil {
			if i := slices.Index(r.keep, key); i >= 0 && own[i] == "" {
				own[i] = p.value(r, raw)
			}
		}
		label, kept := p.label(key)
		if !kept {
			continue
		}
		value := p.value(r, raw)
		if label != nil && *label == "" {
			*label = value
		}
		addPair(&query, key, value)
	}
	p.Query = query.String()
	p.addOwn(r, own)
	return p
}

// ReadPage is Rules.Page by the defaults.
func ReadPage(a Address) Page { return (*Rules)(nil).Page(a) }

// addOwn makes parameters part of the path, in the order of the rules, so that
// one page has one path.
func (p *Page) addOwn(r *Rules, values []string) {
	var query strings.Builder
	for i, value := range values {
		if value != "" {
			addPair(&query, r.keep[i], value)
		}
	}
	if query.Len() == 0 {
		return
	}
	path, fragment, routed := strings.Cut(p.Path, "#")
	if p.Path = path + "?" + query.String(); routed {
		p.Path += "#" + fragment
	}
}

func addPair(query *strings.Builder, key, value string) {
	if query.Len() > 0 {
		query.WriteByte('&')
	}
	query.WriteString(key)
	query.WriteByte('=')
	query.WriteString(url.QueryEscape(value))
}

// label returns whether a query parameter is kept, and which label it holds;
// nil for one that only Google reads.
func (p *Page) label(key string) (label *string, kept bool) {
	switch key {
	case "utm_source":
		return &p.UTM.Source, true
	case "utm_medium":
		return &p.UTM.Medium, true
	case "utm_campaign":
		return &p.UTM.Campaign, true
	case "utm_term":
		return &p.UTM.Term, true
	case "utm_content":
		return &p.UTM.Content, true
	case "ref", "source":
		return &p.Ref, true
	case "utm_id", "utm_source_platform", "utm_creative_format", "utm_marketing_tactic":
		return nil, true
	}
	return nil, false
}

func (p *Page) value(r *Rules, raw string) string {
	if s, err := url.QueryUnescape(raw); err == nil {
		raw = s
	}
	s, cut := Cut(Clean(raw), maxValue)
	s, masked := r.Mask(s)
	p.Cut = p.Cut || cut
	p.Masked += masked
	return s
}

// Click is what a click id says: which source put it there, and by which
// medium; "" where a click id says nothing about that.
type Click struct{ Source, Medium string }

// clicks are the parameters that networks add to links. Those that come with
// unpaid links as well (fbclid, igshid, srsltid) name a source and no medium.
var clicks = map[string]Click{
	"gclid": {"Google", "cpc"}, "gbraid": {"Google", "cpc"}, "wbraid": {"Google", "cpc"}, "gad_source": {"Google", "cpc"},
	"dclid":   {"Google", "display"},
	"srsltid": {"Google", ""},
	"msclkid": {"Bing", "cpc"},
	"yclid":   {"Yandex", "cpc"},
	"fbclid":  {"Facebook", ""}, "igshid": {"Instagram", ""},
	"ttclid": {"TikTok", "cpc"}, "twclid": {"X", "cpc"}, "li_fat_id": {"LinkedIn", "cpc"},
	"epik": {"Pinterest", "cpc"}, "rdt_cid": {"Reddit", "cpc"}, "ScCid": {"Snapchat", "cpc"},
	"mc_eid": {"Mailchimp", "email"},
}
