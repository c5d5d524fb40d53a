package spool

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// Batch is what a sink gets: every record from First to Last that the consumer
// wants. With Spool, the bounds name the batch for good; they are on disk before
// the sink sees it, and a retry has the same ones, after a restart too.
type Batch struct {
	Spool       uuid.UUID
	First, Last uint64 // seqs, both included; the kinds filtered out count as well
	Attempt     int    // from 1; goes on counting after a restart
	// Recovered: the batch was in flight when the process ended, so the sink may
	// have it already, whole or in part. It stays set on the batch's retries.
	Recovered bool
	More      bool     // the batch ended at a limit: others wait behind it already
	Records   []Record // in order of seq, never empty; may be kept
}

// Sink is where a consumer delivers to. Deliver returns nil once it has made
// the batch its own, and then never sees it again. On an error, also of
// unknown outcome, the same batch comes back after a pause. A cancelled ctx
// leaves the batch in flight.
type Sink interface {
	Deliver(ctx context.Context, b Batch) error
}

// ConsumerOptions tune a consumer. Zero values are defaults.
type ConsumerOptions struct {
	Kinds []Kind // of the records that the sink gets; nil: all
	// Pick returns what the sink needs of a record of these kinds, and whether it
	// needs it at all: a batch that waits holds no more. It always says the same
	// of the same record, whose data it may return and must not keep. nil: all.
	Pick func(r Record) (data []byte, ok bool)

	MaxRecords int           // per batch. 0: 20 000
	MaxBytes   int           // data per batch, exceeded only by a single larger record. 0: 16 MiB
	MaxWait    time.Duration // how long a record waits for others to fill a batch. 0: 1 s

	// A failed batch is delivered again after a pause, drawn evenly between 0
	// and MinBackoff doubled with each attempt up to MaxBackoff.
	MinBackoff time.Duration // 0: 200 ms
	MaxBackoff time.Duration // 0: 60 s
}

func (o ConsumerOptions) withDefaults() ConsumerOptions {
	if o.MaxRecords <= 0 {
		o.MaxRecords = 20_000
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	if o.MaxWait <= 0 {
		o.MaxWait = time.Second
	}
	if o.MinBackoff <= 0 {
		o.MinBackoff = 200 * time.Millisecond
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = time.Minute
	}
	return o
}

// backoff draws the pause after an attempt: full jitter, so that consumers that
// failed together do not come back together.
func (o ConsumerOptions) backoff(attempt int) time.Duration {
	ceiling := o.MaxBackoff
	if doubled := o.MinBackoff << min(attempt-1, 30); doubled > 0 {
		ceiling = min(ceiling, doubled)
	}
	return rand.N(ceiling) + 1
}

// consumer is what the spool knows of a consumer, running or not. Spool.mu
// guards all but cursor, which belongs to the goroutine in Consume.
type consumer struct {
	name   string
	cursor *cursor
	broken error // the cursor's damage; such a consumer cannot run

	running bool
	next    uint64        // as the cursor on disk says; 0 while it is broken
	want    uint64        // tell when this seq is committed
	told    chan struct{} // holds a token after that

	pending time.Time // when the first record behind the batch was committed; zero: none is
	batch   time.Time // the same of the batch in flight
	attempt int
	lastErr error

	yields    bool   // its sink is a Yielder
	yieldTo   uint64 // it has to give up what is before this seq
	yielded   uint64 // records given up since Open
	interrupt func() // ends the delivery under way
}

func newConsumer(name string) *consumer {
	return &consumer{name: name, told: make(chan struct{}, 1), want: math.MaxUint64, interrupt: func() {}}
}

// tell is called under mu when records up to seq have become readable.
func (c *consumer) tell(seq uint64) {
	if c.running && c.pending.IsZero() {
		c.pending = time.Now()
	}
	if seq < c.want {
		return
	}
	select {
	case c.told <- struct{}{}:
	default:
	}
}

// Consume delivers committed records to sink, from where the consumer of this
// name stopped last; a new one starts with the oldest record in the spool, which
// holds all it needs only if [Spool.Register] was called in time. It runs until
// ctx is done or the spool closes, and then returns nil; an error means that it
// could not start: a name that is no file name or is running, a damaged cursor
// (*CorruptionError), no room for a cursor.
func (s *Spool) Consume(ctx context.Context, name string, sink Sink, o ConsumerOptions) error {
	if err := checkName(name); err != nil {
		return err
	}
	c, err := s.startConsumer(name, sink)
	if err != nil {
		return err
	}
	defer s.stopConsumer(c)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	d := &delivery{s: s, c: c, sink: sink, o: o.withDefaults(), log: s.log.With("sink", name)}
	d.r = s.newReader(c.cursor.next)
	defer func() { d.r.close() }() // the one that is read with in the end
	d.run(ctx)
	return nil
}

// Register creates the cursor of a consumer that will run later, standing at
// the oldest record, so that nothing it needs is removed before it first runs.
// Where the consumer is known already, nothing changes. Errors as Consume's.
func (s *Spool) Register(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.register(name)
	return err
}

// register returns the consumer of this name, a new one with its cursor on
// disk. The caller holds mu.
func (s *Spool) register(name string) (*consumer, error) {
	if s.closed {
		return nil, ErrClosed
	}
	if c := s.consumers[name]; c != nil {
		return c, c.broken
	}
	c := newConsumer(name)
	c.cursor = &cursor{disk: s.disk, id: s.id, name: name + cursorExt}
	start := position{next: s.committed + 1}
	if len(s.segments) > 0 {
		start.next = s.segments[0].base
	}
	if err := c.cursor.save(start); err != nil {
		return nil, err
	}
	c.next = start.next
	s.consumers[name] = c
	return c, nil
}

func (s *Spool) startConsumer(name string, sink Sink) (*consumer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.register(name)
	if err != nil {
		return nil, err
	}
	if c.running {
		return nil, fmt.Errorf("consumer %s is running already", name)
	}
	if s.committed >= c.next {
		c.pending = time.Now()
	}
	c.running = true
	_, c.yields = sink.(Yielder)
	s.workers.Add(1)
	return c, nil
}

func (s *Spool) stopConsumer(c *consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.running, c.pending, c.batch = false, time.Time{}, time.Time{}
	c.yields, c.yieldTo, c.interrupt = false, 0, func() {}
	s.workers.Done()
}
