package spool

import "context"

// Yielder is a Sink that would rather lose records than have the spool refuse
// new ones. Where the disk's limit is near and such consumers alone hold the
// oldest segment, they give up what they have not delivered of it.
type Yielder interface {
	Sink
	// Yield takes leave of records that will not be given to Deliver again; some
	// of them may have been. It is called until it returns nil, or ctx ends.
	Yield(ctx context.Context, b Batch) error
}

// makeRoom asks those who hold the oldest segment to give it up, if all of them
// would.
func (s *Spool) makeRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) < 2 {
		return
	}
	until := s.segments[1].base
	if s.pinnedBy(func(c *consumer) bool { return !c.yields }) < until {
		return
	}
	for _, c := range s.consumers {
		if c.yields && c.next < until && c.yieldTo < until {
			c.yieldTo = until
			s.log.Warn("spool is nearly full: records that only this consumer needs are given up", "sink", c.name, "before", until)
			c.interrupt()
		}
	}
}

// yielding returns up to which seq, exclusive, this consumer has to give up
// what it holds; 0: nothing.
func (d *delivery) yielding() uint64 {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.c.yieldTo <= d.c.next {
		return 0
	}
	return d.c.yieldTo
}

// yield gives up everything before until. False when ctx ended first.
func (d *delivery) yield(ctx context.Context, until uint64) bool {
	sink := d.sink.(Yielder)
	d.r.close()
	d.r = d.s.newReader(d.c.cursor.next)
	for d.r.from < until {
		b, ok := d.collect(ctx, until-1, d.o.MaxRecords, d.o.MaxBytes)
		if !ok {
			return false
		}
		if len(b.Records) > 0 && !d.retry(ctx, func() error { return sink.Yield(ctx, b) }) {
			return false
		}
		if !d.move(ctx, b.Last+1) {
			return false
		}
		d.s.mu.Lock()
		d.c.yielded += uint64(len(b.Records))
		d.s.mu.Unlock()
	}
	return true
}

// interruptible returns a context that also ends when this consumer has to
// yield.
func (d *delivery) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.c.interrupt = cancel
	if d.c.yieldTo > d.c.next {
		cancel()
	}
	return ctx, cancel
}
