package ga4

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/collector"
	"sluice/collector/ga4/judge"
	"sluice/consent"
)

// Where a site asks for it (Options.Relay), what gtag.js measured is not
// converted to the Measurement Protocol but goes on in gtag's own format, which
// Google does not document. The hit is written anew, from the event and from
// what gtag said of the hit (collector.Event.Gtag): so it holds the parameters
// named in this file and no other, each as clean as in a payload. Its consent
// is what the ledger grants at the moment of sending.

// relayPath is where hits go: beside the path of the Measurement Protocol.
func relayPath(endpoint string) string {
	return strings.TrimSuffix(strings.TrimRight(endpoint, "/"), "/mp/collect") + judge.HitPath
}

// relays reports whether an event is a hit of this property's gtag.js.
func (d *Destination) relays(ev *collector.Event) bool {
	return d.o.Relay && ev.Gtag != "" && marks(ev).Get("tid") == d.o.MeasurementID
}

// marks is what gtag said of the hit beside the event.
func marks(ev *collector.Event) url.Values {
	q, err := url.ParseQuery(ev.Gtag)
	if err != nil { // it was encoded by url.Values: cannot be
		return url.Values{}
	}
	return q
}

// ofTheHit are the marks of one hit; the others are its page's.
var ofTheHit = []string{"_s", "_ss", "_fv", "_nsi", "_ee", "_c"}

// samePage reports whether two hits have everything in common that gtag writes
// once for both.
func (d *Destination) samePage(a, b *collector.Event) bool {
	first, _ := d.hit(a, collector.AdConsent{})
	second, _ := d.hit(b, collector.AdConsent{})
	return first.page.Encode() == second.page.Encode()
}

// hit is an event in gtag's format: what it shares with others of its page, and
// what is its own.
type hit struct{ page, own url.Values }

// hit writes an event as gtag would. The names and limits are those of the
// payload.
func (d *Destination) hit(ev *collector.Event, ads collector.AdConsent) (hit, Losses) {
	h := hit{page: marks(ev), own: url.Values{}}
	for _, key := range ofTheHit {
		if v := h.page.Get(key); v != "" {
			h.own.Set(key, v)
		}
		h.page.Del(key)
	}
	b := builder{o: d.o, ev: ev, params: map[string]any{}}
	item := b.item()
	h.event(ev, item)
	var people Payload
	b.userProperties(&people)
	for name, p := range people.UserProperties {
		h.param("up", name, p.Value)
	}
	h.page.Set("v", "2")
	h.page.Set("cid", ev.GAClientID)
	if ev.ScreenWidth > 0 && ev.ScreenHeight > 0 {
		h.page.Set("sr", fmt.Sprintf("%dx%d", ev.ScreenWidth, ev.ScreenHeight))
	}
	h.consent(ev, ads)
	return h, b.losses
}

// places are the params that gtag writes under names of their own.
var places = map[string]string{
	"session_id": "sid", "page_location": "dl", "page_referrer": "dr", "page_title": "dt",
}

// event writes an event's name and params.
func (h *hit) event(ev *collector.Event, item PayloadItem) {
	h.own.Set("en", item.Name)
	if ev.Name == consent.EventEngagement {
		h.own.Set("en", "user_engagement")
	}
	for name, value := range item.Params {
		switch place, own := places[name]; {
		case own:
			h.page.Set(place, fmt.Sprint(value))
		case name == "engagement_time_msec": // gtag leaves it out where it is none
			if ev.EngagementMS > 0 {
				h.own.Set("_et", fmt.Sprint(value))
			}
		case name == "currency":
			h.own.Set("cu", fmt.Sprint(value))
		case name == "items":
			h.items(value)
		default:
			h.param("ep", name, value)
		}
	}
}

// param writes a text under kind, a number under kind and n.
func (h *hit) param(kind, name string, value any) {
	if _, isNumber := value.(json.Number); isNumber {
		kind += "n"
	}
	h.own.Set(kind+"."+name, fmt.Sprint(value))
}

// items writes each product as gtag does: fields apart by ~, two letters and
// the value; of the site's own, kN has the name and vN the value.
func (h *hit) items(value any) {
	list, _ := value.([]map[string]any)
	for i, item := range list {
		var fields []string
		custom := 0
		for _, name := range slices.Sorted(maps.Keys(item)) {
			text := strings.ReplaceAll(fmt.Sprint(item[name]), "~", "-")
			if letters := collector.GtagItemKey(name); letters != "" {
				fields = append(fields, letters+text)
				continue
			}
			n := strconv.Itoa(custom)
			fields = append(fields, "k"+n+name, "v"+n+text)
			custom++
		}
		h.own.Set("pr"+strconv.Itoa(i+1), strings.Join(fields, "~"))
	}
}

// consent says what is granted now: gcs with ad_storage and analytics_storage,
// gcd with those, ad_user_data and ad_personalization, r where a default of no
// was updated to yes, p where it was left. Nothing is sent without a grant of
// analytics. gtag's denial of ad_storage is known by its denying both others.
func (h *hit) consent(ev *collector.Event, ads collector.AdConsent) {
	storage := ads.Storage && ev.NoAds != collector.AdConsentDenied{UserData: true, Personalization: true}
	letter := func(yes bool) string {
		if yes {
			return "r"
		}
		return "p"
	}
	gcs, npa := "G101", "1"
	if storage {
		gcs = "G111"
	}
	if ads.Personalization {
		npa = "0"
	}
	h.page.Set("gcs", gcs)
	h.page.Set("gcd", "13"+letter(storage)+"3"+letter(true)+"3"+letter(ads.UserData)+"2"+letter(ads.Personalization)+"5l1")
	h.page.Set("npa", npa)
}

// hitHeader is what gtag's requests have; its referrer, cookies and client
// hints are not passed on.
var hitHeader = http.Header{"Content-Type": {"text/plain;charset=UTF-8"}}

// packHits writes hits of one page as gtag sends them: one in the query, several
// as lines of the body below what they share. The hash and the proof are of
// both, a line feed between them.
func (d *Destination) packHits(events []*collector.Event, ads collector.AdConsent, now time.Time) collector.Parcel {
	var losses Losses
	var page url.Values
	var lines []string
	for _, ev := range events {
		h, lost := d.hit(ev, ads)
		losses.add(lost)
		page = h.page
		if len(events) == 1 {
			maps.Copy(page, h.own)
			break
		}
		lines = append(lines, h.own.Encode())
	}
	body := []byte(strings.Join(lines, "\n"))
	out := collector.Parcel{
		Path: d.relayPath, Header: hitHeader, Body: body, Changed: losses.byName(),
		Log: []byte(page.Encode() + "\n" + string(body)),
	}
	v := judge.Hits(judge.Request{Method: http.MethodPost, Query: page, Header: hitHeader, Body: body, At: now, OwnHosts: hosts(events)})
	switch {
	case v.Refused != "" || len(v.Violations) > 0:
		for _, ev := range events {
			out.Unfit = append(out.Unfit, collector.Unfit{Event: ev, Rule: wholeRule(v)})
		}
	default:
		for _, dropped := range v.Dropped {
			out.Unfit = append(out.Unfit, collector.Unfit{Event: events[dropped.Index], Rule: eventRule(v, dropped)})
		}
	}
	query := maps.Clone(d.relayQuery) // may hold a key: neither judged nor kept
	maps.Copy(query, page)
	out.Query = query.Encode()
	return out
}
