package server

import (
	"context"
	"path/filepath"
	"time"

	"sluice/collector"
	"sluice/collector/spool"
)

// seenName is the cursor of the consumer that notes which events were
// accepted.
const seenName = "seen"

// noting is the sink that writes down the keys of accepted events, as pickKey
// leaves them, so that the next run knows them. It is all that
// [collector.SeenLog] is used from.
type noting struct {
	log *collector.SeenLog
	now func() time.Time
}

func (n noting) Deliver(_ context.Context, b spool.Batch) error {
	keys := make([]collector.EventKey, len(b.Records))
	for i, r := range b.Records {
		copy(keys[i][:], r.Data)
	}
	return n.log.Append(keys, n.now())
}

// pickKey leaves the key of an event's record. What is none is the writer's to
// report, and nobody's duplicate.
func pickKey(r spool.Record) (data []byte, ok bool) {
	key, err := collector.KeyOfRecord(r.Data)
	return key[:], err == nil
}

// recallEvents tells the collector which events earlier runs have accepted:
// those that were written down, and those behind the cursor. It has to come
// before the doors open, or a client whose answer a kill cut off would have
// its events stored twice when it repeats them.
func (m *machine) recallEvents() error {
	log, err := collector.OpenSeenLog(filepath.Join(m.config.DataDir, "seen"))
	if err != nil {
		return err
	}
	m.noting = noting{log, m.now}
	if err := log.Load(m.now(), m.collector.Remember); err != nil {
		return err
	}
	s := m.state.journal.spool
	from := uint64(0)
	for _, c := range s.Stats().Consumers {
		if c.Name == seenName {
			from = c.Next
		}
	}
	return s.Replay(from, func(r spool.Record) error {
		if r.Kind != spool.KindEvent {
			return nil
		}
		if key, err := collector.KeyOfRecord(r.Data); err == nil {
			m.collector.Remember([]collector.EventKey{key}, m.now())
		}
		return nil
	})
}

// note is the consumer that writes down which events were accepted.
func (m *machine) note(ctx context.Context) {
	err := m.state.journal.spool.Consume(ctx, seenName, m.noting, spool.ConsumerOptions{Kinds: []spool.Kind{spool.KindEvent}, Pick: pickKey})
	m.ended(ctx, seenName, err)
	if err := m.noting.log.Close(); err != nil {
		m.log.WarnContext(ctx, "seen events not closed; they are on disk all the same", "err", err)
	}
}
