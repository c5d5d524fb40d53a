package collector

import (
	"context"
	"errors"
	"strings"
	"time"

	"sluice/consent"
)

// Reasons for a refusal that the collector adds to those of consent.
const (
	Bot       consent.Reason = "bot"
	Excluded  consent.Reason = "excluded"
	Duplicate consent.Reason = "duplicate"
	Invalid   consent.Reason = "invalid"
)

// of names a reason more closely: "bot/crawler". The counters keep it so; what
// the client is told is the part before the slash (design, section 5).
func of(reason consent.Reason, detail string) consent.Reason {
	return reason + "/" + consent.Reason(detail)
}

// public is what the client is told of a reason.
func public(reason consent.Reason) consent.Reason {
	word, _, _ := strings.Cut(string(reason), "/")
	return consent.Reason(word)
}

// Which rule of the site excludes an event.
const (
	byAddress  = "address"
	byPath     = "path"
	byCountry  = "country"
	byHostname = "hostname"
)

// EarlyGrace is how far before its token's issue an event may claim to have
// happened and still count, stamped with the issue time: clocks and the click
// itself take a moment. Earlier is measured before consent, and refused.
const EarlyGrace = 60 * time.Second

// Permit is the gate's leave to look at one event more closely: its token
// covers the site's statistics at the event's time. The zero Permit admits
// nothing.
type Permit struct {
	token  consent.Token
	notice string
	at     time.Time
	ok     bool
}

// Time is when the event counts as having happened.
func (p Permit) Time() time.Time { return p.at }

// Gate decides for one site and token about one event that claims to have
// happened at. cut is what has been taken back from the token's consent.
func Gate(policy *consent.Policy, t consent.Token, cut *consent.Cut, at time.Time) (Permit, consent.Reason) {
	issued := t.IssuedAt()
	if at.Before(issued) && !at.Before(issued.Add(-EarlyGrace)) {
		at = issued
	}
	if reason := policy.Live(t, cut, consent.StatisticsUse, at); reason != consent.Live {
		return Permit{}, reason
	}
	permit := Permit{token: t, at: at, ok: true}
	if n := policy.Notice(t.Notice); n != nil {
		permit.notice = n.Version
	}
	return permit, consent.Live
}

// Admitted is an event that passed the gate: the only one with a spool
// encoding. The zero value has none.
type Admitted struct {
	event Event
	ok    bool
}

// Admit binds an enriched event to the permit's token and time.
func (p Permit) Admit(e Event) Admitted {
	a := Admitted{event: e}
	p.admit(&a)
	return a
}

// admit is Admit in place: events are large.
func (p Permit) admit(a *Admitted) {
	if !p.ok {
		*a = Admitted{}
		return
	}
	a.event.Time, a.event.Token, a.event.Notice, a.ok = p.at, p.token, p.notice, true
}

// errNotAdmitted is an event that did not pass the gate.
var errNotAdmitted = errors.New("event was not admitted")

// AppendBinary appends the spool encoding; the zero value is an error.
func (a *Admitted) AppendBinary(dst []byte) ([]byte, error) {
	if !a.ok {
		return dst, errNotAdmitted
	}
	return a.event.appendTo(dst), nil
}

// Token is what the event rests on.
func (a *Admitted) Token() consent.Token { return a.event.Token }

// Time is when the event counts as having happened.
func (a *Admitted) Time() time.Time { return a.event.Time }

// Site is the domain that the event belongs to.
func (a *Admitted) Site() string { return a.event.Site }

// Batch is what one request leaves behind: its admitted events and the counts
// of what was accepted and refused.
type Batch struct {
	Policy   *consent.Policy
	Received time.Time
	Events   []Admitted
	// Refused counts, by reason and detail, what was kept out.
	Refused map[consent.Reason]int
	// Late is filled by Append: the index within Events and the reason of
	// each one that the committer refused after all, because a withdrawal or
	// a duplicate came first.
	Late map[int]consent.Reason
}

// Appender keeps a batch: it returns once all of it is on disk, in one frame.
// Errors wrap consent.ErrUnavailable where the spool is full or closing.
type Appender interface {
	Append(ctx context.Context, b *Batch) error
}
