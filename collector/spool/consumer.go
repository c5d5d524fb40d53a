package spool

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
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
	Kinds      []Kind        // of the records that the sink gets; nil: all
	MaxRecords int           // per batch. 0: 50 000
	MaxBytes   int           // data per batch, exceeded only by a single larger record. 0: 16 MiB
	MaxWait    time.Duration // how long a record waits for others to fill a batch. 0: 1 s

	// A failed batch is delivered again after a pause, drawn evenly between 0
	// and MinBackoff doubled with each attempt up to MaxBackoff.
	MinBackoff time.Duration // 0: 200 ms
	MaxBackoff time.Duration // 0: 60 s
}

func (o ConsumerOptions) withDefaults() ConsumerOptions {
	if o.MaxRecords <= 0 {
		o.MaxRecords = 50_000
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
}

func newConsumer(name string) *consumer {
	return &consumer{name: name, told: make(chan struct{}, 1), want: math.MaxUint64}
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
// name stopped last; a new one starts with the oldest record in the spool. It
// runs until ctx is done or the spool closes, and then returns nil; an error
// means that it could not start: a name that is no file name or is running, a
// damaged cursor (*CorruptionError), no room for a cursor.
func (s *Spool) Consume(ctx context.Context, name string, sink Sink, o ConsumerOptions) error {
	if err := checkName(name); err != nil {
		return err
	}
	c, err := s.startConsumer(name)
	if err != nil {
		return err
	}
	defer s.stopConsumer(c)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	d := &delivery{s: s, c: c, sink: sink, o: o.withDefaults(), log: s.log.With("sink", name)}
	d.r = s.newReader(c.cursor.next)
	defer d.r.close()
	d.run(ctx)
	return nil
}

func (s *Spool) startConsumer(name string) (*consumer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	c := s.consumers[name]
	switch {
	case c == nil:
		c = newConsumer(name)
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
	case c.running:
		return nil, fmt.Errorf("consumer %s is running already", name)
	case c.broken != nil:
		return nil, c.broken
	}
	if s.committed >= c.next {
		c.pending = time.Now()
	}
	c.running = true
	s.workers.Add(1)
	return c, nil
}

func (s *Spool) stopConsumer(c *consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.running, c.pending, c.batch = false, time.Time{}, time.Time{}
	s.workers.Done()
}

// delivery is one run of a consumer.
type delivery struct {
	s    *Spool
	c    *consumer
	sink Sink
	o    ConsumerOptions
	log  *slog.Logger
	r    *reader
	full bool // the last batch ended at a limit: more waits already
}

func (d *delivery) run(ctx context.Context) {
	d.reportGap()
	if p := d.c.cursor.position; p.inFlight() && !d.again(ctx, p) {
		return
	}
	for {
		until, ok := d.wait(ctx)
		if !ok {
			return
		}
		b, ok := d.collect(ctx, until, d.o.MaxRecords, d.o.MaxBytes)
		if !ok || !d.deliver(ctx, b, 1) {
			return
		}
	}
}

// reportGap reports records that this consumer never saw and that are gone.
func (d *delivery) reportGap() {
	d.s.mu.Lock()
	var oldest *segment
	if len(d.s.segments) > 0 {
		oldest = d.s.segments[0]
	}
	d.s.mu.Unlock()
	if oldest != nil && d.c.cursor.next < oldest.base {
		d.s.reportLost(oldest, d.c.cursor.next, oldest.base-1, 0, errMissing)
	}
}

// again delivers the batch that was in flight when the process ended.
func (d *delivery) again(ctx context.Context, p position) bool {
	b, ok := d.collect(ctx, p.last, math.MaxInt, math.MaxInt)
	if !ok {
		return false
	}
	b.Recovered = true
	if sum := batchSum(b.Records); sum != p.sum {
		d.log.WarnContext(ctx, "batch in flight reads differently now: damaged, or other kinds are asked for",
			"first", b.First, "last", b.Last)
	}
	return d.deliver(ctx, b, int(p.attempt)+1)
}

// wait returns when there is something to collect, up to the seq it returns:
// a full batch, or a record that has waited long enough.
func (d *delivery) wait(ctx context.Context) (until uint64, ok bool) {
	next := d.r.from
	if !d.waitFor(ctx, next, nil) {
		return 0, false
	}
	if !d.full {
		d.s.mu.Lock()
		since := d.c.pending
		d.s.mu.Unlock()
		timer := time.NewTimer(time.Until(since.Add(d.o.MaxWait)))
		ok := d.waitFor(ctx, next+uint64(d.o.MaxRecords)-1, timer.C)
		timer.Stop()
		if !ok {
			return 0, false
		}
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.c.batch, d.c.pending = d.c.pending, time.Time{}
	return d.s.committed, true
}

// waitFor returns true once seq is committed or the time is up, false when ctx
// is done.
func (d *delivery) waitFor(ctx context.Context, seq uint64, timeUp <-chan time.Time) bool {
	for {
		d.s.mu.Lock()
		reached := d.s.committed >= seq
		d.c.want = seq
		if reached {
			d.c.want = math.MaxUint64
		}
		d.s.mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
		if reached {
			return true
		}
		select {
		case <-d.c.told:
		case <-timeUp:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// collect reads the next batch, up to the committed seq until. Where the disk
// does not let it, it tries again until ctx is done.
func (d *delivery) collect(ctx context.Context, until uint64, maxRecords, maxBytes int) (Batch, bool) {
	b := Batch{Spool: d.s.id, First: d.r.from}
	var data arena
	size := 0
	for attempt := 1; ; {
		rec, ok, err := d.r.peek()
		if err != nil {
			d.failed(ctx, attempt, err)
			if !d.pause(ctx, attempt) {
				return Batch{}, false
			}
			attempt++
			continue
		}
		if !ok || rec.Seq > until {
			return d.bounded(b, until, false), true
		}
		if d.o.Kinds == nil || slices.Contains(d.o.Kinds, rec.Kind) {
			size += len(rec.Data)
			if len(b.Records) > 0 && (len(b.Records) >= maxRecords || size > maxBytes) {
				return d.bounded(b, rec.Seq-1, true), true
			}
			rec.Data = data.copy(rec.Data)
			b.Records = append(b.Records, rec)
		}
		d.r.skip()
	}
}

// bounded ends b at last, present or lost, and the next batch begins behind it.
func (d *delivery) bounded(b Batch, last uint64, full bool) Batch {
	b.Last, d.full, d.r.from = last, full, last+1
	return b
}

// deliver hands b to the sink until it takes it. False when ctx ended first:
// then b stays in flight.
func (d *delivery) deliver(ctx context.Context, b Batch, attempt int) bool {
	if len(b.Records) > 0 {
		p := position{next: b.First, first: b.First, last: b.Last, sum: batchSum(b.Records)}
		for ; ; attempt++ {
			b.Attempt, p.attempt = attempt, uint32(attempt)
			err := d.c.cursor.save(p)
			if err == nil {
				err = d.sink.Deliver(ctx, b)
			}
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return false
			}
			d.failed(ctx, attempt, err)
			if !d.pause(ctx, attempt) {
				return false
			}
		}
	}
	for attempt := 1; ; attempt++ {
		err := d.c.cursor.save(position{next: b.Last + 1})
		if err == nil {
			d.advanced(b.Last + 1)
			return true
		}
		d.failed(ctx, attempt, err)
		if !d.pause(ctx, attempt) {
			return false
		}
	}
}

// failed notes an attempt that did not work out.
func (d *delivery) failed(ctx context.Context, attempt int, err error) {
	d.log.WarnContext(ctx, "batch waits for another attempt", "attempt", attempt, "err", err)
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.c.attempt, d.c.lastErr = attempt, err
}

// advanced notes that the cursor on disk stands at next.
func (d *delivery) advanced(next uint64) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.c.next, d.c.attempt, d.c.lastErr, d.c.batch = next, 0, nil, time.Time{}
	d.s.wakeJanitor()
}

func (d *delivery) pause(ctx context.Context, attempt int) bool {
	timer := time.NewTimer(d.o.backoff(attempt))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// batchSum tells whether a batch reads the same again.
func batchSum(records []Record) uint32 {
	var sum uint32
	var head [9]byte
	for _, r := range records {
		binary.BigEndian.PutUint64(head[:], r.Seq)
		head[8] = byte(r.Kind)
		sum = crc32.Update(crc32.Update(sum, castagnoli, head[:]), castagnoli, r.Data)
	}
	return sum
}

// arena copies many small byte strings into few large ones.
type arena struct{ free []byte }

const arenaBlock = 64 << 10

func (a *arena) copy(b []byte) []byte {
	if len(b) > cap(a.free)-len(a.free) {
		a.free = make([]byte, 0, max(arenaBlock, len(b)))
	}
	start := len(a.free)
	a.free = append(a.free, b...)
	return a.free[start:len(a.free):len(a.free)]
}
