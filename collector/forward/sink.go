package forward

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
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
	TooOld    = "too_old"   // waited for 24 hours
	Invalid   = "invalid"   // the recipient would not keep it, or it must not leave
	Rejected  = "rejected"  // an answer that repeating cannot change
	Exhausted = "exhausted" // tried as often as is safe
)

// Sink is the way of one site's events to one recipient: a [spool.Sink].
// Deliver is called by one goroutine at a time.
type Sink struct {
	o      Options
	use    consent.Use
	to     Destination
	client *client
	log    *slog.Logger

	// settled holds the outcomes that are on disk for events which the cursor
	// may yet give out again; they are not sent twice. Once a batch begins
	// behind settledUpTo none can come.
	mu          sync.Mutex
	settled     map[key]bool
	settledUpTo uint64

	lastTaken atomic.Int64 // when the endpoint last took a request, Unix ns
	stats     counters
}

// key tells events apart: an event's ID is unique within its consent.
type key struct {
	event   string
	receipt consent.ID
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
		c := consent.NewCount(s.o.Policy.Site.Domain, CountChanged, s.o.Service+" "+what, s.o.Now())
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
	for _, f := range outcomes {
		s.settled[key{f.EventID, f.ReceiptID}] = true
	}
}

// maxBatch is how many events are in flight towards the cursor's next step.
const maxBatch = 2000

// Run forwards what sp holds and gets, until ctx is done, and sees through the
// requests under way. It returns an error only where it could not start, as
// [spool.Spool.Consume] does.
func (s *Sink) Run(ctx context.Context, sp *spool.Spool) error {
	defer s.client.close()
	return sp.Consume(ctx, s.Name(), s, spool.ConsumerOptions{Kinds: []spool.Kind{spool.KindEvent}, MaxRecords: maxBatch})
}

// Deliver brings every event of the batch that is this site's to its end and
// records it. It returns an error only where ctx ends first; a later Deliver of
// the same batch goes on where this one stopped.
func (s *Sink) Deliver(ctx context.Context, b spool.Batch) error {
	lanes := s.lanes(b)
	if err := s.triage(ctx, lanes, b.Last); err != nil {
		return fmt.Errorf("forward records %d to %d: %w", b.First, b.Last, err)
	}
	work := errgroup.Group{}
	work.SetLimit(s.o.Parallel)
	for _, lane := range lanes {
		work.Go(func() error {
			for _, t := range lane {
				if err := t.settle(ctx, b.Last); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return fmt.Errorf("forward records %d to %d: %w", b.First, b.Last, err)
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
	for some := range slices.Chunk(done, maxRecorded) {
		if err := s.record(ctx, some, last); err != nil {
			return err
		}
	}
	return nil
}

// maxRecorded is how many outcomes share an append to the spool.
const maxRecorded = 500

// maxShipmentBytes keeps a payload under Google's 130 kB: a byte of a record
// becomes six at worst, and each item brings some hundred of its own.
const maxShipmentBytes = 16 << 10

// lanes sorts the batch's events into shipments, and those into lanes, oldest
// first. The shipments of a lane go one after the other: they are of one
// person.
func (s *Sink) lanes(b spool.Batch) [][]*shipment {
	s.forget(b.First)
	var lanes [][]*shipment
	of := map[string]int{} // person → its lane
	for _, r := range b.Records {
		ev := s.event(r)
		if ev == nil {
			continue
		}
		person := s.to.Person(ev)
		i, known := of[person]
		if !known {
			i = len(lanes)
			of[person] = i
			lanes = append(lanes, nil)
		}
		if n := len(lanes[i]); n == 0 || !lanes[i][n-1].load(ev, len(r.Data)) {
			t := &shipment{Sink: s}
			t.load(ev, len(r.Data))
			lanes[i] = append(lanes[i], t)
		}
	}
	return lanes
}

// event reads a record; nil for what is none of the sink's business: other
// kinds, other sites, test hosts, events that have ended already, and those
// that were never meant for this destination.
func (s *Sink) event(r spool.Record) *collector.Event {
	if r.Kind != spool.KindEvent {
		return nil
	}
	head, err := collector.DecodeEventHead(r.Data)
	if err == nil && (head.Site != s.o.Policy.Site.Domain || head.Test || !s.meant(&head)) {
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
	if s.settled[key{ev.ID, ev.Token.Receipt}] {
		return nil
	}
	ev.Seq = r.Seq
	return &ev
}

// meant reports whether the event was granted to this destination when it
// happened. One that was not is never queued for it, so it has no outcome here
// either: about a recipient that the visitor said no to, nothing is kept.
func (s *Sink) meant(ev *collector.Event) bool {
	return !ev.NoForward && s.o.Policy.Live(ev.Token, nil, s.use, ev.Time) != consent.NoConsent
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
