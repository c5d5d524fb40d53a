package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
// of those that ended before the queue's cursor passed them.
type queue struct {
	*spool.Spool

	mu      sync.Mutex
	ended   map[key]bool // outcomes in the queue behind its cursor
	waiting int          // events without an outcome
	oldest  time.Time    // the oldest of them; zero: none
}

// consumerName is the one consumer of a queue.
const consumerName = "retry"

// waiting is an event in a queue, with what has been tried.
type waiting struct {
	due                  time.Time
	attempts, unanswered int
	seq                  uint64 // of the event in the server's spool
	event                []byte // its encoding there
	queued               bool   // it was read from a queue
}

// waitingVersion opens a record; fixedWaiting is the length before the event.
const (
	waitingVersion = 1
	fixedWaiting   = 1 + 8 + 4 + 2 + 8
)

// Kind implements [spool.Entry].
func (w *waiting) Kind() spool.Kind { return spool.KindEvent }

// Commit appends version u8, due i64 (Unix ms), attempts u32, unanswered u16,
// seq u64, the event. Big endian.
func (w *waiting) Commit(dst []byte, _ uint64) ([]byte, bool) {
	be := binary.BigEndian
	dst = append(dst, waitingVersion)
	dst = be.AppendUint64(dst, uint64(w.due.UnixMilli()))
	dst = be.AppendUint32(dst, uint32(w.attempts))
	dst = be.AppendUint16(dst, uint16(w.unanswered))
	return append(be.AppendUint64(dst, w.seq), w.event...), true
}

var errWaitingEncoding = errors.New("not a waiting event of version 1")

func decodeWaiting(b []byte) (waiting, error) {
	if len(b) < fixedWaiting || b[0] != waitingVersion {
		return waiting{}, errWaitingEncoding
	}
	be := binary.BigEndian
	return waiting{
		due: time.UnixMilli(int64(be.Uint64(b[1:]))), attempts: int(be.Uint32(b[9:])), unanswered: int(be.Uint16(b[13:])),
		seq: be.Uint64(b[15:]), event: b[fixedWaiting:], queued: true,
	}, nil
}

// outcomeEntry is an outcome on its way into a queue.
type outcomeEntry struct{ collector.Forward }

func (outcomeEntry) Kind() spool.Kind { return spool.KindForward }

func (e outcomeEntry) Commit(dst []byte, _ uint64) ([]byte, bool) {
	b, err := e.AppendBinary(dst)
	return b, err == nil
}

// openQueue opens the queue in dir and tells settled of every event in it, so
// that one which is still before the sink's cursor is not queued twice.
func openQueue(dir string, o spool.Options, settled func(k key, seq uint64)) (*queue, error) {
	o.SegmentBytes = o.MaxBytes / 16
	sp, err := spool.Open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &queue{Spool: sp, ended: map[key]bool{}}
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
			w, err := decodeWaiting(r.Data)
			if err != nil {
				return fmt.Errorf("record %d of the queue: %w", r.Seq, err)
			}
			ev, err := collector.DecodeEvent(w.event)
			if err != nil {
				return fmt.Errorf("record %d of the queue: %w", r.Seq, err)
			}
			k := keyOf(ev.ID, ev.Token.Receipt)
			settled(k, w.seq)
			if r.Seq >= next {
				events[k] = ev.Time
			}
		case spool.KindForward:
			f, err := collector.DecodeForward(r.Data)
			if err != nil {
				return fmt.Errorf("record %d of the queue: %w", r.Seq, err)
			}
			k := keyOf(f.EventID, f.ReceiptID)
			q.ended[k] = true
			delete(events, k)
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
	var entries []spool.Entry
	oldest := time.Time{}
	for _, t := range shipments {
		for i, ev := range t.events {
			entries = append(entries, &waiting{due: t.due, attempts: t.attempts, unanswered: t.unanswered, seq: ev.Seq, event: t.records[i]})
			if oldest.IsZero() || ev.Time.Before(oldest) {
				oldest = ev.Time
			}
		}
	}
	if len(entries) == 0 {
		return nil
	}
	// Counted first: whoever looks in between has to see that something waits.
	q.mu.Lock()
	q.waiting += len(entries)
	q.mu.Unlock()
	err := q.Append(ctx, entries...)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.waiting -= len(entries)
		return err
	}
	if q.oldest.IsZero() || oldest.Before(q.oldest) {
		q.oldest = oldest
	}
	return nil
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
		q.ended[keyOf(f.EventID, f.ReceiptID)] = true
	}
	q.waiting -= len(outcomes)
	if q.waiting <= 0 {
		q.waiting, q.oldest = 0, time.Time{}
	}
	return err
}

// retries is a sink as the consumer of its queue: what waits is tried until it
// ends, in order.
type retries struct{ *Sink }

// Deliver implements [spool.Sink].
func (s retries) Deliver(ctx context.Context, b spool.Batch) error {
	lanes := s.queued(b)
	err := s.sideBySide(lanes, func(lane []*shipment) error {
		for _, t := range lane {
			if err := t.settle(ctx, 0); err != nil {
				return err
			}
		}
		return nil
	})
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

// queued sorts the queue's events into lanes, as lanes does.
func (s *Sink) queued(b spool.Batch) [][]*shipment {
	sorter := newSorter(s)
	oldest := time.Time{}
	for _, r := range b.Records {
		if r.Kind != spool.KindEvent {
			continue
		}
		w, err := decodeWaiting(r.Data)
		var ev collector.Event
		if err == nil {
			ev, err = collector.DecodeEvent(w.event)
		}
		if err != nil {
			s.count(func(t *Stats) { t.Unreadable++ })
			s.log.Error("waiting event cannot be read", "seq", r.Seq, "err", err)
			continue
		}
		ev.Seq = w.seq
		s.queue.mu.Lock()
		ended := s.queue.ended[key{ev.ID, ev.Token.Receipt}]
		s.queue.mu.Unlock()
		if ended {
			continue
		}
		if oldest.IsZero() || ev.Time.Before(oldest) {
			oldest = ev.Time
		}
		sorter.add(&ev, w)
	}
	s.queue.mu.Lock()
	s.queue.oldest = oldest
	s.queue.mu.Unlock()
	return sorter.lanes
}
