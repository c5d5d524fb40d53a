package forward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

const (
	// yieldAfter is how often a request has failed when it lets others go first:
	// it may be the request, and not the endpoint. They show which.
	yieldAfter = 3
	// yieldTogether is how often a batch has failed when all of it does.
	yieldTogether = maxAttempts
)

// retries is a sink as the consumer of its queue: what waits is tried until it
// ends, each person's in order. It does not embed the sink, which would make it
// a [spool.Yielder]: nothing in the queue is given up to make room there.
type retries struct{ sink *Sink }

// Deliver implements [spool.Sink]. What has failed some times while others wait
// goes behind them, and all of that person's after it.
func (r retries) Deliver(ctx context.Context, b spool.Batch) error {
	s := r.sink
	lanes, later := s.queued(b)
	turn := &turn{queue: s.queue, last: b.Last}
	turn.others.Store(int64(len(lanes) + len(later)))
	err := s.sideBySide(lanes, func(lane []*shipment) error { return turn.take(ctx, lane) })
	lanes = append(lanes, later...)
	if err == nil {
		err = r.putBack(ctx, lanes)
	}
	if err != nil {
		return fmt.Errorf("retry records %d to %d: %w", b.First, b.Last, err)
	}
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	for _, lane := range lanes {
		for _, t := range lane {
			for _, k := range t.keys {
				delete(s.queue.ended, k)
			}
		}
	}
	return nil
}

// putBack puts what has not ended behind the others. What finds no room there is
// tried where it is, for as long as it takes.
func (r retries) putBack(ctx context.Context, lanes [][]*shipment) error {
	s := r.sink
	for some := range pieces(unfinished(lanes), maxQueuedBytes, func(t *shipment) int { return t.bytes }) {
		err := s.queue.putBack(ctx, some)
		if errors.Is(err, spool.ErrFull) {
			break
		}
		if err != nil {
			return fmt.Errorf("put %d requests back: %w", len(some), err)
		}
		for _, t := range some {
			t.events, t.records = nil, nil
		}
	}
	return s.sideBySide(lanes, func(lane []*shipment) error {
		for _, t := range lane {
			if err := t.settle(ctx, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// unfinished are the shipments with events that have not ended.
func unfinished(lanes [][]*shipment) (left []*shipment) {
	for _, lane := range lanes {
		for _, t := range lane {
			if len(t.events) > 0 {
				left = append(left, t)
			}
		}
	}
	return left
}

// turn is what the lanes of one batch know of each other.
type turn struct {
	queue  *queue
	last   uint64       // place of the batch's last record
	others atomic.Int64 // lanes of the batch with something left that nobody tries now
	failed atomic.Int64 // tries
}

// take tries a lane until it ends or it is another's turn.
func (u *turn) take(ctx context.Context, lane []*shipment) error {
	u.others.Add(-1)
	for _, t := range lane {
		if err := u.try(ctx, t); err != nil {
			return err
		}
		if len(t.events) > 0 {
			u.others.Add(1)
			return nil
		}
	}
	return nil
}

func (u *turn) try(ctx context.Context, t *shipment) error {
	for len(t.events) > 0 {
		if over, err := u.wait(ctx, t); over || err != nil {
			return err
		}
		before := t.attempts
		wait := t.try(ctx)
		if err := t.settled(ctx, 0); err != nil {
			return err
		}
		t.due = time.Time{}
		if wait > 0 {
			t.due = t.o.Now().Add(wait)
		}
		if len(t.events) > 0 && t.attempts > before {
			u.failed.Add(1)
		}
		if (t.attempts > before || u.together()) && u.tired(t) && u.wanted() {
			return nil
		}
	}
	return nil
}

// tired reports whether a shipment has failed often enough to let others go
// first, or its batch has.
func (u *turn) tired(t *shipment) bool { return t.attempts >= yieldAfter || u.together() }

func (u *turn) together() bool { return u.failed.Load() >= yieldTogether }

// wanted reports whether others wait for their turn, in the batch or behind it.
func (u *turn) wanted() bool {
	some, _, _ := u.queue.behind(u.last)
	return some || u.others.Load() > 0
}

// wait waits until a shipment is due. For one that is tired the turn is over once
// something new comes, which must not wait for it. What was put back as well does
// not end it, or they would chase each other.
func (u *turn) wait(ctx context.Context, t *shipment) (over bool, err error) {
	timer := time.NewTimer(t.due.Sub(t.o.Now()))
	defer timer.Stop()
	for {
		_, fresh, arrived := u.queue.behind(u.last)
		tired := u.tired(t)
		switch {
		case ctx.Err() != nil:
			return false, fmt.Errorf("waiting to try again: %w", ctx.Err())
		case !t.due.After(t.o.Now()):
			return false, nil
		case fresh && tired:
			return true, nil
		case !tired:
			arrived = nil
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
			return false, nil
		case <-arrived:
		}
	}
}

// queued sorts the queue's events into lanes, as lanes does, and those that have
// failed least to the front. later are those before which something comes that
// the same person did and that was put back.
func (s *Sink) queued(b spool.Batch) (lanes, later [][]*shipment) {
	first, oldest := s.queue.before(b.Last)
	now, behind := newSorter(s), newSorter(s)
	for _, e := range s.standing(b) {
		if oldest.IsZero() || e.Time.Before(oldest) {
			oldest = e.Time
		}
		person := s.to.Person(e.Event)
		if seq, ok := first[person]; ok && person != "" && seq < e.seq {
			behind.add(e.Event, e.waiting)
		} else {
			now.add(e.Event, e.waiting)
		}
	}
	s.queue.mu.Lock()
	s.queue.oldest = oldest
	s.queue.mu.Unlock()
	slices.SortStableFunc(now.lanes, func(a, b []*shipment) int { return cmp.Compare(a[0].attempts, b[0].attempts) })
	return now.lanes, behind.lanes
}

// queuedEvent is a record of the queue.
type queuedEvent struct {
	*collector.Event
	waiting
}

// standing are the events of a batch that have neither ended nor been put back
// since, in the order in which they happened.
func (s *Sink) standing(b spool.Batch) []queuedEvent {
	var out []queuedEvent
	for _, r := range b.Records {
		if r.Kind != spool.KindEvent {
			continue
		}
		w, ev, err := readWaiting(r)
		if err != nil {
			s.count(func(t *Stats) { t.Unreadable++ })
			s.log.Error("waiting event cannot be read", "seq", r.Seq, "err", err)
			continue
		}
		if w.spool == (consent.ID{}) {
			w.spool = s.spool
		}
		k := key{event: ev.ID, receipt: ev.Token.Receipt}
		s.queue.mu.Lock()
		ended := s.queue.ended[k]
		s.queue.mu.Unlock()
		if !ended && !s.queue.standsLater(k, r.Seq) {
			out = append(out, queuedEvent{ev, w})
		}
	}
	slices.SortStableFunc(out, func(a, b queuedEvent) int { return cmp.Compare(a.seq, b.seq) })
	return out
}
