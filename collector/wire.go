package collector

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sluice/collector/enrich"
	"sluice/consent"
)

// Limits of a request and its events (design, section 6). Strings longer than
// their limit are cut and counted; what identifies (id, name) is refused.
const (
	maxBody   = 64 << 10
	maxEvents = 100

	maxID        = 64
	maxName      = 120
	maxTitle     = 500
	maxProps     = 30
	maxPropKey   = 300
	maxPropValue = 2000
	maxItems     = 200 // as gtag sends at most
	maxVisitor   = 64
	maxSession   = 80
)

// Engagement names the pings by which the script reports how long a page was
// in view. The name is reserved: an event called so must carry engagement_ms.
const Engagement = "engagement"

// maxEngagement bounds what one ping may claim.
const maxEngagement = 24 * time.Hour

// envelope is the body of POST /_s/e. Its events stay undecoded until the
// token has been found good, and one that is malformed costs no other.
type envelope struct {
	Site   string            `json:"site"`
	Token  string            `json:"token"`
	Sent   *float64          `json:"sent"`
	Events []json.RawMessage `json:"events"`
}

// decodeEnvelope reads a body. Errors: consent.ErrNotJSON, consent.ErrTooLarge,
// *consent.FieldError.
func decodeEnvelope(body []byte) (envelope, error) {
	var in envelope
	if err := consent.DecodeJSON(body, &in); err != nil {
		return envelope{}, err
	}
	var bad consent.FieldError
	if in.Site == "" {
		bad.Add("site", "is missing: send the domain that the script tag names in data-site")
	}
	if in.Events == nil {
		bad.Add("events", "is missing: send an array of 1 to %d events", maxEvents)
	}
	if err := bad.OrNil(); err != nil {
		return envelope{}, err
	}
	if len(in.Events) > maxEvents {
		return envelope{}, fmt.Errorf("%d events in one body, at most %d: %w", len(in.Events), maxEvents, consent.ErrTooLarge)
	}
	return in, nil
}

// wireEvent is an event as it was sent.
type wireEvent struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	URL          string          `json:"url"`
	Title        string          `json:"title"`
	Referrer     string          `json:"referrer"`
	TS           *float64        `json:"ts"`
	Visitor      string          `json:"visitor"`
	Session      string          `json:"session"`
	Props        map[string]any  `json:"props"`
	Revenue      *revenue        `json:"revenue"`
	Items        json.RawMessage `json:"items"`
	Screen       []float64       `json:"screen"`
	EngagementMS *float64        `json:"engagement_ms"`
}

type revenue struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// tidied counts what was changed on the way in, for the counters.
type tidied struct{ cut, masked int }

func (t *tidied) clean(s string, limit int) string {
	s, cut := enrich.Cut(enrich.Clean(s), limit)
	if cut {
		t.cut++
	}
	return s
}

// text is clean for what people write, which may hold more than they meant.
func (t *tidied) text(s string, limit int) string {
	s, n := enrich.Mask(t.clean(s, limit))
	t.masked += n
	return s
}

// shaped is an event of the right shape, before anything was looked up.
type shaped struct {
	event   Event // ID, Name and what the client measured
	address enrich.Address
	ts      *float64
	wire    *wireEvent // for Visitor, Session and Referrer
}

// shape decodes one event and checks it; ok is false for an invalid one.
func shape(raw json.RawMessage, t *tidied) (s shaped, ok bool) {
	w := new(wireEvent)
	if json.Unmarshal(raw, w) != nil {
		return shaped{}, false
	}
	s.wire, s.ts = w, w.TS
	e := &s.event
	e.ID, e.Name = enrich.Clean(w.ID), enrich.Clean(w.Name)
	if e.Name == "" || longer(e.Name, maxName) || longer(e.ID, maxID) {
		return shaped{}, false
	}
	if s.address, ok = enrich.ParseAddress(strings.TrimSpace(w.URL)); !ok {
		return shaped{}, false
	}
	e.Title = t.text(w.Title, maxTitle)
	return s, e.engagement(w) && e.screen(w.Screen) && e.revenue(w.Revenue) && e.props(w.Props, t) && e.items(w.Items, t)
}

// longer reports whether s has more than limit characters.
func longer(s string, limit int) bool {
	_, more := enrich.Cut(s, limit)
	return more
}

func (e *Event) engagement(w *wireEvent) bool {
	if w.EngagementMS == nil {
		return e.Name != Engagement
	}
	ms := *w.EngagementMS
	if !(ms >= 0) {
		return false
	}
	e.EngagementMS = uint32(min(ms, float64(maxEngagement.Milliseconds())))
	return true
}

func (e *Event) screen(wh []float64) bool {
	if wh == nil {
		return true
	}
	if len(wh) != 2 || !(wh[0] >= 0 && wh[1] >= 0 && wh[0] <= math.MaxUint16 && wh[1] <= math.MaxUint16) {
		return false
	}
	e.ScreenWidth, e.ScreenHeight = uint16(wh[0]), uint16(wh[1])
	return true
}

func (e *Event) revenue(r *revenue) bool {
	if r == nil {
		return true
	}
	e.Revenue, e.Currency = r.Amount, strings.ToUpper(r.Currency)
	return isAmount(e.Revenue) && isCurrency(e.Currency)
}

// isAmount accepts what Decimal(18, 4) holds: "-12345678901234.5678".
func isAmount(s string) bool {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return whole != "" && len(whole) <= 14 && isDigits(whole) &&
		(!point || fraction != "" && len(fraction) <= 4 && isDigits(fraction))
}

// isCurrency accepts the form of an ISO 4217 code. Which of them exist changes
// more often than this program.
func isCurrency(s string) bool {
	return len(s) == 3 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// props keeps properties in the order of their keys, so that the same event
// has the same bytes. A null is a property that is not there.
func (e *Event) props(in map[string]any, t *tidied) bool {
	if len(in) > maxProps {
		return false
	}
	for key, value := range in {
		p := Prop{Key: t.clean(key, maxPropKey)}
		switch v := value.(type) {
		case nil:
			continue
		case string:
			p.Value = t.text(v, maxPropValue)
		case float64, bool:
			p.Value = v
		default:
			return false
		}
		e.Props = append(e.Props, p)
	}
	slices.SortFunc(e.Props, func(a, b Prop) int { return strings.Compare(a.Key, b.Key) })
	return true
}

// items keeps the array as JSON, each item an object of strings, numbers and
// booleans, every string cleaned. HTML's own characters are escaped.
func (e *Event) items(raw json.RawMessage, t *tidied) bool {
	if len(raw) == 0 || string(raw) == "null" {
		return true
	}
	var in []map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber() // a price stays as it was written
	if decoder.Decode(&in) != nil || len(in) > maxItems {
		return false
	}
	for i, item := range in {
		out := make(map[string]any, len(item))
		for key, value := range item {
			switch v := value.(type) {
			case string:
				out[t.clean(key, maxPropKey)] = t.text(v, maxPropValue)
			case json.Number, bool:
				out[t.clean(key, maxPropKey)] = v
			case nil:
			default:
				return false
			}
		}
		in[i] = out
	}
	b, err := json.Marshal(in)
	e.Items = string(b)
	return err == nil
}
