package forward

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

// serviceName is the file in a queue's folder that says whose it is, for the
// folder may outlive what is configured.
const serviceName = "service"

// sign writes whose queue it is, where that is not said yet.
func sign(dir, service string) error {
	path := filepath.Join(dir, serviceName)
	if said, err := os.ReadFile(path); err == nil && string(said) == service+"\n" {
		return nil
	}
	if err := consent.WriteFile(path, []byte(service+"\n"), 0o600); err != nil {
		return fmt.Errorf("say whose queue it is: %w", err)
	}
	return nil
}

// Abandon ends as dead what waits in the queue of a recipient that is no longer
// configured, and returns whose it was and how many events that were. Of the
// options it takes Queue, Outcomes, Logger and Now. Repeated after an error or a
// crash it records the same once more, which does no harm. A queue of an earlier
// version does not say whose it is: fs.ErrNotExist.
func Abandon(ctx context.Context, o Options) (service string, events int, err error) {
	o = o.withDefaults()
	said, err := os.ReadFile(filepath.Join(o.Queue, serviceName))
	if err != nil {
		return "", 0, fmt.Errorf("look whose queue it is: %w", err)
	}
	service = strings.TrimSuffix(string(said), "\n")
	nobody := func(*collector.Event) string { return "" } // nothing is sent, so order does not matter
	q, err := openQueue(o.Queue, spool.Options{MaxBytes: o.QueueBytes, Logger: o.Logger, Now: o.Now}, nobody, func(key, uint64) {})
	if err != nil {
		return service, 0, err
	}
	events, err = q.abandon(ctx, service, o)
	return service, events, errors.Join(err, q.Close())
}

// abandon ends what stands in the queue, some at a time: it may be much.
func (q *queue) abandon(ctx context.Context, service string, o Options) (events int, err error) {
	var some []collector.Forward
	size := 0
	record := func() error {
		if len(some) == 0 {
			return nil
		}
		if err := o.Outcomes.Record(ctx, some); err != nil {
			return err
		}
		events += len(some)
		some, size = nil, 0
		return nil
	}
	err = q.Replay(q.next(), func(r spool.Record) error {
		if r.Kind != spool.KindEvent {
			return nil
		}
		w, ev, err := readWaiting(r)
		if err != nil {
			return err
		}
		if k := keyOf(ev.ID, ev.Token.Receipt); q.ended[k] || q.standsLater(k, r.Seq) {
			return nil
		}
		f := collector.Forward{
			Site: strings.Clone(ev.Site), EventID: strings.Clone(ev.ID), EventSeq: ev.Seq, ReceiptID: ev.Token.Receipt, Destination: service,
			State: collector.Dead, Reason: Unconfigured, Attempts: w.attempts, Time: o.Now().UTC(), Token: ev.Token,
		}
		some, size = append(some, f), size+sizeOf(f)
		if size < maxRecordedBytes {
			return nil
		}
		return record()
	})
	if err == nil {
		err = record()
	}
	return events, err
}
