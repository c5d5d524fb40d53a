// Package webhook tells a site's own program, or a partner's, of events: JSON,
// signed after the Standard Webhooks specification. It is a
// [sluice/collector/forward.Destination].
//
// The receiver is told what a report of the event would show, and no more: no
// address, no user agent, and a visitor under a name that only this receiver
// knows (keyed with its secret).
package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/collector"
)

const (
	// secretPrefix opens a secret of the specification; base64 follows.
	secretPrefix = "whsec_"
	// minSecret and maxSecret are the specification's bounds, in bytes.
	minSecret, maxSecret = 24, 64
	// maxEvents share a request.
	maxEvents = 25
)

// Options of a [Destination]; all are required.
type Options struct {
	URL    collector.Secret // where it is posted; it may hold a key
	Secret collector.Secret // whsec_ and base64 of 24 to 64 bytes
	Secure bool             // the site's pages are https
}

// Destination is one receiver.
type Destination struct {
	url    collector.Secret
	key    []byte
	scheme string
}

// ErrSecret is a secret of another form.
var ErrSecret = errors.New(`the secret is not "whsec_" and the base64 of 24 to 64 random bytes; make one: echo "whsec_$(head -c 32 /dev/urandom | base64)"`)

// New checks the options.
func New(o Options) (*Destination, error) {
	if o.URL == "" {
		return nil, errors.New("no url")
	}
	encoded, ok := strings.CutPrefix(string(o.Secret), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
		return nil, ErrSecret
	}
	d := &Destination{url: o.URL, key: key, scheme: "http"}
	if o.Secure {
		d.scheme = "https"
	}
	return d, nil
}

// URL is the receiver's.
func (d *Destination) URL() collector.Secret { return d.url }

// Person is the visitor.
func (d *Destination) Person(ev *collector.Event) string { return ev.Visitor }

// Fits takes up to 25 events.
func (d *Destination) Fits(load []*collector.Event, _ *collector.Event) bool {
	return len(load) < maxEvents
}

// Repeatable is true of every event: webhook-id stays the same when a request
// is repeated, and an event's id in any case, so a receiver can tell.
func (d *Destination) Repeatable(*collector.Event) bool { return true }

// message is the body.
type message struct {
	Type string    `json:"type"`
	Time time.Time `json:"timestamp"` // of the first event
	Data data      `json:"data"`
}

type data struct {
	Site   string  `json:"site"`
	Events []event `json:"events"`
}

type event struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Time         time.Time       `json:"time"`
	URL          string          `json:"url"`
	Title        string          `json:"title,omitempty"`
	Referrer     string          `json:"referrer,omitempty"`
	Visitor      string          `json:"visitor"`
	SessionStart int64           `json:"session_start,omitempty"` // Unix seconds
	Source       string          `json:"source,omitempty"`
	Channel      string          `json:"channel,omitempty"`
	UTMSource    string          `json:"utm_source,omitempty"`
	UTMMedium    string          `json:"utm_medium,omitempty"`
	UTMCampaign  string          `json:"utm_campaign,omitempty"`
	UTMTerm      string          `json:"utm_term,omitempty"`
	UTMContent   string          `json:"utm_content,omitempty"`
	Country      string          `json:"country,omitempty"` // ISO 3166-1 alpha-2
	Device       string          `json:"device,omitempty"`
	Browser      string          `json:"browser,omitempty"`
	OS           string          `json:"os,omitempty"`
	Props        map[string]any  `json:"props,omitempty"`
	Revenue      *revenue        `json:"revenue,omitempty"`
	Items        json.RawMessage `json:"items,omitempty"`
	EngagementMS uint32          `json:"engagement_ms,omitempty"`
}

type revenue struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// Pack writes the message and signs it with the time now.
func (d *Destination) Pack(events []*collector.Event, _ collector.AdConsent, now time.Time) (collector.Parcel, error) {
	m := message{Type: "events", Time: events[0].Time.UTC(), Data: data{Site: events[0].Site}}
	name := sha256.New()
	for _, ev := range events {
		m.Data.Events = append(m.Data.Events, d.event(ev))
		fmt.Fprintf(name, "%s\x00%s\x00", ev.Token.Receipt, ev.ID)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return collector.Parcel{}, fmt.Errorf("encode webhook: %w", err)
	}
	body := bytes.TrimRight(b.Bytes(), "\n")
	id, at := "msg_"+hex.EncodeToString(name.Sum(nil)[:16]), strconv.FormatInt(now.Unix(), 10)
	return collector.Parcel{Body: body, Header: http.Header{
		"Content-Type": {"application/json"}, "Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {d.sign(id, at, body)},
	}}, nil
}

// sign is the specification's symmetric signature, over id.timestamp.body.
func (d *Destination) sign(id, at string, body []byte) string {
	mac := hmac.New(sha256.New, d.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (d *Destination) event(ev *collector.Event) event {
	out := event{
		ID: ev.ID, Name: ev.Name, Time: ev.Time.UTC(), URL: ev.PageURL(d.scheme), Title: ev.Title, Referrer: ev.Referrer,
		Visitor: d.pseudonym(ev), SessionStart: ev.SessionStart, Source: ev.Source, Channel: ev.Channel,
		UTMSource: ev.UTMSource, UTMMedium: ev.UTMMedium, UTMCampaign: ev.UTMCampaign, UTMTerm: ev.UTMTerm, UTMContent: ev.UTMContent,
		Country: ev.Country, Device: ev.Device, Browser: ev.Browser, OS: ev.OS,
		Items: json.RawMessage(ev.Items), EngagementMS: ev.EngagementMS,
	}
	if ev.Revenue != "" {
		out.Revenue = &revenue{ev.Revenue, ev.Currency}
	}
	for _, p := range ev.Props {
		if out.Props == nil {
			out.Props = map[string]any{}
		}
		out.Props[p.Key] = p.Value
	}
	return out
}

// pseudonym is the visitor's name at this receiver.
func (d *Destination) pseudonym(ev *collector.Event) string {
	mac := hmac.New(sha256.New, d.key)
	fmt.Fprintf(mac, "visitor\x00%s\x00%s", ev.Site, ev.Visitor)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
