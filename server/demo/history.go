package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/collector"
	"sluice/consent"
)

// History writes past visits through the ledger, the gate and the spool.
type History struct {
	Policy *consent.Policy
	Ledger *consent.Ledger // its keys, index and recorder are used; its clock is not
	Append collector.Appender
	Count  func(consent.Count)
	Until  time.Time // the last visit is before this
	Days   int       // how far back it goes; at most what consent_days allow to be live
	Events int       // about how many events
	Seed   uint64
}

// eventsPerVisit is what a visit draws on average, with what is measured of it;
// of all visitors, consenting is the share that grants analytics.
const (
	eventsPerVisit = 6.6
	consenting     = 0.62
	returning      = 0.28
)

// Write draws the visits day by day and returns how many events were kept.
func (h *History) Write(ctx context.Context) (kept int, err error) {
	r := rand.New(rand.NewPCG(h.Seed, 1))
	var total float64
	first := h.Until.AddDate(0, 0, 1-h.Days)
	for d := range h.Days {
		total += crowd(first.AddDate(0, 0, d), float64(d)/float64(h.Days))
	}
	visits := float64(h.Events) / eventsPerVisit / consenting
	var regulars []person
	for d := range h.Days {
		day := first.AddDate(0, 0, d)
		n := int(visits*crowd(day, float64(d)/float64(h.Days))/total + r.Float64())
		var today []*call
		for _, at := range h.starts(r, day, n) {
			who := newPerson(r)
			if len(regulars) > 0 && r.Float64() < returning {
				who = regulars[r.IntN(len(regulars))]
			} else if r.Float64() < 0.5 {
				regulars = append(regulars, who)
			}
			today = append(today, h.call(r, who, at))
		}
		n, err := h.keep(ctx, day, today)
		if err != nil {
			return kept, fmt.Errorf("keep the visits of %s: %w", day.Format(time.DateOnly), err)
		}
		kept += n
	}
	return kept, nil
}

// starts draws when n visits of a day begin, in order.
func (h *History) starts(r *rand.Rand, day time.Time, n int) []time.Time {
	var out []time.Time
	for range n {
		at := time.Date(day.Year(), day.Month(), day.Day(), hour(r), r.IntN(60), r.IntN(60), 0, day.Location())
		if at.Before(h.Until) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// call is one visitor at the shop's door: what was answered and, if the answer
// allows it to be known, what was done.
type call struct {
	at      time.Time
	home    home
	choice  consent.Choice
	decided bool
	events  []collector.Event
	token   *consent.Token
}

func (h *History) call(r *rand.Rand, who person, at time.Time) *call {
	c := &call{at: at, home: who.home}
	c.choice, c.decided = h.choice(r, who)
	c.events = visit(r, h.Policy.Site.Domain, who, draw(r, origins), at)
	return c
}

// keep decides for a day's visitors, many at a time so that they share the
// disk's fsyncs, and appends the events of those who agreed.
func (h *History) keep(ctx context.Context, day time.Time, today []*call) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for _, c := range today {
		h.count(c, consent.CountScript)
		h.count(c, consent.CountView)
		if c.decided { // the others looked at the banner and went on: that is a no
			group.Go(func() error { return h.decide(ctx, c) })
		}
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	batch := &collector.Batch{Policy: h.Policy, Received: day}
	for _, c := range today {
		for i := range c.events {
			if c.token == nil {
				break
			}
			if permit, reason := collector.Gate(h.Policy, *c.token, nil, c.events[i].Time); reason == consent.Live {
				batch.Events = append(batch.Events, permit.Admit(c.events[i]))
			}
		}
	}
	if len(batch.Events) == 0 {
		return 0, nil
	}
	// The context of the group has ended with it.
	if err := h.Append.Append(context.WithoutCancel(ctx), batch); err != nil {
		return 0, err
	}
	return len(batch.Events) - len(batch.Late), nil
}

func (h *History) count(c *call, kind consent.CountKind) {
	n := consent.NewCount(h.Policy.Site.Domain, kind, "", c.at)
	n.Notice, n.Language = h.Policy.Current.Version, c.home.language
	h.Count(n)
}

// decide records a visitor's choice as of when it was made.
func (h *History) decide(ctx context.Context, c *call) error {
	ledger := &consent.Ledger{
		Sites: h.Ledger.Sites, Keys: h.Ledger.Keys, Index: h.Ledger.Index, Recorder: h.Ledger.Recorder,
		Now: func() time.Time { return c.at },
	}
	grant, err := ledger.Decide(ctx, h.Policy, c.choice, "", consent.Signals{}, c.home.country)
	if err != nil {
		return fmt.Errorf("decide for a visitor: %w", err)
	}
	c.token = grant.Token
	return nil
}

// choice draws what a visitor answers.
func (h *History) choice(r *rand.Rand, who person) (consent.Choice, bool) {
	c := consent.Choice{
		Site: h.Policy.Site.Domain, Notice: h.Policy.Current.Version, Language: who.home.language,
		Purposes: map[string]bool{},
		// Google takes nothing older than three days: what lies in the past here
		// was never meant for it.
		Services: map[string]bool{"google-analytics": false},
	}
	switch at := r.Float64(); {
	case at < 0.5:
		c.Method = consent.AcceptAll
		for _, p := range h.Policy.Current.Purposes {
			c.Purposes[string(p.Name)] = true
		}
	case at < consenting:
		c.Method = consent.Custom
		c.Purposes[string(consent.Analytics)] = true
	case at < 0.88:
		c.Method = consent.RejectAll
	default:
		return consent.Choice{}, false
	}
	return c, true
}
