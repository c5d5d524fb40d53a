package dashboards

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/consent"
	"sluice/dashboards/query"
)

// Waiting says what waits to be sent to each destination.
type Waiting map[string]Queue

// Queue is what waits for one destination.
type Queue struct {
	Events uint64    // that were tried, or stand behind such
	Oldest time.Time // when the oldest of them happened; zero: none waits
	// Unread are records that the forwarder has not looked at yet: an upper
	// bound of what is still to come, for not every record is an event of the
	// site's that may be sent.
	Unread uint64
}

func (q Queue) words() string {
	if q.Unread == 0 {
		return plainCount(q.Events)
	}
	return fmt.Sprintf("%s and up to %s not looked at yet", plainCount(q.Events), plainCount(q.Unread))
}

// within is the part of a queue that n events can be.
func (q Queue) within(n uint64) Queue {
	q.Events = min(q.Events, n)
	q.Unread = min(q.Unread, n-q.Events)
	return q
}

// Forwards is the panel about what was sent on to others.
type Forwards struct {
	Destinations []Destination
	Received     string // events that reached the doors
	Stored       string // of these, events that passed the gate
	Path         string // of the page about Google Analytics; "" where nothing is forwarded
	Failed       bool
}

// Destination is a recipient and how the way to it ended. Acknowledged means
// that it answered 2xx, which promises no more than that the request arrived.
type Destination struct {
	Name         string
	Sent         string // acknowledged or not: a request with it left
	Acknowledged string
	Waiting      string // "" where nobody knows
	Oldest       string // for how long; "" where nothing waits
	Cancelled    string
	Dead         string
	Reasons      []Line // of what was cancelled or is dead
	Changed      []Line // what the recipient's limits made of events
}

// tally is what the outcomes say of one destination.
type tally struct{ states, reasons map[string]uint64 }

// askForwards reads outcomes and counters; waiting is nil where nobody knows.
func askForwards(ctx context.Context, db query.Querier, v View, waiting Waiting, now time.Time) (Forwards, error) {
	outcomes, err := query.Outcomes(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return Forwards{Failed: true}, err
	}
	counts, err := query.CountsIn(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return Forwards{Failed: true}, err
	}
	by := tallies(outcomes, waiting)
	accepted, refused := counts.Total(consent.CountEvent), counts.Total(consent.CountRefusal)
	out := Forwards{Received: total(accepted+refused, accepted, refused), Stored: atLeast(accepted)}
	if len(by) > 0 {
		out.Path = sitePath(v.Site.Domain) + "/google-analytics"
	}
	for _, name := range sortedKeys(by) {
		t := by[name]
		count := func(state string) string { return plainCount(t.states[state]) }
		d := Destination{
			Name: visible(name), Acknowledged: count("acknowledged"), Cancelled: count("cancelled"), Dead: count("dead"),
			Sent:    plainCount(t.sent()),
			Reasons: byCount(t.reasons, plainCount), Changed: byCount(changedAt(counts, name), atLeast),
		}
		if q, known := waiting[name]; known {
			d.Waiting = q.words()
			if !q.Oldest.IsZero() {
				d.Oldest = duration(max(0, now.Sub(q.Oldest)))
			}
		}
		out.Destinations = append(out.Destinations, d)
	}
	return out, nil
}

// tallies sums outcomes by destination, those for which something waits alone
// among them.
func tallies(outcomes []query.Outcome, waiting Waiting) map[string]tally {
	by := map[string]tally{}
	at := func(name string) tally {
		if _, known := by[name]; !known {
			by[name] = tally{map[string]uint64{}, map[string]uint64{}}
		}
		return by[name]
	}
	for name := range waiting {
		at(name)
	}
	for _, o := range outcomes {
		t := at(o.Destination)
		t.states[o.State] += o.N
		if o.Reason != "" {
			t.reasons[sentence(o.State)+": "+cmp.Or(reasonNames[o.Reason], forwardReasons[o.Reason], sentence(o.Reason))] += o.N
		}
	}
	return by
}

// sent is what left in a request, as far as outcomes tell: answered, or given
// up after tries.
func (t tally) sent() uint64 {
	return t.states["acknowledged"] + t.reasons["Dead: "+forwardReasons["rejected"]] + t.reasons["Dead: "+forwardReasons["exhausted"]]
}

// forwardReasons name the reasons that are the forwarder's own.
var forwardReasons = map[string]string{
	"too_old": "Waited for 24 hours", "rejected": "The recipient refused the request", "exhausted": "Tried as often as is safe",
	"queue_full": "The recipient was away and the queue was full", "spool_full": "The server's spool needed the room",
	"unconfigured": "The service was removed from the configuration", "erased": "The visitor asked for erasure",
}

// changedAt are the counts of what was changed on the way to a destination.
func changedAt(counts query.Counts, name string) map[string]uint64 {
	out := map[string]uint64{}
	for key, n := range counts[consent.CountChanged] {
		if what, ok := strings.CutPrefix(key, name+" "); ok {
			out[cmp.Or(changedNames[what], sentence(what))] += n
		}
	}
	return out
}

var changedNames = map[string]string{
	"renamed": "Names that the recipient does not take, changed", "cut": "Texts longer than the recipient takes, cut",
	"redacted": "Texts that held an address or an e-mail, blanked", "left out": "Parameters without room or a valid form, left out",
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// byCount lists counts, most first.
func byCount(counts map[string]uint64, write func(uint64) string) []Line {
	var out []Line
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	for _, key := range keys {
		out = append(out, Line{Label: visible(key), Values: []string{write(counts[key])}})
	}
	return out
}

func plainCount(n uint64) string { return thousands(float64(n)) }

// small reports whether a count could be somebody's.
func small(n uint64) bool { return n > 0 && n < SmallCell }

// atLeast writes a small count as less than SmallCell.
func atLeast(n uint64) string { return total(n, n) }

// total writes a sum of which some parts are written by atLeast. Where one of
// them is small it is a bound, from which no subtraction leads to the part.
func total(n uint64, parts ...uint64) string {
	bound := n
	for _, part := range parts {
		if small(part) {
			bound += SmallCell - part
		}
	}
	if bound > n {
		return "<" + plainCount(bound)
	}
	return plainCount(n)
}
