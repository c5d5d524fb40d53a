package forward

import (
	"sluice/collector"
	"sluice/consent"
)

// Explanation says what becomes of an event on its way to a recipient, as far
// as it can be said beforehand, for whoever looks at their own events.
type Explanation struct {
	Destination string `json:"destination"`
	// Refused is why nothing is sent; "" where it is queued.
	Refused string `json:"refused,omitempty"`
	// Changed counts what the mapping changes, by a word or a rule of the
	// recipient's.
	Changed map[string]int `json:"changed,omitempty"`
}

// Why an event is not sent, beside the reasons of package consent and Invalid
// with the rule that it breaks.
const (
	fromTestHost = "test"   // pages on a test host are never forwarded
	signalled    = "signal" // Global Privacy Control came after the yes
)

// Explain asks the gate and the mapping about an event without sending or
// counting anything.
func (s *Sink) Explain(ev *collector.Event) Explanation {
	out := Explanation{Destination: s.o.Service}
	now := s.o.Now()
	t := shipment{Sink: s, events: []*collector.Event{ev}}
	v, _ := t.ask(now) // it is in no spool yet, so nothing has erased it
	switch {
	case ev.Test:
		out.Refused = fromTestHost
		return out
	case ev.NoForward:
		out.Refused = signalled
		return out
	case v.reason != consent.Live:
		out.Refused = string(v.reason)
		return out
	}
	parcel, err := s.to.Pack(t.events, v.ads, now)
	if err != nil {
		out.Refused = Invalid
		return out
	}
	if len(parcel.Unfit) > 0 {
		out.Refused = Invalid + ": " + parcel.Unfit[0].Rule
	}
	out.Changed = parcel.Changed
	return out
}
