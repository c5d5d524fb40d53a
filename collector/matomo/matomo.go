// Package matomo maps events to Matomo's Tracking HTTP API, its bulk form. It
// is a [sluice/collector/forward.Destination].
//
// Matomo is told the country where it would else be given an address (which
// takes the token), and knows a visitor under a name that is keyed with that
// token. The address that it sees is Sluice's own: cid, not the address, tells
// visitors apart.
//
// Sources: developer.matomo.org/api-reference/tracking-api; for the answer to a
// bulk request matomo-org/matomo plugins/BulkTracking/Tracker/Response.php.
package matomo

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/collector"
	"sluice/consent"
)

// maxEvents share a request.
const maxEvents = 25

// Options of a [Destination]. All but Secure are required.
type Options struct {
	URL    string // of matomo.php, or of the folder that holds it
	SiteID string // idsite
	Token  collector.Secret
	Secure bool // the site's pages are https
}

// Destination is one website in a Matomo.
type Destination struct {
	o      Options
	url    string
	scheme string
}

// New checks the options.
func New(o Options) (*Destination, error) {
	if n, err := strconv.ParseUint(o.SiteID, 10, 32); err != nil || n == 0 {
		return nil, fmt.Errorf("site_id %q is not the number of a website in Matomo", o.SiteID)
	}
	u, err := url.Parse(o.URL)
	switch {
	case o.Token == "":
		return nil, errors.New("no token: without one Matomo takes neither the country nor the time of an event")
	case err != nil || u.Host == "" || u.RawQuery != "":
		return nil, errors.New("url is not the address of a Matomo without a query")
	}
	if !strings.HasSuffix(u.Path, ".php") {
		u = u.JoinPath("matomo.php")
	}
	d := &Destination{o: o, url: u.String(), scheme: "http"}
	if o.Secure {
		d.scheme = "https"
	}
	return d, nil
}

// URL is that of matomo.php.
func (d *Destination) URL() collector.Secret { return collector.Secret(d.url) }

// Person is the visitor.
func (d *Destination) Person(ev *collector.Event) string { return ev.Visitor }

// Fits takes up to 25 events.
func (d *Destination) Fits(load []*collector.Event, _ *collector.Event) bool {
	return len(load) < maxEvents
}

// Repeatable is true of orders alone: Matomo keeps one of each ec_id.
func (d *Destination) Repeatable(ev *collector.Event) bool { return isOrder(ev) }

// bulk is the body.
type bulk struct {
	Requests []string `json:"requests"`
	Token    string   `json:"token_auth"`
}

// Pack maps each event to one tracking request.
func (d *Destination) Pack(events []*collector.Event, _ collector.AdConsent, _ time.Time) (collector.Parcel, error) {
	out := bulk{Token: string(d.o.Token)}
	for _, ev := range events {
		out.Requests = append(out.Requests, "?"+d.request(ev).Encode())
	}
	body, err := out.encode()
	if err != nil {
		return collector.Parcel{}, err
	}
	out.Token = "redacted"
	log, err := out.encode()
	return collector.Parcel{Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Log: log}, err
}

func (b bulk) encode() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(b); err != nil {
		return nil, fmt.Errorf("encode bulk request: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// Refused reads what Matomo says of a bulk request that it took: how many of it
// it did not keep, for a website that it does not have or a parameter that it
// refuses, and to the token of a superuser which they were. Where it does not
// say which, it may be each of them.
func (d *Destination) Refused(body []byte, n int) []int {
	var answer struct {
		Invalid int   `json:"invalid"`
		Indices []int `json:"invalid_indices"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Invalid == 0 {
		return nil
	}
	if len(answer.Indices) > 0 {
		return answer.Indices
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// request is one event; parameters without a value are left out.
func (d *Destination) request(ev *collector.Event) url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	id := d.visitorID(ev)
	set("idsite", d.o.SiteID)
	set("rec", "1")
	set("apiv", "1")
	set("cid", id)
	set("_id", id)
	set("cdt", ev.Time.UTC().Format("2006-01-02 15:04:05"))
	set("url", ev.PageURL(d.scheme))
	set("urlref", ev.Referrer)
	set("country", strings.ToLower(ev.Country))
	set("lang", ev.Language)
	if ev.ScreenWidth > 0 && ev.ScreenHeight > 0 {
		set("res", fmt.Sprintf("%dx%d", ev.ScreenWidth, ev.ScreenHeight))
	}
	d.action(ev, set)
	return q
}

// action says what happened: a pageview, one of Matomo's own actions, an order,
// or an event.
func (d *Destination) action(ev *collector.Event, set func(name, value string)) {
	switch name := ev.Name; {
	case name == consent.EventPageview:
		set("action_name", ev.Title)
	case name == consent.EventEngagement:
		set("ping", "1") // it is on the page still; no action of its own
	case name == consent.EventOutboundLink && prop(ev, "link_url") != "":
		set("link", prop(ev, "link_url"))
	case name == consent.EventFileDownload && prop(ev, "link_url") != "":
		set("download", prop(ev, "link_url"))
	case name == consent.EventSearch && prop(ev, "search_term") != "":
		set("search", prop(ev, "search_term"))
	case isOrder(ev):
		set("idgoal", "0")
		set("revenue", ev.Revenue)
		set("ec_id", orderID(ev))
		set("ec_items", items(ev))
	default:
		set("ca", "1")
		set("e_c", "Sluice")
		set("e_a", name)
		set("e_n", ev.Path)
		set("e_v", ev.Revenue)
	}
}

// visitorID is 16 hexadecimal characters, as Matomo asks.
func (d *Destination) visitorID(ev *collector.Event) string {
	mac := hmac.New(sha256.New, []byte(d.o.Token))
	fmt.Fprintf(mac, "visitor\x00%s\x00%s", ev.Site, ev.Visitor)
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

func isOrder(ev *collector.Event) bool {
	return strings.EqualFold(ev.Name, "purchase") && ev.Revenue != ""
}

// orderID is the site's transaction, else the event's id.
func orderID(ev *collector.Event) string {
	if id := prop(ev, "transaction_id"); id != "" {
		return id
	}
	return ev.ID
}

func prop(ev *collector.Event, key string) string {
	for _, p := range ev.Props {
		if p.Key == key {
			return text(p.Value)
		}
	}
	return ""
}

// text is a value as a site would write it: an order number has no exponent.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// number reads what a product's field says; where that is no number, NaN or
// beyond all bounds, it is other.
func number(v any, other float64) float64 {
	f, err := strconv.ParseFloat(text(v), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) { // JSON has neither, and one would take the whole order with it
		return other
	}
	return f
}

// items lists products as Matomo does: SKU, name, category, price, quantity.
func items(ev *collector.Event) string {
	var in []map[string]any
	d := json.NewDecoder(strings.NewReader(ev.Items))
	d.UseNumber()
	if ev.Items == "" || d.Decode(&in) != nil {
		return ""
	}
	out := [][]any{}
	for _, item := range in {
		sku := text(item["item_id"])
		if sku == "" {
			sku = text(item["item_name"])
		}
		price, quantity := number(item["price"], 0), number(item["quantity"], 1)
		out = append(out, []any{sku, text(item["item_name"]), text(item["item_category"]), price, quantity})
	}
	b, err := json.Marshal(out)
	if err != nil { // nothing here is without an encoding
		return ""
	}
	return string(b)
}
