package ga4

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"sluice/collector"
	"sluice/collector/ga4/judge"
)

// DefaultEndpoint is Google's collection server in the EU.
const DefaultEndpoint = "https://region1.google-analytics.com/mp/collect"

// Options of a [Destination]. MeasurementID and APISecret are required.
type Options struct {
	MeasurementID string
	APISecret     collector.Secret
	Endpoint      string // replaces the Measurement Protocol's URL; "": DefaultEndpoint
	Secure        bool   // the site's pages are https
	Region        bool   // Google may know the region beside the country
	Relay         bool   // what gtag.js measured goes on in gtag's own format, see relay.go
}

// Destination is one property of Google Analytics.
type Destination struct {
	o     Options
	url   collector.Secret
	query url.Values

	relayPath  string
	relayQuery url.Values // of the endpoint itself
}

// New checks the options. The error names what is wrong with them; it never
// holds the secret.
func New(o Options) (*Destination, error) {
	switch {
	case o.MeasurementID == "":
		return nil, errors.New("no measurement ID")
	case o.APISecret == "":
		return nil, errors.New("no API secret")
	case o.Endpoint == "":
		o.Endpoint = DefaultEndpoint
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, errors.New("endpoint is not a URL") // the parser's error would repeat it, and it may hold a key
	}
	d := &Destination{o: o, relayPath: relayPath(u.Path), relayQuery: u.Query()}
	q := u.Query()
	q.Set("measurement_id", o.MeasurementID)
	q.Set("api_secret", string(o.APISecret))
	u.RawQuery = q.Encode()
	d.url, d.query = collector.Secret(u.String()), q
	return d, nil
}

// URL is the endpoint with the property and the secret in its query.
func (d *Destination) URL() collector.Secret { return d.url }

// Person is the client id.
func (d *Destination) Person(ev *collector.Event) string { return ev.GAClientID }

// Fits keeps a request to 25 events of one client in one place with one device.
func (d *Destination) Fits(load []*collector.Event, next *collector.Event) bool {
	if relayed := d.relays(load[0]); relayed || d.relays(next) {
		return relayed && d.relays(next) && len(load) < judge.MaxEvents && d.samePage(load[0], next)
	}
	items := itemsOf(next)
	for _, ev := range load {
		items += itemsOf(ev)
	}
	first := load[0]
	return items <= judge.MaxEvents && first.Country == next.Country && (!d.o.Region || first.Region == next.Region) &&
		first.Device == next.Device && first.OS == next.OS && first.Browser == next.Browser
}

// itemsOf is how many items of a payload an event can become:
// campaign_details goes before the first of a session.
func itemsOf(ev *collector.Event) int {
	if ev.SessionFirst {
		return 2
	}
	return 1
}

// Repeatable is true of purchases alone: of all events Google drops only those
// that it gets twice, by their transaction.
func (d *Destination) Repeatable(ev *collector.Event) bool {
	name, _ := nameOf(ev)
	return name == purchase
}

// header is that of every request.
var header = http.Header{"Content-Type": {"application/json"}}

// Pack maps events to a payload and has it judged.
func (d *Destination) Pack(events []*collector.Event, ads collector.AdConsent, now time.Time) (collector.Parcel, error) {
	if d.relays(events[0]) {
		return d.packHits(events, ads, now), nil
	}
	payload, losses := build(events, d.o, ads)
	body, err := payload.encode()
	if err != nil {
		return collector.Parcel{}, err
	}
	out := collector.Parcel{Header: header, Body: body, Changed: losses.byName()}
	v := judge.Judge(judge.Request{
		Method: http.MethodPost, Query: d.query, Header: header, Body: body, At: now, OwnHosts: hosts(events),
	}, judge.Relaxed)
	switch {
	case v.Refused != "" || v.WrongMethod || v.Invisible || len(v.Violations) > 0:
		rule := wholeRule(v)
		for _, ev := range events {
			out.Unfit = append(out.Unfit, collector.Unfit{Event: ev, Rule: rule})
		}
	case len(v.Dropped) > 0:
		for _, dropped := range v.Dropped {
			out.Unfit = append(out.Unfit, collector.Unfit{Event: payload.Events[dropped.Index].source, Rule: eventRule(v, dropped)})
		}
	}
	for _, m := range v.Flags {
		out.Changed[ruleName(m)]++
	}
	return out, nil
}

// wholeRule names the rule that a whole request breaks.
func wholeRule(v judge.Verdict) string {
	switch {
	case len(v.Violations) > 0:
		return "rule 22 privacy"
	case len(v.Messages) > 0:
		return ruleName(v.Messages[0])
	case v.Invisible:
		return "rule 7 " + string(judge.ValueInvalid)
	}
	return "rule 1"
}

// eventRule names the rule for which one event is dropped: the verdict's first
// message of its code.
func eventRule(v judge.Verdict, e judge.Event) string {
	for _, m := range v.Messages {
		if m.Code == e.Reason {
			return ruleName(m)
		}
	}
	return string(e.Reason)
}

func ruleName(m judge.Message) string { return fmt.Sprintf("rule %d %s", m.Rule, m.Code) }

// hosts are the pages' own: where one is a literal address it is the site's.
func hosts(events []*collector.Event) []string {
	var out []string
	for _, ev := range events {
		if !slices.Contains(out, ev.Hostname) {
			out = append(out, ev.Hostname)
		}
	}
	return out
}

// sessionID is the session under which gtag has the visit, where its cookie
// said so, else the session's first second.
func (o Options) sessionID(ev *collector.Event) string {
	if id := collector.GoogleSession(ev.GASessions, o.MeasurementID); id != "" {
		return id
	}
	start := ev.SessionStart
	if start <= 0 {
		start = ev.Time.Unix()
	}
	return strconv.FormatInt(start, 10)
}
