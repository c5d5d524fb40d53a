package collector

import (
	"fmt"
	"time"

	"sluice/collector/jsonreader"
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

// envelope is the body of POST /_s/e.
type envelope struct {
	site, token string
	sent        jsonreader.Optional
	debug       bool // explain each event
	driven      bool // navigator.webdriver: a program controls the browser
	events      []wireEvent
}

// decodeEnvelope reads a body. Errors: consent.ErrNotJSON, consent.ErrTooLarge,
// *consent.FieldError.
func decodeEnvelope(body []byte) (envelope, error) {
	var in envelope
	var bad consent.FieldError
	r := jsonreader.New(string(body))
	count := -1 // no events
	complain := func(name, want string, read func(wrong *bool)) {
		wrong := false
		if read(&wrong); wrong {
			bad.Add(name, "is not %s", want)
		}
	}
	complain("body", "an object", func(wrong *bool) {
		if !r.Is('{', wrong) {
			return
		}
		r.Object(func(key string) {
			switch key {
			case "site":
				complain(key, "a string", func(wrong *bool) { r.TextInto(&in.site, wrong) })
			case "token":
				complain(key, "a string", func(wrong *bool) { r.TextInto(&in.token, wrong) })
			case "sent":
				complain(key, "a time in Unix ms", func(wrong *bool) { r.NumberInto(&in.sent, wrong) })
			case "driven": // anything but true says nothing
				in.driven = r.Skip() == "true"
			case "events":
				in.events = make([]wireEvent, 0, min(len(body)/usualEvent+1, maxEvents))
				complain(key, "an array", func(wrong *bool) { in.events, count = readEvents(&r, in.events, wrong) })
			case "debug":
				in.debug = r.Skip() == "true"
			default:
				r.Skip()
			}
		})
	})
	r.End()
	if r.Failed() {
		return envelope{}, fmt.Errorf("at byte %d: %w", r.Offset(), consent.ErrNotJSON)
	}
	if len(bad.Fields) == 0 {
		if in.site == "" {
			bad.Add("site", "is missing: send the domain that the script tag names in data-site")
		}
		if count < 0 {
			bad.Add("events", "is missing: send an array of 1 to %d events", maxEvents)
		}
	}
	if err := bad.OrNil(); err != nil {
		return envelope{}, err
	}
	if count > maxEvents {
		return envelope{}, fmt.Errorf("%d events in one body, at most %d: %w", count, maxEvents, consent.ErrTooLarge)
	}
	return in, nil
}

// usualEvent is how many bytes of a body an event has, or more.
const usualEvent = 600

// readEvents appends the array of events, at most maxEvents of them, and says
// how many there were; -1 for null.
func readEvents(r *jsonreader.Reader, events []wireEvent, wrong *bool) (_ []wireEvent, count int) {
	if !r.Is('[', wrong) {
		return nil, -1
	}
	r.Array(func() {
		if count++; count > maxEvents {
			r.Skip()
			return
		}
		events = append(events, wireEvent{})
		events[len(events)-1].read(r)
	})
	return events, count
}

// wireEvent is an event as it was sent.
type wireEvent struct {
	id, name, url, title, referrer string
	visitor, session               string
	ts, engagementMS               jsonreader.Optional
	props                          []Prop // a Value is a string, a float64 or a bool
	revenue                        *revenue
	items                          string // JSON
	screen                         []float64
	wrong                          bool   // a field has the wrong type
	problem                        string // the first such field, and what it has to be

	// What foreign doors (plausible.go, umami.go, goatcounter.go) find as well.
	fragment string // part of the path, on sites that route by it
	driven   bool   // by a program, as the tracker found
	cut      int    // properties for which there was no room
	google   *googleHit
}

// fields says what each field of an event has to be.
var fields = map[string]string{
	"id": "is not a string", "name": "is not a string", "url": "is not a string", "title": "is not a string",
	"referrer": "is not a string", "visitor": "is not a string", "session": "is not a string",
	"ts": "is not a time in Unix ms", "engagement_ms": "is not a number of ms",
	"props":   "is not an object of at most 30 strings, numbers and booleans",
	"revenue": "is not an object with amount and currency, both strings: {amount: '9.90', currency: 'EUR'}",
	"items":   "is not an array",
	"screen":  "is not an array of two numbers",
}

type revenue struct{ amount, currency string }

// read reads one event. Whatever is wrong with it, the next one is intact.
func (w *wireEvent) read(r *jsonreader.Reader) {
	if r.Next() != '{' { // an event that is null is none
		r.Skip()
		w.wrong, w.problem = true, "is not an object"
		return
	}
	r.Object(func(key string) {
		switch key {
		case "id":
			r.TextInto(&w.id, &w.wrong)
		case "name":
			r.TextInto(&w.name, &w.wrong)
		case "url":
			r.TextInto(&w.url, &w.wrong)
		case "title":
			r.TextInto(&w.title, &w.wrong)
		case "referrer":
			r.TextInto(&w.referrer, &w.wrong)
		case "visitor":
			r.TextInto(&w.visitor, &w.wrong)
		case "session":
			r.TextInto(&w.session, &w.wrong)
		case "ts":
			r.NumberInto(&w.ts, &w.wrong)
		case "engagement_ms":
			r.NumberInto(&w.engagementMS, &w.wrong)
		case "props":
			w.readProps(r)
		case "revenue":
			w.readRevenue(r)
		case "screen":
			w.readScreen(r)
		case "items":
			if r.Is('[', &w.wrong) {
				w.items = r.Skip()
			}
		default:
			r.Skip()
		}
		if w.wrong && w.problem == "" {
			w.problem = key + " " + fields[key]
		}
	})
}

func (w *wireEvent) readProps(r *jsonreader.Reader) {
	if !r.Is('{', &w.wrong) {
		return
	}
	w.props = nil
	r.Object(func(key string) {
		switch c := r.Next(); c {
		case '"':
			w.props = append(w.props, Prop{key, r.Text()})
		case 't', 'f':
			w.props = append(w.props, Prop{key, r.Skip() == "true"})
		default:
			var n jsonreader.Optional
			if r.NumberInto(&n, &w.wrong); n.Set {
				w.props = append(w.props, Prop{key, n.Value})
			}
		}
		if len(w.props) > maxProps {
			w.wrong, w.props = true, nil
		}
	})
}

func (w *wireEvent) readRevenue(r *jsonreader.Reader) {
	if !r.Is('{', &w.wrong) {
		return
	}
	w.revenue = new(revenue)
	r.Object(func(key string) {
		switch key {
		case "amount":
			r.TextInto(&w.revenue.amount, &w.wrong)
		case "currency":
			r.TextInto(&w.revenue.currency, &w.wrong)
		default:
			r.Skip()
		}
	})
}

func (w *wireEvent) readScreen(r *jsonreader.Reader) {
	if !r.Is('[', &w.wrong) {
		return
	}
	w.screen = []float64{}
	r.Array(func() {
		var n jsonreader.Optional
		if r.NumberInto(&n, &w.wrong); len(w.screen) < 3 {
			w.screen = append(w.screen, n.Value)
		}
	})
}
