package forward

import (
	"context"

	"sluice/collector"
	"sluice/collector/spool"
)

// NoRoom is the reason of a dead event that waited while the spool filled up.
const NoRoom = "spool_full"

var _ spool.Yielder = (*Sink)(nil)

// Yield ends what was still to be sent of a batch, since the spool needs the
// room: it is dead, unless consent has gone meanwhile. Where not even that can
// be recorded the log and Stats have the number, for waiting would keep the
// spool full.
func (s *Sink) Yield(ctx context.Context, b spool.Batch) error {
	for part := range s.parts(b) {
		s.giveUp(ctx, part)
	}
	return nil
}

func (s *Sink) giveUp(ctx context.Context, b spool.Batch) {
	var done []collector.Forward
	for _, lane := range s.lanes(b) {
		for _, t := range lane {
			t.sift(s.o.Now())
			t.end(t.events, collector.Dead, NoRoom)
			done = append(done, t.done...)
		}
	}
	for some := range pieces(done, maxRecordedBytes, sizeOf) {
		if err := s.o.Outcomes.Record(ctx, some); err != nil {
			s.log.ErrorContext(ctx, "events given up, and no row says so", "events", len(some), "err", err)
		}
		s.account(some, b.Last)
	}
}
