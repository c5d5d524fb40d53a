package forward

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice/collector"
	"sluice/collector/spool"
)

// queue is where a sink keeps what its recipient did not take, so that its
// cursor goes on and the server's spool is free of it: a spool of its own, in
// the order in which things are to be sent. While it holds anything, what comes
// later goes behind it.
//
// Its records are events that wait, and, as in the server's spool, the outcomes
// of those that ended before the queue's cursor passed them. An event that lets
// others go first is written once more, at the end; of two records of an event
// the later counts.
type queue struct {
	*spool.Spool
	person func(*collector.Event) string

	mu      sync.Mutex
	ended   map[key]bool  // outcomes in the queue behind its cursor
	back    map[key]back  // events that were put back
	waiting int           // events without an outcome
	oldest  time.Time     // the oldest of them; zero: none
	last    uint64        // place of the last event
	fresh   uint64        // place of the last one that had not been there before
	arrived chan struct{} // closed when the next such one comes
}

// back is an event that was put back.
type back struct {
	place  uint64 // where it stands now
	person string
	seq    uint64 // in the server's spool: the order of what a person did
	time   time.Time
}

// consumerName is the one consumer of a queue.
const consumerName = "retry"

// outcomeEntry is an outcome on its way into a queue.
type outcomeEntry struct{ collector.Forward }

func (outcomeEntry) Kind() spool.Kind { return spool.KindForward }

func (e outcomeEntry) Commit(dst []byte, _ uint64) ([]byte, bool) {
	b, err := e.AppendBinary(dst)
	return b, err == nil
}

// openQueue opens the queue in dir and tells settled of every event in it, so
// that one which is still before the sink's cursor is not queued twice. person
// is the destination's.
func openQueue(dir string, o spool.Options, person func(*collector.Event) string, settled func(k key, seq uint64)) (*queue, error) {
	o.SegmentBytes = o.MaxBytes / 16
	sp, err := spool.Open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &queue{Spool: sp, person: person, ended: map[key]bool{}, back: map[key]back{}, arrived: make(chan struct{})}
	if err := q.recall(settled); err != nil {
		return nil, errors.Join(err, sp.Close())
	}
	return q, nil
}

func (q *queue) recall(settled func(k key, seq uint64)) error {
	if err := q.Register(consumerName); err != nil {
		return fmt.Errorf("open queue: %w", err)
	}
	next := q.next()
	events := map[key]time.Time{}
	err := q.Replay(0, func(r spool.Record) error {
		switch r.Kind {
		case spool.KindEvent:
			w, ev, err := readWaiting(r)
			if err != nil {
				return err
			}
			k := keyOf(ev.ID, ev.Token.Receipt)
			settled(k, w.seq)
			if r.Seq >= next {
				events[k] = ev.Time
				q.stands(&w, ev)
			}
		case spool.KindForward:
			f, err := collector.DecodeForward(r.Data)
			if err != nil {
				return fmt.Errorf("record %d of the queue: %w", r.Seq, err)
			}
			k := keyOf(f.EventID, f.ReceiptID)
			q.ended[k] = true
			delete(events, k)
			delete(q.back, k)
		}
		return nil
	})
	q.waiting = len(events)
	for _, at := range events {
		if q.oldest.IsZero() || at.Before(q.oldest) {
			q.oldest = at
		}
	}
	return err
}

// readWaiting reads a record of a queue.
func readWaiting(r spool.Record) (w waiting, ev *collector.Event, err error) {
	w, err = decodeWaiting(r.Data)
	w.place = r.Seq
	var read collector.Event
	if err == nil {
		read, err = collector.DecodeEvent(w.event)
	}
	if err != nil {
		return w, nil, fmt.Errorf("record %d of the queue: %w", r.Seq, err)
	}
	read.Seq = w.seq
	return w, &read, nil
}

// stands notes where an event has its place. The caller holds mu, or has the
// queue to itself.
func (q *queue) stands(w *waiting, ev *collector.Event) {
	q.last = max(q.last, w.place)
	if w.back {
		q.back[keyOf(ev.ID, ev.Token.Receipt)] = back{w.place, strings.Clone(q.person(ev)), w.seq, ev.Time}
		return
	}
	q.fresh = max(q.fresh, w.place)
}

// next is the seq at which the queue's cursor stands.
func (q *queue) next() uint64 {
	for _, c := range q.Stats().Consumers {
		if c.Name == consumerName {
			return c.Next
		}
	}
	return 0
}

// busy reports whether anything waits: then all that comes later does.
func (q *queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting > 0
}

// put appends what could not be sent. spool.ErrFull: there is no room.
func (q *queue) put(ctx context.Context, shipments []*shipment) error {
	n, oldest := 0, time.Time{}
	for _, t := range shipments {
		n += len(t.events)
		for _, ev := range t.events {
			if oldest.IsZero() || ev.Time.Before(oldest) {
				oldest = ev.Time
			}
		}
	}
	if n == 0 {
		return nil
	}
	// Counted first: whoever looks in between has to see that something waits.
	q.mu.Lock()
	q.waiting += n
	q.mu.Unlock()
	err := q.write(ctx, shipments, false)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.waiting -= n
		return err
	}
	if q.oldest.IsZero() || oldest.Before(q.oldest) {
		q.oldest = oldest
	}
	close(q.arrived)
	q.arrived = make(chan struct{})
	return nil
}

// putBack appends what is in the queue already once more, behind the others.
func (q *queue) putBack(ctx context.Context, shipments []*shipment) error {
	return q.write(ctx, shipments, true)
}

func (q *queue) write(ctx context.Context, shipments []*shipment, again bool) error {
	var entries []spool.Entry
	var events []*collector.Event
	for _, t := range shipments {
		for i, ev := range t.events {
			entries = append(entries, &waiting{
				due: t.due, began: t.began, attempts: t.attempts, unanswered: t.unanswered,
				spool: t.spool, seq: ev.Seq, event: t.records[i], back: again,
			})
			events = append(events, ev)
		}
	}
	if err := q.Append(ctx, entries...); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, ev := range events {
		q.stands(entries[i].(*waiting), ev)
	}
	return nil
}

// standsLater reports whether an event that a batch has at a place was put back
// since, as where a crash came in between.
func (q *queue) standsLater(k key, place uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.back[k].place > place
}

// before returns, of each person of whom something was put back behind place,
// the first that they did of it, and when the oldest of all that happened.
func (q *queue) before(place uint64) (first map[string]uint64, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first = map[string]uint64{}
	for _, b := range q.back {
		if b.place <= place {
			continue
		}
		if seq, known := first[b.person]; !known || b.seq < seq {
			first[b.person] = b.seq
		}
		if oldest.IsZero() || b.time.Before(oldest) {
			oldest = b.time
		}
	}
	return first, oldest
}

// behind reports whether events stand behind place, and whether any of them has
// not been there before. The channel closes when the next such one comes.
func (q *queue) behind(place uint64) (some, fresh bool, arrived <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last > place, q.fresh > place, q.arrived
}

// end notes outcomes, so that what is in flight is not sent again after a
// restart.
func (q *queue) end(ctx context.Context, outcomes []collector.Forward) error {
	entries := make([]spool.Entry, len(outcomes))
	for i, f := range outcomes {
		f.Sent = "" // the server's spool has it
		entries[i] = outcomeEntry{f}
	}
	err := q.Append(context.WithoutCancel(ctx), entries...)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range outcomes {
		k := keyOf(f.EventID, f.ReceiptID)
		q.ended[k] = true
		delete(q.back, k)
	}
	q.waiting -= len(outcomes)
	if q.waiting <= 0 {
		q.waiting, q.oldest = 0, time.Time{}
	}
	return err
}
