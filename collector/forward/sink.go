package forward

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

// MaxAge is when an event is dead. Google takes 72 hours, but gives an event to
// its session, and so to a source, only within 24; nobody is told of a visit
// later than that.
const MaxAge = 24 * time.Hour

// Reasons of cancelled and dead events beside those of package consent.
const (
	Erased    = "erased"     // the visitor has had the event erased
	TooOld    = "too_old"    // waited for 24 hours
	Invalid   = "invalid"    // the recipient would not keep it, or it must not leave
	Rejected  = "rejected"   // an answer that repeating cannot change, or one that says it was not kept
	Exhausted = "exhausted"  // tried as often as is safe
	QueueFull = "queue_full" // the recipient was away for longer than its queue has room
	// Unconfigured: it waited for a recipient that the configuration has no longer.
	Unconfigured = "unconfigured"
)

// Sink is the way of one site's events to one recipient: a [spool.Sink].
// Deliver is called by one goroutine at a time.
type Sink struct {
	o      Options
	use    consent.Use
	to     Destination
	client *client
	log    *slog.Logger

	breaker breaker
	queue   *queue     // nil: what is not taken holds up the cursor
	spool   consent.ID // the server's, since Run

	// settled holds the outcomes that are on disk for events which the cursor
	// may yet give out again; they are not sent twice. Once a batch begins
	// behind settledUpTo none can come.
	mu          sync.Mutex
	settled     map[key]bool
	settledUpTo uint64

	lastTaken atomic.Int64 // when the endpoint last took a request, Unix ns
	stats     counters
}

// key tells events apart: an event's ID is unique within its consent. Where an
// outcome was cut off from its receipt, its place in the spool tells.
type key struct {
	event   string
	receipt consent.ID
	seq     uint64 // where receipt is zero
}

// keyOf is a key to keep: the ID of an event shares memory with all that the
// event says.
func keyOf(event string, receipt consent.ID) key {
	return key{event: strings.Clone(event), receipt: receipt}
}

// keyOfOutcome is that of an outcome's event.
func keyOfOutcome(f *collector.Forward) key {
	k := keyOf(f.EventID, f.ReceiptID)
	if k.receipt == (consent.ID{}) {
		k.seq = f.EventSeq
	}
	return k
}

// Stats counts since the start.
type Stats struct {
	Acknowledged, Cancelled, Dead uint64 // events
	Requests, Retried             uint64
	Unreadable                    uint64            // event records of an encoding not known here
	Changed                       map[string]uint64 // by what the mapping changed or left out
}

type counters struct {
	sync.Mutex
	Stats
}

// Stats returns the counts so far.
func (s *Sink) Stats() Stats {
	s.stats.Lock()
	defer s.stats.Unlock()
	out := s.stats.Stats
	out.Changed = maps.Clone(out.Changed)
	return out
}

func (s *Sink) count(f func(*Stats)) {
	s.stats.Lock()
	defer s.stats.Unlock()
	f(&s.stats.Stats)
}

// changed counts what the mapping had to change or leave out.
func (s *Sink) changed(what string, n int) {
	s.count(func(t *Stats) {
		if t.Changed == nil {
			t.Changed = map[string]uint64{}
		}
		t.Changed[what] += uint64(n)
	})
	if s.o.Counter != nil {
		c := consent.NewCount(s.o.Policy.Site.Domain, consent.CountChanged, s.o.Service+" "+what, s.o.Now())
		c.N = uint64(n)
		s.o.Counter.Count(c)
	}
}

// Replay takes a record of the spool's tail at start, before the first
// Deliver. Outcomes recorded by an earlier run are remembered, so that the
// batch it left unfinished is not sent twice. Only records behind the sink's
// cursor matter; others do no harm.
func (s *Sink) Replay(r spool.Record) error {
	if r.Kind != spool.KindForward {
		return nil
	}
	f, err := collector.DecodeForward(r.Data)
	if err != nil {
		return fmt.Errorf("replay record %d: %w", r.Seq, err)
	}
	if f.Site == s.o.Policy.Site.Domain && f.Destination == s.o.Service {
		s.remember([]collector.Forward{f}, r.Seq)
	}
	return nil
}

func (s *Sink) remember(outcomes []collector.Forward, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settledUpTo = max(s.settledUpTo, seq)
	for i := range outcomes {
		s.settled[keyOfOutcome(&outcomes[i])] = true
	}
}

const (
	// maxBatch is how many events are in flight towards the cursor's next step.
	maxBatch = 20_000
	// maxPart is how many of them, more or less, are decoded at a time.
	maxPart = 1000
	// maxRetried is the same as maxBatch for the queue.
	maxRetried = 2000
)

// Run forwards what sp holds and gets, until ctx is done, and sees through the
// requests under way. It returns an error only where it could not start, as
// [spool.Spool.Consume] does.
func (s *Sink) Run(ctx context.Context, sp *spool.Spool) error {
	defer s.client.close()
	fresh := spool.ConsumerOptions{Kinds: []spool.Kind{spool.KindEvent}, Pick: s.pick, MaxRecords: maxBatch}
	if s.queue == nil {
		return sp.Consume(ctx, s.Name(), gathering{s}, fresh)
	}
	s.spool = sp.ID()
	again := spool.ConsumerOptions{Kinds: fresh.Kinds, MaxRecords: maxRetried, MaxWait: time.Millisecond}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return sp.Consume(ctx, s.Name(), gathering{s}, fresh) })
	group.Go(func() error { return s.queue.Consume(ctx, consumerName, retries{sink: s}, again) })
	return group.Wait()
}

// Close closes the sink's queue, after Run has returned.
func (s *Sink) Close() error {
	if s.queue == nil {
		return nil
	}
	return s.queue.Close()
}

// Waiting is how many events wait in the sink's queue, and since when the
// oldest of them exists; zero: none does. What the sink has not looked at yet,
// in the server's spool, is not counted.
func (s *Sink) Waiting() (events int, oldest time.Time) {
	if s.queue == nil {
		return 0, time.Time{}
	}
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.waiting, s.queue.oldest
}

// Deliver brings every event of the batch that is this sink's to its end and
// records it, or into the sink's queue. It returns an error where ctx ends
// first or the queue cannot be written; a later Deliver of the same batch goes
// on where this one stopped.
func (s *Sink) Deliver(ctx context.Context, b spool.Batch) error {
	for part := range s.parts(b) {
		if err := s.deliver(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// parts splits a batch by persons, so that little of it is decoded at a time.
func (s *Sink) parts(b spool.Batch) iter.Seq[spool.Batch] {
	return func(yield func(spool.Batch) bool) {
		n := uint64(len(b.Records)/maxPart + 1)
		if n == 1 {
			yield(b)
			return
		}
		seed := maphash.MakeSeed()
		of := make([]uint16, len(b.Records))
		for i, r := range b.Records {
			if ev, err := collector.DecodeEvent(r.Data); err == nil {
				of[i] = uint16(maphash.String(seed, s.to.Person(&ev)) % n)
			}
		}
		for p := range n {
			part := b
			part.Records = make([]spool.Record, 0, 2*maxPart)
			for i, r := range b.Records {
				if uint64(of[i]) == p {
					part.Records = append(part.Records, r)
				}
			}
			// What one person did may be more than a part; cut, it stays in order.
			for some := range slices.Chunk(part.Records, 2*maxPart) {
				part.Records = some
				if !yield(part) {
					return
				}
			}
		}
	}
}

func (s *Sink) deliver(ctx context.Context, b spool.Batch) error {
	lanes := s.lanes(b)
	if err := s.triage(ctx, lanes, b.Last); err != nil {
		return fmt.Errorf("forward records %d to %d: %w", b.First, b.Last, err)
	}
	var err error
	if s.queue == nil || !s.queue.busy() {
		err = s.sideBySide(lanes, func(lane []*shipment) error { return s.work(ctx, lane, b.Last) })
	}
	if s.queue != nil { // also what is left of a lane that was stopped
		err = errors.Join(err, s.deferred(ctx, lanes, b.Last))
	}
	if err != nil {
		return fmt.Errorf("forward records %d to %d: %w", b.First, b.Last, err)
	}
	return nil
}

// sideBySide calls do for each lane, as many at once as the recipient gets
// requests at once. After an error no more begin where it occurred.
func (s *Sink) sideBySide(lanes [][]*shipment, do func(lane []*shipment) error) error {
	work := errgroup.Group{}
	next := atomic.Int64{}
	for range min(s.o.Parallel, len(lanes)) { // and not one for each lane: every new one would have its stack grown
		work.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(lanes)); i = next.Add(1) - 1 {
				if err := do(lanes[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// work sends the shipments of a lane, one after the other. Without a queue each
// is tried until it ends; with one, what is not taken at once waits there, and
// all behind it.
func (s *Sink) work(ctx context.Context, lane []*shipment, last uint64) error {
	for _, t := range lane {
		if s.queue == nil {
			if err := t.settle(ctx, last); err != nil {
				return err
			}
			continue
		}
		if err := t.once(ctx, last); err != nil {
			return err
		}
		if len(t.events) > 0 {
			break
		}
	}
	return nil
}

// deferred moves what has not ended into the queue. What finds no room there
// is dead: a recipient that is away must not fill up the server's spool.
func (s *Sink) deferred(ctx context.Context, lanes [][]*shipment, last uint64) error {
	if err := ctx.Err(); err != nil {
		return err // the batch stays in flight
	}
	for some := range pieces(unfinished(lanes), maxQueuedBytes, func(t *shipment) int { return t.bytes }) {
		if err := s.enqueue(ctx, some, last); err != nil {
			return err
		}
	}
	return nil
}

// enqueue puts shipments into the queue at once, or ends them where it has no
// room.
func (s *Sink) enqueue(ctx context.Context, some []*shipment, last uint64) error {
	err := s.queue.put(ctx, some)
	switch {
	case errors.Is(err, spool.ErrFull):
		var dead []collector.Forward
		for _, t := range some {
			t.end(t.events, collector.Dead, QueueFull)
			dead, t.done = append(dead, t.done...), nil
		}
		return s.recordAll(ctx, dead, last)
	case err != nil:
		return fmt.Errorf("queue %d requests: %w", len(some), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settledUpTo = max(s.settledUpTo, last)
	for _, t := range some {
		for _, k := range t.keys {
			s.settled[k] = true
		}
	}
	return nil
}

// triage ends what will not be sent, and records it together: a batch may hold
// thousands of events that nobody agreed to forward.
func (s *Sink) triage(ctx context.Context, lanes [][]*shipment, last uint64) error {
	var done []collector.Forward
	for _, lane := range lanes {
		for _, t := range lane {
			t.sift(s.o.Now())
			done = append(done, t.done...)
			t.done = nil
		}
	}
	return s.recordAll(ctx, done, last)
}

func (s *Sink) recordAll(ctx context.Context, outcomes []collector.Forward, last uint64) error {
	for some := range pieces(outcomes, maxRecordedBytes, sizeOf) {
		if err := s.record(ctx, some, last); err != nil {
			return err
		}
	}
	return nil
}

// maxShipmentBytes keeps a payload under Google's 130 kB: a byte of a record
// becomes six at worst, and each item brings some hundred of its own.
const maxShipmentBytes = 16 << 10

// lanes sorts the batch's events into shipments, and those into lanes.
func (s *Sink) lanes(b spool.Batch) [][]*shipment {
	s.forget(b.First)
	sorter := newSorter(s)
	for _, r := range b.Records {
		if ev := s.event(r); ev != nil {
			sorter.add(ev, waiting{spool: b.Spool, event: r.Data})
		}
	}
	return sorter.lanes
}

// sorter puts events into shipments, and those into lanes, oldest first. The
// shipments of a lane go one after the other: they are of one person.
type sorter struct {
	sink  *Sink
	lanes [][]*shipment
	of    map[string]int // person → its lane
}

func newSorter(s *Sink) *sorter { return &sorter{sink: s, of: map[string]int{}} }

func (s *sorter) add(ev *collector.Event, w waiting) {
	person := s.sink.to.Person(ev)
	i, known := s.of[person]
	if !known {
		i = len(s.lanes)
		s.of[person] = i
		s.lanes = append(s.lanes, nil)
	}
	if n := len(s.lanes[i]); n == 0 || !s.lanes[i][n-1].load(ev, w) {
		t := &shipment{Sink: s.sink, due: w.due, began: w.began, attempts: w.attempts, unanswered: w.unanswered, tried: w.attempts}
		t.load(ev, w)
		s.lanes[i] = append(s.lanes[i], t)
	}
}

// event reads a record; nil for what is none of the sink's business: other
// kinds, other sites, test hosts, events that have ended already, and those
// that were never meant for this destination.
func (s *Sink) event(r spool.Record) *collector.Event {
	if _, ok := s.pick(r); !ok {
		return nil
	}
	ev, err := collector.DecodeEvent(r.Data)
	if err != nil {
		s.count(func(t *Stats) { t.Unreadable++ })
		s.log.Error("event record cannot be read", "seq", r.Seq, "err", err)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled[key{event: ev.ID, receipt: ev.Token.Receipt}] || s.settled[key{event: ev.ID, seq: r.Seq}] {
		return nil
	}
	ev.Seq = r.Seq
	return &ev
}

// pick leaves out the records that are none of the sink's business, whatever
// has become of them. One that cannot be read is: it is counted.
func (s *Sink) pick(r spool.Record) (data []byte, ok bool) {
	if r.Kind != spool.KindEvent {
		return nil, false
	}
	head, err := collector.DecodeEventHead(r.Data)
	return r.Data, err != nil || head.Site == s.o.Policy.Site.Domain && !head.Test && s.meant(&head)
}

// meant reports whether the event was granted to this destination when it
// happened. One that was not is never queued for it, so it has no outcome here
// either: about a recipient that the visitor said no to, nothing is kept.
func (s *Sink) meant(ev *collector.Event) bool {
	return !ev.NoForward && s.o.Policy.Granted(ev.Token, s.use)
}

// forget drops the memory of outcomes once no batch can ask for them.
func (s *Sink) forget(first uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first > s.settledUpTo {
		clear(s.settled)
	}
}

// record puts outcomes on disk, however long it takes, until ctx is done. The
// append itself is not cut short: what has been sent should be known.
func (s *Sink) record(ctx context.Context, outcomes []collector.Forward, last uint64) error {
	for attempt := 1; len(outcomes) > 0; attempt++ {
		err := s.o.Outcomes.Record(context.WithoutCancel(ctx), outcomes)
		if err == nil {
			break
		}
		s.log.Warn("outcomes not recorded, trying again", "attempt", attempt, "err", err)
		if waitErr := pause(ctx, backoff(attempt)); waitErr != nil {
			return fmt.Errorf("record %d outcomes: %w", len(outcomes), err)
		}
	}
	s.account(outcomes, last)
	return nil
}

// account remembers and counts outcomes that are final.
func (s *Sink) account(outcomes []collector.Forward, last uint64) {
	s.remember(outcomes, last)
	s.count(func(t *Stats) {
		for _, f := range outcomes {
			switch f.State {
			case collector.Acknowledged:
				t.Acknowledged++
			case collector.Cancelled:
				t.Cancelled++
			case collector.Dead:
				t.Dead++
			}
		}
	})
}
