package judge

import (
	"slices"
	"strings"
	"time"
)

// Google's hard limits on one request.
const (
	MaxEvents        = 25      // events in a request
	MaxParams        = 25      // params of an event
	MaxProperties    = 25      // user properties of a request
	MaxItems         = 200     // items of an event
	MaxItemParams    = 10      // custom params of an item
	MaxName          = 40      // characters of an event's or a param's name
	MaxValue         = 100     // characters of a param's value
	MaxPropertyValue = 36      // characters of a user property's value
	MaxBody          = 130_000 // bytes; a body has to be smaller
	MaxAge           = 72 * time.Hour
	maxUserID        = 256
	maxPropName      = 24
	maxAhead         = 10 * time.Minute
)

// reservedEvents lists the names that Google keeps to itself; the last line is
// of app streams. The list is owned by Google's servers and may move.
var reservedEvents = set(`
	ad_activeview ad_click ad_exposure ad_query ad_reward adunit_exposure app_clear_data app_exception app_install
	app_remove app_store_refund app_update app_upgrade dynamic_link_app_open dynamic_link_app_update
	dynamic_link_first_open error firebase_campaign firebase_in_app_message_action firebase_in_app_message_dismiss
	firebase_in_app_message_impression first_open first_visit notification_dismiss notification_foreground
	notification_open notification_receive notification_send os_update session_start user_engagement
	ad_impression in_app_purchase screen_view`)

var reservedProperties = set(`first_open_time first_visit_time last_deep_link_referrer user_id first_open_after_install`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		out[w] = true
	}
	return out
}

var paramPrefixes = []string{"_", "firebase_", "ga_", "google_", "gtag."}

// isName reports whether s is a letter, and then letters, digits and
// underscores.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (digitAt(s, i) || c == '_'):
		default:
			return false
		}
	}
	return s != ""
}

// EventName returns the code for which Google refuses an event name (rule 9);
// empty: it takes it.
func EventName(name string) Code {
	switch {
	case length(name) > MaxName || !isName(name):
		return NameInvalid
	case reservedEvents[name]:
		return NameReserved
	}
	return ""
}

// ParamName is EventName for the name of a param (rule 11).
func ParamName(name string) Code {
	switch {
	case name == "firebase_conversion" || reserved(name):
		return NameReserved
	case length(name) > MaxName || !isName(name):
		return NameInvalid
	}
	return ""
}

// PropertyName is EventName for the name of a user property (rule 11).
func PropertyName(name string) Code {
	switch {
	case reservedProperties[name] || reserved(name):
		return NameReserved
	case length(name) > maxPropName || !isName(name):
		return NameInvalid
	}
	return ""
}

func reserved(name string) bool {
	return slices.ContainsFunc(paramPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// numeric lists the params, of events and of items, that have to be numbers
// (rule 14).
var numeric = set(`value price quantity tax shipping discount index level score`)

// standardItem lists the item params that do not count as custom.
var standardItem = set(`
	item_id item_name affiliation coupon currency discount index item_brand item_category item_category2 item_category3
	item_category4 item_category5 item_list_id item_list_name item_variant location_id price quantity
	promotion_id promotion_name creative_name creative_slot`)

// required lists the params that recommended events cannot do without (rule
// 17), after the schemas of Google's Event Builder.
var required = map[string][]string{
	"purchase":               {"transaction_id", "items", "value"},
	"refund":                 {"transaction_id", "value"},
	"add_to_cart":            {"value", "items"},
	"remove_from_cart":       {"value", "items"},
	"view_item":              {"value", "items"},
	"view_cart":              {"value", "items"},
	"begin_checkout":         {"value", "items"},
	"add_payment_info":       {"value", "items"},
	"add_shipping_info":      {"value", "items"},
	"add_to_wishlist":        {"value", "items"},
	"generate_lead":          {"value"},
	"search":                 {"search_term"},
	"select_item":            {"items"},
	"view_item_list":         {"items"},
	"view_promotion":         {"items"},
	"post_score":             {"score"},
	"spend_virtual_currency": {"value", "virtual_currency_name"},
	"unlock_achievement":     {"achievement_id"},
}

// NumericParam reports whether a param, of an event or an item, has to be a
// number.
func NumericParam(name string) bool { return numeric[name] }

// StandardItemParam reports whether an item's param is one of Google's own and
// so does not count as custom.
func StandardItemParam(name string) bool { return standardItem[name] }
