package collector

import (
	"slices"
	"strconv"
	"strings"

	"sluice/collector/jsonreader"
	"sluice/consent"
)

// readPlausible reads a body of Plausible's events API
// (plausible.io/docs/events-api): the long keys of its documentation and the
// short ones of its trackers. domains are the sites it is meant for. What it
// says of engagement is two events here, as our own script sends them: how long
// the page was looked at, and how far down.
//
// As Plausible does, properties that are null, empty, lists or objects are
// passed over, and of too many the first are kept. The fragment is part of the
// path where h says that the site routes by it. Errors: consent.ErrNotJSON,
// *consent.FieldError.
func readPlausible(body string) (events []wireEvent, domains []string, err error) {
	var w wireEvent
	var domain string
	var depth jsonreader.Optional
	hash := false
	r := jsonreader.New(body)
	if r.Next() != '{' {
		return nil, nil, consent.ErrNotJSON
	}
	r.Object(func(key string) {
		switch key {
		case "n", "name":
			r.TextInto(&w.name, &w.wrong)
		case "u", "url":
			r.TextInto(&w.url, &w.wrong)
		case "d", "domain":
			r.TextInto(&domain, &w.wrong)
		case "r", "referrer":
			r.TextInto(&w.referrer, &w.wrong)
		case "p", "props", "m", "meta":
			within(&r, w.readLooseProps)
		case "$", "revenue":
			within(&r, w.readLooseRevenue)
		case "h", "hashMode":
			v := r.Skip()
			hash = v == "1" || v == "true"
		case "e":
			r.NumberInto(&w.engagementMS, &w.wrong)
		case "sd":
			r.NumberInto(&depth, &w.wrong)
		default:
			r.Skip()
		}
	})
	if r.End(); r.Failed() {
		return nil, nil, consent.ErrNotJSON
	}
	if hash {
		w.fragment = route(w.url)
	}
	events = []wireEvent{w}
	if w.name == Engagement {
		events[0].engagementMS.Set = true // older trackers tell how far was read, and not how long
		if depth.Set && depth.Value > 0 && depth.Value <= 100 {
			scroll := w
			scroll.name, scroll.engagementMS = consent.EventScroll, jsonreader.Optional{}
			scroll.props = append(slices.Clone(w.props), Prop{"percent_scrolled", depth.Value})
			events = append(events, scroll)
		}
	}
	for d := range strings.SplitSeq(domain, ",") {
		if d = strings.TrimSpace(d); d != "" {
			domains = append(domains, d)
		}
	}
	return events, domains, nil
}

// within reads a value that may be wrapped in a string, as older trackers send
// objects.
func within(r *jsonreader.Reader, read func(*jsonreader.Reader)) {
	if r.Next() != '"' {
		read(r)
		return
	}
	inner := jsonreader.New(r.Text())
	if inner.Next() != '{' { // "" or words: nothing that could be meant
		return
	}
	read(&inner)
}

// readLooseProps reads an object of properties and passes over what is no
// value. Of too many the first are kept, and the rest counts as cut.
func (w *wireEvent) readLooseProps(r *jsonreader.Reader) {
	var none bool
	if !r.Is('{', &none) {
		return
	}
	r.Object(func(key string) {
		p := Prop{Key: key}
		switch c := r.Next(); c {
		case '"':
			if text := r.Text(); text != "" {
				p.Value = text
			}
		case 't', 'f':
			p.Value = r.Skip() == "true"
		case '{', '[', 'n':
			r.Skip()
		default:
			if v, ok := r.Number(); ok {
				p.Value = v
			}
		}
		w.addProp(p)
	})
}

// addProp keeps a property that has a value, where there is room.
func (w *wireEvent) addProp(p Prop) {
	switch {
	case p.Value == nil:
	case len(w.props) >= maxProps:
		w.cut++
	default:
		w.props = append(w.props, p)
	}
}

// readLooseRevenue reads an object of amount and currency; the amount may be a
// number. An empty object, which trackers send along with tagged events, is no
// revenue.
func (w *wireEvent) readLooseRevenue(r *jsonreader.Reader) {
	var v revenue
	if !r.Is('{', &w.wrong) {
		return
	}
	r.Object(func(key string) {
		switch {
		case key == "currency":
			r.TextInto(&v.currency, &w.wrong)
		case key == "amount" && r.Next() == '"':
			v.amount = r.Text()
		case key == "amount":
			var n jsonreader.Optional
			if r.NumberInto(&n, &w.wrong); n.Set {
				v.amount = decimal(n.Value)
			}
		default:
			r.Skip()
		}
	})
	if v != (revenue{}) {
		w.revenue = &v
	}
}

// decimal writes a sum of money as it was meant: 0.1 + 0.2 is 0.3. Four places
// are what a row holds.
func decimal(v float64) string {
	s := strconv.FormatFloat(v, 'f', 4, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// route returns the fragment of an address for sites that route by it, without
// what looks like a query inside.
func route(url string) string {
	_, fragment, _ := strings.Cut(url, "#")
	fragment, _, _ = strings.Cut(fragment, "?")
	return fragment
}
