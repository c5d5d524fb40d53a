package forward

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"sluice/collector"
	"sluice/consent"
)

const (
	firstPause = time.Second
	maxPause   = 5 * time.Minute
	// maxUnanswered is how often a request is sent whose answers are lost:
	// each time Google may have counted it.
	maxUnanswered = 2
	// maxAttempts is how often a request is sent that the endpoint does not
	// take while it takes others: then it is the request. As long as it takes
	// nothing at all, age alone ends the trying.
	maxAttempts = 8
)

// shipment is what goes in one request, events of one person under one token,
// and what has been tried with it.
type shipment struct {
	*Sink
	spool   consent.ID // in which the events have their numbers
	bytes   int        // of the events' records
	events  []*collector.Event
	records [][]byte            // beside events
	keys    []key               // of all that were loaded
	queued  bool                // they stand in the sink's queue
	done    []collector.Forward // outcomes not yet recorded

	due        time.Time // not to be tried before
	attempts   int
	tried      int // attempts before it was queued
	unanswered int
	began      time.Time // of the first attempt
	hash       string    // of what the last request said
	sent       string    // that itself
}

// load puts an event on, unless it does not belong here or does not fit: an
// empty shipment takes any.
func (t *shipment) load(ev *collector.Event, w waiting) bool {
	if len(t.events) > 0 && (t.events[0].Token != ev.Token || t.events[0].NoAds != ev.NoAds || t.spool != w.spool ||
		t.tried != w.attempts || t.unanswered != w.unanswered || !t.began.Equal(w.began) ||
		t.bytes+len(w.event) > maxShipmentBytes || !t.to.Fits(t.events, ev)) {
		return false
	}
	t.events, t.records, t.keys = append(t.events, ev), append(t.records, w.event), append(t.keys, keyOf(ev.ID, ev.Token.Receipt))
	t.bytes += len(w.event)
	t.spool, t.queued = w.spool, w.queued
	return true
}

// settle brings a shipment's events to their end. last is the last seq of the
// batch.
func (t *shipment) settle(ctx context.Context, last uint64) error {
	if err := pause(ctx, t.due.Sub(t.o.Now())); err != nil {
		return err
	}
	for len(t.events) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		wait := t.try(ctx)
		if err := t.settled(ctx, last); err != nil {
			return err
		}
		if len(t.events) == 0 {
			break
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// once tries a shipment as often as nothing keeps it from being sent, and so
// once. What is left then has a due time.
func (t *shipment) once(ctx context.Context, last uint64) error {
	for len(t.events) > 0 && t.due.IsZero() {
		if err := ctx.Err(); err != nil {
			return err
		}
		wait := t.try(ctx)
		if err := t.settled(ctx, last); err != nil {
			return err
		}
		if wait > 0 {
			t.due = t.o.Now().Add(wait)
		}
	}
	return nil
}

// settled records the outcomes so far, in the queue too where they were there.
func (t *shipment) settled(ctx context.Context, last uint64) error {
	if len(t.done) == 0 {
		return nil
	}
	if err := t.record(ctx, t.done, last); err != nil {
		return err
	}
	if t.queued {
		if err := t.queue.end(ctx, t.done); err != nil {
			t.log.Warn("outcomes not noted in the queue; a crash now would repeat them", "err", err)
		}
	}
	t.done = nil
	return nil
}

// try sends what is left, once, unless nothing is left to send. It returns how
// long to wait before the next try.
func (t *shipment) try(ctx context.Context) time.Duration {
	now := t.o.Now()
	verdict := t.sift(now)
	if len(t.events) == 0 {
		return 0
	}
	// Entered before the mapping, the dear part: while an endpoint is away all
	// that waits for it would be mapped again and again, at the cost of everybody
	// else.
	if wait := t.breaker.enter(now, t.attempts >= yieldAfter); wait > 0 {
		return wait
	}
	runtime.Gosched() // what waits here is on disk: whoever waits at a door goes first
	parcel, ok := t.pack(now, verdict.ads)
	if !ok {
		t.breaker.leave(false, false, now)
		return 0
	}
	if t.began.IsZero() {
		t.began = now
	}
	a := t.client.post(ctx, parcel, t.pass(verdict))
	changed := errors.Is(a.err, errConsentChanged)
	t.breaker.leave(a.status != 0 && !a.again(), !changed && ctx.Err() == nil, t.o.Now())
	if changed {
		return 0 // nothing was sent; the next try sees why
	}
	t.attempts++
	sum := sha256.Sum256(parcel.Logged())
	t.hash, t.sent = hex.EncodeToString(sum[:]), string(parcel.Logged())
	t.count(func(s *Stats) {
		s.Requests++
		if t.attempts > 1 {
			s.Retried++
		}
	})
	return t.conclude(a)
}

// sift ends the events that may not be sent any more.
func (t *shipment) sift(now time.Time) verdict {
	t.expire(now)
	if len(t.events) == 0 {
		return verdict{}
	}
	v, erased := t.ask(now)
	t.end(erased, collector.Cancelled, Erased)
	if v.reason != consent.Live {
		t.end(t.events, collector.Cancelled, string(v.reason))
	}
	return v
}

// expire ends the events that have waited for too long.
func (t *shipment) expire(now time.Time) {
	t.end(t.where(func(ev *collector.Event) bool { return now.Sub(ev.Time) > MaxAge }), collector.Dead, TooOld)
}

// verdict is what consent says of a shipment at one moment.
type verdict struct {
	reason consent.Reason
	ads    collector.AdConsent
}

// ask asks the gate now, and which of the events their visitor has had erased.
func (t *shipment) ask(now time.Time) (v verdict, erased []*collector.Event) {
	t.o.Gate.Hold(func(held consent.Held) {
		v = t.judge(held, now)
		erased = t.where(func(ev *collector.Event) bool { return t.erased(held, ev) })
	})
	return v, erased
}

// erased asks for one event: an erasure reaches those before it, and whoever has
// not withdrawn is measured further under the same token.
func (t *shipment) erased(held consent.Held, ev *collector.Event) bool {
	return held.Erased(ev.Token.Consent, t.spool, ev.Seq)
}

// judge needs to look at one event alone: all have one token. The gate's lock is
// held. What is forwarded was covered when it happened, too, for a token's grants
// do not change, and the collector's gate held its time against the token's issue
// and expiry.
func (t *shipment) judge(held consent.Held, at time.Time) verdict {
	token := t.events[0].Token
	cut := held.Cut(token.Consent)
	v := verdict{reason: t.o.Policy.LiveNow(token, cut, t.use, at)}
	for _, service := range t.o.Policy.Site.Services {
		use := consent.Use{Purpose: service.Purpose, Service: service.Name}
		if service.Purpose == consent.Essential || t.o.Policy.LiveNow(token, cut, use, at) != consent.Live {
			continue // no recipient gets ad signals without a yes of the visitor's
		}
		v.ads.Storage = v.ads.Storage || slices.Contains(service.ConsentMode, "ad_storage")
		v.ads.UserData = v.ads.UserData || slices.Contains(service.ConsentMode, "ad_user_data")
		v.ads.Personalization = v.ads.Personalization || slices.Contains(service.ConsentMode, "ad_personalization")
	}
	denied := t.events[0].NoAds
	v.ads.UserData = v.ads.UserData && !denied.UserData
	v.ads.Personalization = v.ads.Personalization && !denied.Personalization
	return v
}

// errConsentChanged stops a request whose consent is not what it was when its
// payload was built, or of which an event was erased since.
var errConsentChanged = errors.New("consent has changed")

// pass lets a request begin only if the gate's answer is still want, and holds
// withdrawals and erasures off until its first bytes are written.
func (t *shipment) pass(want verdict) pass {
	return func(write func() (int, error)) (n int, err error) {
		t.o.Gate.Hold(func(held consent.Held) {
			gone := slices.ContainsFunc(t.events, func(ev *collector.Event) bool { return t.erased(held, ev) })
			if gone || t.judge(held, t.o.Now()) != want {
				err = errConsentChanged
				return
			}
			n, err = write()
		})
		return n, err
	}
}

// pack returns the request to send, and ends the events of which the recipient
// would keep nothing. false: nothing to send now, look again.
func (t *shipment) pack(now time.Time, ads collector.AdConsent) (collector.Parcel, bool) {
	parcel, err := t.to.Pack(t.events, ads, now)
	if err != nil {
		t.log.Error("events cannot be mapped", "err", err)
		t.end(t.events, collector.Dead, Invalid)
		return parcel, false
	}
	if len(parcel.Unfit) > 0 {
		var bad []*collector.Event
		for _, u := range parcel.Unfit {
			bad = append(bad, u.Event)
			t.changed(u.Rule, 1)
			t.log.Warn("event not sent: it would not be kept", "rule", u.Rule)
		}
		t.end(bad, collector.Dead, Invalid)
		return parcel, false
	}
	if t.attempts == 0 {
		for what, n := range parcel.Changed {
			t.changed(what, n)
		}
	}
	return parcel, true
}

// conclude draws the consequence of an answer, or of none, and returns how long
// to wait before the next try.
func (t *shipment) conclude(a answer) time.Duration {
	now := t.o.Now()
	if a.status == 0 && a.begun {
		t.unanswered++
	}
	switch {
	case a.taken():
		t.lastTaken.Store(now.UnixNano())
		t.refuse(a)
		t.end(t.events, collector.Acknowledged, "")
		return 0
	case !a.again():
		t.log.Warn("destination rejects a request", "status", a.status, "attempt", t.attempts)
		t.end(t.events, collector.Dead, Rejected)
		return 0
	case t.unanswered >= maxUnanswered && !t.repeatable(),
		t.attempts >= maxAttempts && t.lastTaken.Load() > t.began.UnixNano():
		t.log.Warn("request given up", "status", a.status, "attempt", t.attempts, "err", a.err)
		t.end(t.events, collector.Dead, Exhausted)
		return 0
	}
	t.log.Warn("destination does not take a request, trying again", "status", a.status, "attempt", t.attempts, "err", a.err)
	return max(backoff(t.attempts), min(a.retryAfter, time.Hour))
}

// refuse ends the events that the recipient did not keep of a request that it
// took.
func (t *shipment) refuse(a answer) {
	judge, ok := t.to.(Judge)
	if !ok {
		return
	}
	var bad []*collector.Event
	for _, i := range judge.Refused(a.body, len(t.events)) {
		if i >= 0 && i < len(t.events) && !slices.Contains(bad, t.events[i]) {
			bad = append(bad, t.events[i])
		}
	}
	if len(bad) > 0 {
		t.log.Warn("destination refuses events of a request that it took", "status", a.status, "refused", len(bad), "events", len(t.events))
		t.end(bad, collector.Dead, Rejected)
	}
}

// repeatable reports whether the recipient drops all of it if it gets it twice.
func (t *shipment) repeatable() bool {
	return !slices.ContainsFunc(t.events, func(ev *collector.Event) bool { return !t.to.Repeatable(ev) })
}

func (t *shipment) where(match func(*collector.Event) bool) []*collector.Event {
	var out []*collector.Event
	for _, ev := range t.events {
		if match(ev) {
			out = append(out, ev)
		}
	}
	return out
}

// end takes events out of the shipment with their outcome. What was said of
// those whose consent is gone is not kept.
func (t *shipment) end(events []*collector.Event, state collector.ForwardState, reason string) {
	for i, ev := range events {
		f := collector.Forward{
			Site: ev.Site, EventID: ev.ID, EventSeq: ev.Seq, ReceiptID: ev.Token.Receipt, Destination: t.o.Service,
			State: state, Reason: reason, Attempts: t.attempts, PayloadHash: t.hash, Time: t.o.Now().UTC(), Token: ev.Token,
		}
		if i == 0 && state != collector.Cancelled {
			f.Sent, t.sent = t.sent, "" // once for each request
		}
		t.done = append(t.done, f)
	}
	events = slices.Clone(events)
	keep := func(ev *collector.Event) bool { return !slices.Contains(events, ev) }
	for i := len(t.events) - 1; i >= 0; i-- {
		if !keep(t.events[i]) {
			t.records = slices.Delete(t.records, i, i+1)
		}
	}
	t.events = t.where(keep)
}

// backoff is the pause after the nth attempt: doubling, half of it random, so
// that many shipments do not come back at once.
func backoff(attempt int) time.Duration {
	d := maxPause
	if attempt < 10 {
		d = min(firstPause<<(attempt-1), maxPause)
	}
	return d/2 + rand.N(d/2)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting to try again: %w", ctx.Err())
	case <-t.C:
		return nil
	}
}
