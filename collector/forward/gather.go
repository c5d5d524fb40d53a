package forward

import (
	"context"
	"time"

	"sluice/collector/spool"
)

const (
	// gatherTime is how long events wait for others of their visitor where there
	// are many; gtag.js holds its own back for as long.
	gatherTime = 5 * time.Second
	// gatherFrom is how many events a batch has where there are many. Fewer are
	// sent at once.
	gatherFrom = 500
)

// gathering lets at least gatherTime pass from one batch with many events to
// the next. A visitor's events come close together, the page, then how far it
// was read and for how long, and those of a batch share a request: less work for
// both ends, and a withdrawal meanwhile finds them still here.
type gathering struct{ yieldingSink }

type yieldingSink interface {
	spool.Sink
	spool.Yielder
}

// Deliver implements [spool.Sink].
func (g gathering) Deliver(ctx context.Context, b spool.Batch) error {
	began := time.Now()
	if err := g.yieldingSink.Deliver(ctx, b); err != nil {
		return err
	}
	if len(b.Records) >= gatherFrom && !b.More {
		_ = pause(ctx, gatherTime-time.Since(began)) // cut short, the batch is delivered all the same
	}
	return nil
}
