package ga4

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice/collector"
	"sluice/collector/ga4/judge"
	"sluice/consent"
)

// Payload is the body of one request: events of one client under one consent,
// from one country and device. It has no place for an address, for user_data
// or for a user agent.
type Payload struct {
	ClientID       string                   `json:"client_id"`
	UserProperties map[string]PropertyValue `json:"user_properties,omitempty"`
	UserLocation   *Location                `json:"user_location,omitempty"`
	Device         *Device                  `json:"device,omitempty"`
	Consent        AdConsent                `json:"consent"`
	Events         []PayloadItem            `json:"events"`
}

// PropertyValue is a user property: a text of up to 36 characters or a
// json.Number.
type PropertyValue struct {
	Value any `json:"value"`
}

// Location is where the visitor is, as coarse as Google takes it.
type Location struct {
	CountryID string `json:"country_id"`          // ISO 3166-1 alpha-2
	RegionID  string `json:"region_id,omitempty"` // ISO 3166-2, only where the site says so
}

// Device is what the browser is, without versions.
type Device struct {
	Category        string `json:"category,omitempty"`
	OperatingSystem string `json:"operating_system,omitempty"`
	Browser         string `json:"browser,omitempty"`
}

// AdConsent is always explicit: left out, Google would go by what it remembers
// of the client.
type AdConsent struct {
	UserData        Signal `json:"ad_user_data"`
	Personalization Signal `json:"ad_personalization"`
}

// Signal is one answer to Google's consent mode; its zero value is no.
type Signal bool

// MarshalText prints the signal in Google's words.
func (s Signal) MarshalText() ([]byte, error) {
	if s {
		return []byte("GRANTED"), nil
	}
	return []byte("DENIED"), nil
}

// PayloadItem is one event of a payload. Params holds strings, json.Number,
// and under "items" a list of such maps.
type PayloadItem struct {
	Name            string         `json:"name"`
	TimestampMicros int64          `json:"timestamp_micros"`
	Params          map[string]any `json:"params"`

	source *collector.Event // the event this came from; nil for campaign_details
}

// Losses counts what the mapping had to change to stay within Google's limits
// and Sluice's promise.
type Losses struct {
	Renamed  int // names that Google would not take
	Cut      int // texts longer than 100 characters
	Redacted int // texts that held an address or an e-mail
	Dropped  int // params for which there was no room or no valid form
}

// byName are the losses by the words under which they are counted.
func (l Losses) byName() map[string]int {
	out := map[string]int{}
	if l == (Losses{}) {
		return out
	}
	for name, n := range map[string]int{"renamed": l.Renamed, "cut": l.Cut, "redacted": l.Redacted, "left out": l.Dropped} {
		if n > 0 {
			out[name] = n
		}
	}
	return out
}

func (l *Losses) add(m Losses) {
	l.Renamed += m.Renamed
	l.Cut += m.Cut
	l.Redacted += m.Redacted
	l.Dropped += m.Dropped
}

// encode returns the payload's bytes, the same for the same payload.
func (p Payload) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// build maps events, all of one group, to a payload.
func build(events []*collector.Event, o Options, ads collector.AdConsent) (Payload, Losses) {
	first := events[0]
	p := Payload{
		ClientID: first.GAClientID, Consent: AdConsent{Signal(ads.UserData), Signal(ads.Personalization)},
		UserLocation: location(first, o.Region), Device: device(first),
	}
	var losses Losses
	for _, ev := range events {
		b := builder{o: o, ev: ev, params: map[string]any{}}
		if ev.SessionFirst {
			if item, ok := b.campaign(); ok {
				p.Events = append(p.Events, item)
			}
		}
		p.Events = append(p.Events, b.item())
		b.userProperties(&p)
		losses.add(b.losses)
	}
	return p, losses
}

func location(ev *collector.Event, region bool) *Location {
	c := strings.ToUpper(ev.Country)
	if len(c) != 2 || !isLetter(c[0]) || !isLetter(c[1]) {
		return nil
	}
	l := &Location{CountryID: c}
	if region && regionForm.MatchString(ev.Region) && strings.HasPrefix(ev.Region, c+"-") {
		l.RegionID = ev.Region
	}
	return l
}

// regionForm is ISO 3166-2.
var regionForm = regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`)

// device leaves out versions and language: together they would tell browsers
// apart.
func device(ev *collector.Event) *Device {
	d := Device{Category: strings.ToLower(ev.Device), OperatingSystem: ev.OS, Browser: ev.Browser}
	if d == (Device{}) {
		return nil
	}
	return &d
}

// builder makes the payload's items of one event.
type builder struct {
	o      Options
	ev     *collector.Event
	params map[string]any
	losses Losses
}

// item maps the event itself. Its params come in order of worth: the session,
// the page, the money, then the properties by name until 25 are full.
func (b *builder) item() PayloadItem {
	ev := b.ev
	b.session(b.params, max(1, ev.EngagementMS))
	b.text("page_location", b.pageLocation())
	b.text("page_referrer", ev.Referrer)
	b.text("page_title", ev.Title)
	b.revenue()
	if items := b.items(); len(items) > 0 {
		b.params["items"] = items
	}
	name, renamed := nameOf(ev)
	if renamed {
		b.losses.Renamed++
	}
	if name == purchase {
		b.transaction()
	}
	b.props()
	b.standard()
	return PayloadItem{Name: name, TimestampMicros: ev.Time.UnixMicro(), Params: b.params, source: ev}
}

// purchase is the one event that Google counts once however often it comes, by
// its transaction.
const (
	purchase      = "purchase"
	transactionID = "transaction_id"
)

// transaction gives a purchase its transaction before any property can take
// the room: the site's own, else the event's id.
func (b *builder) transaction() {
	for _, p := range b.ev.Props {
		if p.Key == transactionID {
			if value := b.scalar(p.Value); value != nil {
				b.params[transactionID] = value
				return
			}
		}
	}
	b.text(transactionID, b.ev.ID)
}

// standard adds what Google's own events say beside the properties: where a
// link leads out, that an error did not end the page.
func (b *builder) standard() {
	add := func(param, value string) {
		if _, there := b.params[param]; !there && len(b.params) < judge.MaxParams {
			b.text(param, value)
		}
	}
	switch b.ev.Name {
	case consent.EventOutboundLink:
		add("outbound", "true")
		if link, _ := b.params["link_url"].(string); link != "" {
			if u, err := url.Parse(link); err == nil {
				add("link_domain", u.Hostname())
			}
		}
	case consent.EventError:
		add("fatal", "false")
	}
}

// campaign maps what brought a session here. Google learns a source only from
// a tag or from this event; it counts for the events behind it.
func (b *builder) campaign() (PayloadItem, bool) {
	ev := b.ev
	source, medium := ev.UTMSource, ev.UTMMedium
	if source == "" && medium == "" && ev.UTMCampaign == "" {
		if ev.Referrer == "" || ev.Source == "" {
			return PayloadItem{}, false
		}
		source, medium = strings.ToLower(ev.Source), mediumOf(ev.Channel)
	}
	c := builder{o: b.o, ev: ev, params: map[string]any{}}
	c.session(c.params, 1)
	c.text("campaign", ev.UTMCampaign)
	c.text("source", source)
	c.text("medium", medium)
	c.text("term", ev.UTMTerm)
	c.text("content", ev.UTMContent)
	b.losses.add(c.losses)
	return PayloadItem{Name: "campaign_details", TimestampMicros: ev.Time.UnixMicro(), Params: c.params}, true
}

// mediumOf names a medium by which Google finds the channel that Sluice found.
func mediumOf(channel string) string {
	switch {
	case channel == "Organic Search":
		return "organic"
	case channel == "Email":
		return "email"
	case strings.HasPrefix(channel, "Paid"):
		return "cpc"
	}
	return "referral"
}

// session gives the two params without which Google counts no session and no
// engaged user.
func (b *builder) session(params map[string]any, engagementMS uint32) {
	params["session_id"] = b.o.sessionID(b.ev)
	params["engagement_time_msec"] = json.Number(strconv.FormatUint(uint64(engagementMS), 10))
}

// pageLocation is the page's address. A query that does not fit into Google's
// 100 characters is left out whole: half a query is another page.
func (b *builder) pageLocation() string {
	scheme := "http"
	if b.o.Secure {
		scheme = "https"
	}
	if whole := b.ev.PageURL(scheme); utf8.RuneCountInString(whole) <= judge.MaxValue {
		return whole
	}
	page, _, _ := strings.Cut(b.ev.PageURL(scheme), "?")
	return page
}

func (b *builder) revenue() {
	if b.ev.Revenue == "" {
		return
	}
	if v, err := strconv.ParseFloat(b.ev.Revenue, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
		b.params["value"] = number(v)
		b.params["currency"] = b.ev.Currency
	}
}

// props fills what room is left, by name, so that the same event always gives
// the same payload. What Sluice itself says is not overwritten.
func (b *builder) props() {
	for _, p := range inOrder(b.ev.Props) {
		if strings.HasPrefix(p.Key, collector.UserProperty) {
			continue // see userProperties
		}
		name, renamed := paramName(b.ev.Name, p.Key)
		if p.Key == transactionID && b.params[transactionID] != nil {
			continue // see transaction
		}
		value := b.scalar(p.Value)
		if _, taken := b.params[name]; taken || value == nil || len(b.params) >= judge.MaxParams {
			b.losses.Dropped++
			continue
		}
		if judge.NumericParam(name) {
			if value = asNumber(value); value == nil {
				b.losses.Dropped++
				continue
			}
		}
		if renamed {
			b.losses.Renamed++
		}
		b.params[name] = value
	}
}

// inOrder are properties by key, as those of events that were just taken are
// already.
func inOrder(props []collector.Prop) []collector.Prop {
	byKey := func(x, y collector.Prop) int { return strings.Compare(x.Key, y.Key) }
	if slices.IsSortedFunc(props, byKey) {
		return props
	}
	props = slices.Clone(props)
	slices.SortStableFunc(props, byKey)
	return props
}

// userProperties adds what the event says of the visitor, in the order of the
// names; of two events the later one counts.
func (b *builder) userProperties(to *Payload) {
	for _, p := range inOrder(b.ev.Props) {
		key, ok := strings.CutPrefix(p.Key, collector.UserProperty)
		if !ok {
			continue
		}
		value := b.scalar(p.Value)
		if text, isText := value.(string); isText && utf8.RuneCountInString(text) > judge.MaxPropertyValue {
			b.losses.Cut++
			value = string([]rune(text)[:judge.MaxPropertyValue])
		}
		_, there := to.UserProperties[key]
		if value == nil || judge.PropertyName(key) != "" || !there && len(to.UserProperties) >= judge.MaxProperties {
			b.losses.Dropped++
			continue
		}
		if to.UserProperties == nil {
			to.UserProperties = map[string]PropertyValue{}
		}
		to.UserProperties[key] = PropertyValue{value}
	}
}

func (b *builder) text(name, s string) {
	if v := b.clean(s); v != "" {
		b.params[name] = v
	}
}

// scalar returns v as Google takes it: a text or a number, nil for neither.
func (b *builder) scalar(v any) any {
	switch v := v.(type) {
	case string:
		if s := b.clean(v); s != "" {
			return s
		}
	case bool: // the protocol knows none
		return strconv.FormatBool(v)
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return number(v)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return number(f)
		}
	}
	return nil
}

// clean takes addresses and e-mails out of s and cuts it to Google's length.
func (b *builder) clean(s string) string {
	out := judge.Redact(strings.ToValidUTF8(s, "\uFFFD"), "redacted", b.ev.Hostname)
	if out != s {
		b.losses.Redacted++
	}
	if utf8.RuneCountInString(out) > judge.MaxValue {
		b.losses.Cut++
		out = string([]rune(out)[:judge.MaxValue])
	}
	return out
}

func number(f float64) json.Number { return json.Number(strconv.FormatFloat(f, 'f', -1, 64)) }

// asNumber reads a number out of v; nil where there is none.
func asNumber(v any) any {
	switch v := v.(type) {
	case json.Number:
		return v
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return number(f)
		}
	}
	return nil
}

func isLetter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }
