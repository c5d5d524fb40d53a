package forward

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sluice/collector/spool"
)

// taker takes a second for each batch.
type taker struct{ err error }

func (t taker) Deliver(context.Context, spool.Batch) error { time.Sleep(time.Second); return t.err }
func (taker) Yield(context.Context, spool.Batch) error     { return nil }

// TestGathering lets batches come no faster than their events are to be
// gathered, where they are large and nothing waits behind them.
func TestGathering(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	for _, tt := range []struct {
		name  string
		batch spool.Batch
		err   error
		stop  time.Duration // when the context ends; 0: it does not
		want  time.Duration
	}{
		{"few", spool.Batch{Records: make([]spool.Record, gatherFrom-1)}, nil, 0, time.Second},
		{"many", spool.Batch{Records: make([]spool.Record, gatherFrom)}, nil, 0, gatherTime},
		{"a backlog", spool.Batch{Records: make([]spool.Record, maxBatch), More: true}, nil, 0, time.Second},
		{"not delivered", spool.Batch{Records: make([]spool.Record, gatherFrom)}, away, 0, time.Second},
		{"stopped", spool.Batch{Records: make([]spool.Record, gatherFrom)}, nil, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.stop > 0 {
					time.AfterFunc(tt.stop, cancel)
				}
				began := time.Now()
				if err := (gathering{taker{tt.err}}).Deliver(ctx, tt.batch); !errors.Is(err, tt.err) {
					t.Errorf("delivered with %v, want %v", err, tt.err)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
			})
		})
	}
}
