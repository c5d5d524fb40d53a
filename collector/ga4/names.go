package ga4

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"sluice/collector"
	"sluice/collector/ga4/judge"
	"sluice/consent"
)

// standardEvents are the names under which Google's reports look for what
// Sluice measures by itself: its enhanced measurement
// (support.google.com/analytics/answer/9216061) and, for errors, its event
// "exception". A missing page has no event of Google's own, and a name may not
// begin with a digit.
var standardEvents = map[string]string{
	consent.EventPageview: "page_view", consent.EventOutboundLink: "click", consent.EventSearch: "view_search_results",
	consent.EventError: "exception", consent.EventNotFound: "page_not_found", "signup": "sign_up",
}

// standardParams does the same for the properties of such an event. Those that
// are not named keep their names.
var standardParams = map[string]map[string]string{
	consent.EventScroll:       {"depth": "percent_scrolled", "percent": "percent_scrolled"},
	consent.EventOutboundLink: {"url": "link_url", "href": "link_url", "domain": "link_domain", "host": "link_domain", "text": "link_text"},
	consent.EventFileDownload: {"url": "link_url", "href": "link_url", "extension": "file_extension", "type": "file_extension", "file": "file_name", "name": "file_name"},
	consent.EventFormSubmit:   {"form": "form_id", "id": "form_id", "action": "form_destination", "url": "form_destination", "name": "form_name"},
	consent.EventSearch:       {"term": "search_term", "query": "search_term", "q": "search_term"},
	consent.EventWebVital:     {"name": "metric_name", "metric": "metric_name", "value": "metric_value", "rating": "metric_rating"},
}

// recommended are the names of Google's recommended events: a site's own
// "Purchase" or "Add to cart" is one of them, whatever its capitals.
var recommended = func() map[string]bool {
	out := map[string]bool{}
	for name := range strings.FieldsSeq(`
		purchase refund add_to_cart remove_from_cart view_item view_cart begin_checkout add_payment_info add_shipping_info
		add_to_wishlist generate_lead select_item view_item_list view_promotion select_promotion post_score
		spend_virtual_currency unlock_achievement login sign_up share join_group level_up`) {
		out[name] = true
	}
	return out
}()

// wholePage is the depth in per cent at which Google tells of a scroll, and
// scrollDepth what a smaller one is called, so that Google's own count of scrolls
// stays what it is.
const (
	wholePage   = 90
	scrollDepth = "scroll_depth"
)

// nameOf is the name under which Google is told of an event.
func nameOf(ev *collector.Event) (out string, renamed bool) {
	if ev.Name == consent.EventScroll {
		for _, p := range ev.Props {
			param, _ := paramName(ev.Name, p.Key)
			if depth, ok := p.Value.(float64); ok && param == "percent_scrolled" && depth < wholePage {
				return scrollDepth, false
			}
		}
	}
	return eventName(ev.Name)
}

// eventName maps an event's name to one that Google takes: the same one
// wherever possible, and always the same for the same name. renamed reports
// whether the site's own name was changed to something that is not Google's.
func eventName(name string) (out string, renamed bool) {
	if standard, ok := standardEvents[name]; ok {
		return standard, false
	}
	out, renamed = sanitise(name, "event_", func(s string) bool { return judge.EventName(s) == "" })
	if lower := strings.ToLower(out); recommended[lower] {
		return lower, false
	}
	return out, renamed
}

// paramName does the same for a property of an event. Three valid names are
// not for properties: under two Google takes what is never sent, under one the
// items.
func paramName(event, name string) (out string, renamed bool) {
	if standard, ok := standardParams[event][name]; ok {
		return standard, false
	}
	return sanitise(name, "param_", func(s string) bool {
		return judge.ParamName(s) == "" && s != "ip_override" && s != "user_data" && s != "items"
	})
}

var foreignRun = regexp.MustCompile(`[^A-Za-z0-9]+`)

// sanitise returns name where it is valid. Otherwise every run of other
// characters becomes one underscore; what is left goes behind prefix if it is
// still not valid. A name that is too long, or of which nothing is left, is
// told apart by eight digits of its hash.
func sanitise(name, prefix string, valid func(string) bool) (string, bool) {
	if valid(name) {
		return name, false
	}
	kept := strings.Trim(foreignRun.ReplaceAllString(name, "_"), "_")
	sum := sha256.Sum256([]byte(name))
	mark := hex.EncodeToString(sum[:4])
	switch {
	case valid(kept):
		return kept, true
	case kept == "":
		return prefix + mark, true
	case valid(prefix + kept):
		return prefix + kept, true
	}
	if !isLetter(kept[0]) {
		kept = prefix + kept
	}
	if room := judge.MaxName - len("_") - len(mark); len(kept) > room {
		kept = kept[:room]
	}
	return strings.TrimRight(kept, "_") + "_" + mark, true
}
