package spool

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"math"
	"slices"
	"time"
)

// delivery is one run of a consumer.
type delivery struct {
	s    *Spool
	c    *consumer
	sink Sink
	o    ConsumerOptions
	log  *slog.Logger
	r    *reader
	full bool // the last batch ended at a limit: more waits already
	last int  // records in the last batch
}

func (d *delivery) run(ctx context.Context) {
	d.reportGap()
	if p := d.c.cursor.position; p.inFlight() && !d.again(ctx, p) {
		return
	}
	for {
		if until := d.yielding(); until > 0 && !d.yield(ctx, until) {
			return
		}
		until, ok := d.wait(ctx)
		if !ok {
			return
		}
		last := min(until, d.r.from+maxLooked-1)
		b, ok := d.collect(ctx, last, d.o.MaxRecords, d.o.MaxBytes)
		d.full = d.full || last < until
		b.More = d.full
		if !ok || !d.deliver(ctx, b, 1) {
			return
		}
	}
}

// maxLooked is how many records, wanted or not, are looked at for a batch: a
// second's work, before the cursor moves and somebody may stop it.
const maxLooked = 1 << 20

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
		d.log.WarnContext(ctx, "batch in flight reads differently now: damaged, or others of its records are asked for",
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
	b := Batch{Spool: d.s.id, First: d.r.from, Records: make([]Record, 0, d.last+d.last/8)}
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
		if d.picks(&rec) {
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

// picks reports whether the sink gets a record, and leaves of it what it gets.
func (d *delivery) picks(r *Record) bool {
	if d.o.Kinds != nil && !slices.Contains(d.o.Kinds, r.Kind) {
		return false
	}
	if d.o.Pick == nil {
		return true
	}
	data, ok := d.o.Pick(*r)
	r.Data = data
	return ok
}

// bounded ends b at last, present or lost, and the next batch begins behind it.
func (d *delivery) bounded(b Batch, last uint64, full bool) Batch {
	b.Last, d.full, d.r.from = last, full, last+1
	d.last = len(b.Records)
	return b
}

// deliver hands b to the sink until it takes it, or until the spool needs the
// room. False when ctx ended first: then b stays in flight.
func (d *delivery) deliver(ctx context.Context, b Batch, attempt int) bool {
	if len(b.Records) > 0 {
		work, cancel := d.interruptible(ctx)
		defer cancel()
		p := position{next: b.First, first: b.First, last: b.Last, sum: batchSum(b.Records)}
		attempt--
		taken := d.retry(work, func() error {
			attempt++
			b.Attempt, p.attempt = attempt, uint32(attempt)
			if err := d.c.cursor.save(p); err != nil {
				return err
			}
			if b.Records == nil && !d.reread(work, &b) {
				return work.Err()
			}
			if len(b.Records) == 0 {
				return nil // lost in between, and reported
			}
			err := d.sink.Deliver(work, b)
			if err != nil {
				b.Records = nil
			}
			return err
		})
		if !taken {
			return ctx.Err() == nil && d.yield(ctx, d.yielding())
		}
	}
	return d.move(ctx, b.Last+1)
}

// reread brings back the records of a batch, which are not kept while it waits
// for another attempt: an outage must not cost memory. False when ctx ended
// first.
func (d *delivery) reread(ctx context.Context, b *Batch) bool {
	d.r.close()
	d.r = d.s.newReader(b.First)
	again, ok := d.collect(ctx, b.Last, math.MaxInt, math.MaxInt)
	b.Records = again.Records
	return ok
}

// retry calls fn until it succeeds; false when ctx ended first.
func (d *delivery) retry(ctx context.Context, fn func() error) bool {
	for attempt := 1; ; attempt++ {
		err := fn()
		if err == nil {
			return true
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

// move brings the cursor to next, on disk first.
func (d *delivery) move(ctx context.Context, next uint64) bool {
	if !d.retry(ctx, func() error { return d.c.cursor.save(position{next: next}) }) {
		return false
	}
	d.advanced(next)
	return true
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
