package forward

import (
	"time"

	"sluice/collector"
)

// Destination is how events are told to one recipient. It is a mapping without
// state: consent, order, retries and the wire are the sink's. Its methods are
// called from several goroutines.
type Destination interface {
	// URL is where requests go. It may hold secrets, so it is never printed. A
	// name that leads to an address inside is refused at send time; a literal
	// address is the operator's permission for exactly that one.
	URL() collector.Secret
	// Person is whom the recipient knows an event's visitor as. Events of one
	// person reach it in order. "": nobody, and then order does not matter.
	Person(ev *collector.Event) string
	// Fits reports whether next may share a request with the events before it:
	// of the same person, under the same token, at least one.
	Fits(load []*collector.Event, next *collector.Event) bool
	// Pack maps events to a request, at the moment now. The same events give
	// the same body. An error means a bug: none of them can be sent.
	Pack(events []*collector.Event, ads collector.AdConsent, now time.Time) (collector.Parcel, error)
	// Repeatable reports whether the recipient drops the event if it gets it
	// twice.
	Repeatable(ev *collector.Event) bool
}

// Judge is a [Destination] whose recipient answers 2xx also where it keeps
// nothing of an event, and says so in the body.
type Judge interface {
	// Refused returns the places of the events, of the n in a request, that the
	// recipient refuses. body is the beginning of its answer, up to 4 KiB.
	Refused(body []byte, n int) []int
}
