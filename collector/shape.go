package collector

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"sluice/collector/enrich"
	"sluice/collector/jsonreader"
	"sluice/consent"
)

// tidied counts what was changed on the way in, for the counters.
type tidied struct {
	rules       *enrich.Rules // of the site
	cut, masked int
}

func (t *tidied) clean(s string, limit int) string {
	s, cut := enrich.Cut(enrich.Clean(s), limit)
	if cut {
		t.cut++
	}
	return s
}

// text is clean for what people write, which may hold more than they meant.
func (t *tidied) text(s string, limit int) string {
	s, n := t.rules.Mask(t.clean(s, limit))
	t.masked += n
	return s
}

// shaped is an event of the right shape, before anything was looked up.
type shaped struct {
	event   Event // ID, Name and what the client measured
	address enrich.Address
}

// shape checks an event; problem says what is wrong with an invalid one, in
// words without a quotation mark.
func (w *wireEvent) shape(t *tidied) (s shaped, problem string) {
	if w.wrong {
		return shaped{}, cmp.Or(w.problem, "a field has the wrong type")
	}
	e := &s.event
	e.ID, e.Name = enrich.Clean(w.id), enrich.Clean(w.name)
	switch {
	case e.Name == "":
		return shaped{}, "name is missing"
	case longer(e.Name, maxName):
		return shaped{}, "name is longer than 120 characters"
	case longer(e.ID, maxID):
		return shaped{}, "id is longer than 64 characters"
	}
	e.Name = t.text(e.Name, maxName)
	var ok bool
	if s.address, ok = enrich.ParseAddress(strings.TrimSpace(w.url)); !ok {
		return shaped{}, "url is not an absolute http or https address"
	}
	if w.fragment != "" {
		s.address.Path += "#" + w.fragment
	}
	s.address.Path = consent.EscapePath(s.address.Path) // as a browser does, which is not the only sender
	t.cut += w.cut
	e.Title = t.text(w.title, maxTitle)
	e.props(w.props, t)
	return s, cmp.Or(e.engagement(w.engagementMS), e.screen(w.screen), e.revenue(w.revenue), e.items(w.items, t))
}

// readRoute takes the fragment for a part of the path where it looks like one:
// "#/cart", "#!/cart". Any other is a place within a page.
func (w *wireEvent) readRoute() {
	if fragment := route(w.url); strings.HasPrefix(fragment, "/") || strings.HasPrefix(fragment, "!/") {
		w.fragment = fragment
	}
}

// longer reports whether s has more than limit characters.
func longer(s string, limit int) bool {
	_, more := enrich.Cut(s, limit)
	return more
}

// What follows fills in one field each, and returns what is wrong with it.

func (e *Event) engagement(ms jsonreader.Optional) string {
	switch {
	case !ms.Set && e.Name == Engagement:
		return "name engagement is reserved for events with engagement_ms"
	case ms.Value < 0:
		return "engagement_ms is negative"
	}
	e.EngagementMS = uint32(min(ms.Value, float64(maxEngagement.Milliseconds())))
	return ""
}

func (e *Event) screen(wh []float64) string {
	if wh == nil {
		return ""
	}
	if len(wh) != 2 || !(wh[0] >= 0 && wh[1] >= 0 && wh[0] <= math.MaxUint16 && wh[1] <= math.MaxUint16) {
		return "screen is not [width, height] in pixels"
	}
	e.ScreenWidth, e.ScreenHeight = uint16(wh[0]), uint16(wh[1])
	return ""
}

func (e *Event) revenue(r *revenue) string {
	if r == nil {
		return ""
	}
	e.Revenue, e.Currency = r.amount, strings.ToUpper(r.currency)
	switch {
	case !isAmount(e.Revenue):
		return "revenue.amount is not a decimal such as 9.90, in digits and a point, of at most 4 decimal places"
	case !isCurrency(e.Currency):
		return "revenue.currency is not a code of ISO 4217 such as EUR"
	}
	return ""
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
// has the same bytes; of several with one key the last. A null is a property
// that is not there.
func (e *Event) props(in []Prop, t *tidied) {
	for i := range in {
		in[i].Key = t.text(in[i].Key, maxPropKey)
		if text, ok := in[i].Value.(string); ok {
			if tidy := t.text(text, maxPropValue); tidy != text {
				in[i].Value = tidy
			}
		}
	}
	slices.Reverse(in) // so that of equal keys the last one stays
	slices.SortStableFunc(in, func(a, b Prop) int { return strings.Compare(a.Key, b.Key) })
	e.Props = slices.CompactFunc(in, func(a, b Prop) bool { return a.Key == b.Key })
}

// items keeps the array as JSON, each item an object of strings, numbers and
// booleans, every string cleaned. HTML's own characters are escaped.
func (e *Event) items(raw string, t *tidied) string {
	const problem = "items is not an array of at most 200 objects of strings, numbers and booleans"
	if raw == "" {
		return ""
	}
	var in []map[string]any
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber() // a price stays as it was written
	if decoder.Decode(&in) != nil || len(in) > maxItems {
		return problem
	}
	for i, item := range in {
		out := make(map[string]any, len(item))
		for key, value := range item {
			switch v := value.(type) {
			case string:
				out[t.text(key, maxPropKey)] = t.text(v, maxPropValue)
			case json.Number, bool:
				out[t.text(key, maxPropKey)] = v
			case nil:
			default:
				return problem
			}
		}
		in[i] = out
	}
	b, err := json.Marshal(in)
	if err != nil {
		return problem
	}
	e.Items = string(b)
	return ""
}
