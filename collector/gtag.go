package collector

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sluice/collector/jsonreader"
	"sluice/consent"
)

// googleHit is what gtag.js says of an event beside the event itself. It can
// lower what the ledger says, and never raise it.
type googleHit struct {
	property string // measurement ID
	client   string // client id, number.number
	session  string // session id
	denied   bool   // analytics_storage is denied
	noAds    AdConsentDenied
	marks    string // what else is needed to relay it; a query
}

// AdConsentDenied says which of Google's advertising signals were denied in
// the browser, whatever the ledger grants. Its zero value denies nothing.
type AdConsentDenied struct{ UserData, Personalization bool }

// readGtag reads hits of gtag.js (protocol version 2), which Google does not
// document. query holds what the events of a body share; each line of the body
// is an event and goes before it. Without a body the query is the event.
// property is the first event's.
//
// Parameters outside this list are not looked at, and so never kept: addresses
// (_uip), hashed e-mails (em, ecid), user ids (uid), linker and click ids
// (_fplc, _glv, gtm_up, and whatever dl holds beyond campaign labels), client
// hints (uafvl, uam, uapv), what only a container on a server reads (sst.*).
//
// Source: facts read out of analytics-debugger/ga4mp, d8a-tech/d8a and
// managed-components/google-analytics-4; see docs/google-analytics.md.
//
// Errors: consent.ErrTooLarge.
func readGtag(query url.Values, body string) (events []wireEvent, property string, err error) {
	body = strings.Trim(body, "\r\n")
	if n := strings.Count(body, "\n") + 1; n > maxEvents { // before any is read: each is merged with the query
		return nil, "", fmt.Errorf("%d hits in one body, at most %d: %w", n, maxEvents, consent.ErrTooLarge)
	}
	if body == "" {
		body = query.Encode()
		query = nil
	}
	for line := range strings.SplitSeq(body, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" && len(events) > 0 {
			continue // between two hits
		}
		own, err := url.ParseQuery(line)
		w := wireEvent{wrong: true}
		if err == nil && len(query)+len(own) <= maxHitParams {
			w = gtagEvent(merge(query, own))
		}
		if w.google != nil && property == "" {
			property = w.google.property
		}
		events = append(events, w)
	}
	return events, property, nil
}

// maxHitParams is twice what gtag can say of an event: 25 parameters, 25
// properties of the visitor, 200 items.
const maxHitParams = 500

// merge lays a line's parameters over the shared ones.
func merge(shared, own url.Values) url.Values {
	out := url.Values{}
	for _, values := range []url.Values{shared, own} {
		for key, v := range values {
			out[key] = v
		}
	}
	return out
}

// gtagEvents are Sluice's names for what gtag measures by itself; the names of
// others stay.
var gtagEvents = map[string]string{
	"page_view": consent.EventPageview, "user_engagement": consent.EventEngagement,
	"view_search_results": consent.EventSearch, "exception": consent.EventError, "page_not_found": consent.EventNotFound,
}

func gtagEvent(q url.Values) wireEvent {
	w := wireEvent{
		name: q.Get("en"), url: withCampaign(q.Get("dl"), q), title: q.Get("dt"), referrer: q.Get("dr"),
		screen: screenOf(strings.Split(q.Get("sr"), "x")), id: hitID(q),
	}
	if own, ok := gtagEvents[w.name]; ok {
		w.name = own
	}
	if w.name == "click" && q.Get("ep.outbound") == "true" {
		w.name = consent.EventOutboundLink
	}
	if ms, err := strconv.ParseFloat(q.Get("_et"), 64); err == nil && ms >= 0 {
		w.engagementMS = jsonreader.Optional{Value: ms, Set: true}
	}
	w.engagementMS.Set = w.engagementMS.Set || w.name == consent.EventEngagement
	w.gtagProps(q)
	w.items = gtagItems(q)
	w.wrong = q.Get("v") != "2" || w.name == ""
	w.google = readHit(q)
	return w
}

// hitID is the same for the same hit, however often it arrives: gtag counts its
// hits (_s) per page load (_p).
func hitID(q url.Values) string {
	sum := sha256.Sum256([]byte(q.Encode()))
	return "gtag-" + hex.EncodeToString(sum[:12])
}

// withCampaign adds the campaign that a page set by hand to the labels of its
// address.
func withCampaign(page string, q url.Values) string {
	var labels []string
	for _, p := range [][2]string{{"cs", "utm_source"}, {"cm", "utm_medium"}, {"cn", "utm_campaign"}, {"ck", "utm_term"}, {"cc", "utm_content"}, {"ci", "utm_id"}} {
		if v := q.Get(p[0]); v != "" && !strings.Contains(page, p[1]+"=") {
			labels = append(labels, p[1]+"="+url.QueryEscape(v))
		}
	}
	if len(labels) == 0 {
		return page
	}
	page, fragment, _ := strings.Cut(page, "#")
	separator := "?"
	if strings.Contains(page, "?") {
		separator = "&"
	}
	page += separator + strings.Join(labels, "&")
	if fragment != "" {
		page += "#" + fragment
	}
	return page
}

// UserProperty opens the name of a property that is the visitor's rather than
// the event's, as Google Analytics tells them apart.
const UserProperty = "up."

// gtagProps reads ep.* and up.* as texts, epn.* and upn.* as numbers. The value
// of a purchase is revenue; any other value stays a property.
func (w *wireEvent) gtagProps(q url.Values) {
	for _, key := range slices.Sorted(keysOf(q)) {
		value := q.Get(key)
		kind, name, ok := strings.Cut(key, ".")
		if !ok || name == "" || value == "" {
			continue
		}
		switch kind {
		case "ep":
			w.addProp(Prop{name, value})
		case "up":
			w.addProp(Prop{UserProperty + name, value})
		case "epn", "upn":
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || v != v || v-v != 0 { // NaN and infinities are no numbers of JSON's
				w.cut++
				continue
			}
			if kind == "upn" {
				name = UserProperty + name
			} else if name == "value" && w.name == "purchase" && isCurrency(q.Get("cu")) {
				w.revenue = &revenue{amount: decimal(v), currency: q.Get("cu")}
				continue
			}
			w.addProp(Prop{name, v})
		}
	}
	if cu := q.Get("cu"); cu != "" && w.revenue == nil {
		w.addProp(Prop{"currency", cu})
	}
}

func keysOf(q url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range q {
			if !yield(key) {
				return
			}
		}
	}
}

// itemKeys are the names behind the two letters of an item's fields.
var itemKeys = map[string]string{
	"id": "item_id", "nm": "item_name", "br": "item_brand", "ca": "item_category", "c2": "item_category2", "c3": "item_category3",
	"c4": "item_category4", "c5": "item_category5", "va": "item_variant", "pr": "price", "qt": "quantity", "cp": "coupon",
	"ds": "discount", "ln": "item_list_name", "li": "item_list_id", "lp": "index", "af": "affiliation", "lo": "location_id",
	"pi": "promotion_id", "pn": "promotion_name", "cn": "creative_name", "cs": "creative_slot",
}

// GtagItemKey is the two letters under which gtag writes a field of an item;
// "": it has none for it.
func GtagItemKey(name string) string {
	for letters, of := range itemKeys {
		if of == name {
			return letters
		}
	}
	return ""
}

// gtagItems reads pr1 to pr200 as JSON: fields apart by ~, two letters and the
// value; of the site's own, kN has the name and vN the value.
func gtagItems(q url.Values) string {
	var items []map[string]any
	for n := 1; n <= maxItems; n++ {
		raw := q.Get("pr" + strconv.Itoa(n))
		if raw == "" {
			break
		}
		if item := gtagItem(raw); len(item) > 0 {
			items = append(items, item)
		}
	}
	if len(items) == 0 {
		return ""
	}
	b, err := json.Marshal(items)
	if err != nil { // strings and numbers that were checked: cannot be
		return ""
	}
	return string(b)
}

func gtagItem(raw string) map[string]any {
	item := map[string]any{}
	own := map[string]string{}
	for field := range strings.SplitSeq(raw, "~") {
		if len(field) < 3 {
			continue
		}
		key, value := field[:2], field[2:]
		switch name, ok := itemKeys[key]; {
		case ok && slices.Contains([]string{"price", "quantity", "discount", "index"}, name):
			if v, err := strconv.ParseFloat(value, 64); err == nil && v-v == 0 {
				item[name] = json.Number(strconv.FormatFloat(v, 'f', -1, 64))
			}
		case ok:
			item[name] = value
		case key[0] == 'k' && isDigits(key[1:]):
			own[key[1:]] = value
		case key[0] == 'v' && isDigits(key[1:]) && own[key[1:]] != "":
			item[own[key[1:]]] = value
		}
	}
	return item
}

// readHit reads who gtag takes the visitor for, and what it says of consent.
func readHit(q url.Values) *googleHit {
	hit := &googleHit{property: q.Get("tid"), marks: marksOf(q)}
	if a, b, ok := strings.Cut(q.Get("cid"), "."); ok && isPositive(a) && isPositive(b) {
		hit.client = a + "." + b
	}
	if sid := q.Get("sid"); isPositive(sid) {
		hit.session = sid
	}
	ad, analytics := deniedIn(q.Get("gcs"))
	signals := deniedSignals(q.Get("gcd"))
	hit.denied = analytics || signals[1]
	hit.noAds.UserData = ad || signals[0] || signals[2]
	hit.noAds.Personalization = ad || signals[0] || signals[3] || q.Get("npa") == "1"
	return hit
}

// gtagMarks are the parameters of a hit that become no part of an event and that
// Google's reports need: property, container, page load, hit, session and its
// count, whether it is engaged or a first visit, key event, language, traffic
// that the site marks as its own. None says who somebody is.
var gtagMarks = []string{"tid", "gtm", "_p", "_s", "sct", "seg", "_ss", "_fv", "_nsi", "_ee", "_c", "ul", "ir", "tt"}

// markForm leaves no room for an address, an e-mail or a text.
var markForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,40}$`)

func marksOf(q url.Values) string {
	out := url.Values{}
	for _, key := range gtagMarks {
		if v := q.Get(key); markForm.MatchString(v) {
			out.Set(key, v)
		}
	}
	return out.Encode()
}

// deniedIn reads gcs: G1, then a digit each for ad_storage and
// analytics_storage, 0 where it is denied.
func deniedIn(gcs string) (ad, analytics bool) {
	if len(gcs) != 4 || !strings.HasPrefix(gcs, "G1") {
		return false, false
	}
	return gcs[2] == '0', gcs[3] == '0'
}

// deniedSignals reads gcd: a prefix of two digits, then letter and digit each
// for ad_storage, analytics_storage, ad_user_data and ad_personalization. p, q,
// m and u say denied; l, that nothing was set, says nothing.
func deniedSignals(gcd string) (denied [4]bool) {
	at := 0
	for i := 2; i < len(gcd) && at < len(denied); i++ {
		if c := gcd[i]; c >= 'a' && c <= 'z' {
			denied[at] = strings.IndexByte("pqmu", c) >= 0
			at++
		}
	}
	return denied
}
