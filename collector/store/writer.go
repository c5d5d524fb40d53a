package store

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

// Deliver writes a batch of the spool; it is the Sink of the spool's consumer.
// nil means that every record of the batch is stored, has taken effect, or
// lies in the dead-letter file with its reason. An error means that ClickHouse
// could not be asked or did not answer: the same batch is to come again.
//
// Everything of the batch is inserted first; then withdrawals and tombstones
// take their rows back. Those name rows by seq, so that a batch that comes
// twice does not touch what was collected later under a new grant.
func (s *Store) Deliver(ctx context.Context, b spool.Batch) error {
	if !s.prepared.Load() {
		return ErrNotPrepared
	}
	d := s.decode(b)
	for _, t := range d.tables() {
		bad, err := s.insert(ctx, &b, t)
		if err != nil {
			return fmt.Errorf("write records %d–%d to %s: %w", b.First, b.Last, t.name, err)
		}
		for _, rejected := range bad {
			d.reject(rejected.row.identity().Seq, rejected.reason)
		}
	}
	if err := s.takeBack(ctx, b.Spool, d.cuts); err != nil {
		return fmt.Errorf("take back records before %d: %w", b.Last, err)
	}
	if err := s.dead.write(d.dead); err != nil {
		return err
	}
	if len(d.dead) > 0 {
		s.log.WarnContext(ctx, "records went to the dead-letter file", "batch", b.First, "records", len(d.dead), "err", d.dead[0].Reason)
	}
	return nil
}

// decoded is a batch as rows and cuts.
type decoded struct {
	batch    spool.Batch
	events   []row
	receipts []row
	forwards []row
	counters counterRows
	cuts     []cut
	dead     []DeadLetter
}

// table is the rows of a batch that one table takes.
type table struct {
	name     string
	row      reflect.Type
	identity string // identity.Of in SQL
	rows     []row
}

func (d *decoded) tables() []table {
	return []table{
		{"receipts", reflect.TypeFor[receiptRow](), "''", d.receipts},
		{"events", reflect.TypeFor[eventRow](), "''", d.events},
		{"forwards", reflect.TypeFor[forwardRow](), "''", d.forwards},
		{"counters", reflect.TypeFor[counterRow](), counterIdentity, d.counters.rows},
	}
}

// decode turns records into rows. The same batch always gives the same rows.
func (s *Store) decode(b spool.Batch) *decoded {
	d := &decoded{batch: b}
	for i := range b.Records {
		if err := s.decodeRecord(d, &b.Records[i]); err != nil {
			d.reject(b.Records[i].Seq, err.Error())
		}
	}
	return d
}

func (s *Store) decodeRecord(d *decoded, r *spool.Record) error {
	at := origin{SpoolID: d.batch.Spool, Seq: r.Seq}
	switch r.Kind {
	case spool.KindEvent:
		e, err := collector.DecodeEvent(r.Data)
		if err != nil {
			return err
		}
		row, err := newEventRow(&e, at, s.o.Retention(e.Site))
		if err != nil {
			return err
		}
		d.events = append(d.events, row)
	case spool.KindReceipt:
		receipt, err := consent.DecodeReceipt(r.Data)
		if err != nil {
			return err
		}
		d.receipts = append(d.receipts, newReceiptRow(&receipt, r.Data, at, s.o.Retention(receipt.Site)))
	case spool.KindForward:
		f, err := collector.DecodeForward(r.Data)
		if err != nil {
			return err
		}
		d.forwards = append(d.forwards, newForwardRow(&f, at, s.o.Retention(f.Site)))
	case spool.KindCounter:
		counts, err := consent.DecodeCounts(r.Data)
		if err != nil {
			return err
		}
		for _, c := range counts {
			d.counters.add(c, at, s.o.Retention(c.Site))
		}
	case spool.KindWithdrawal:
		w, err := consent.DecodeWithdrawal(r.Data)
		if err != nil {
			return err
		}
		if w.Events != "" {
			d.cuts = append(d.cuts, cut{consentID: w.ConsentID, before: r.Seq, at: w.Time, erase: w.Events == consent.Erase})
		}
	case spool.KindTombstone:
		t, err := consent.DecodeTombstone(r.Data)
		if err != nil {
			return err
		}
		d.cuts = append(d.cuts, cut{consentID: t.ConsentID, before: r.Seq, at: t.Time, erase: true})
	default:
		return fmt.Errorf("records of kind %d are unknown to this version", r.Kind)
	}
	return nil
}

// reject sends the record with this seq to the dead letters.
func (d *decoded) reject(seq uint64, reason string) {
	for i := range d.batch.Records {
		if r := &d.batch.Records[i]; r.Seq == seq {
			d.dead = append(d.dead, DeadLetter{
				Time: time.Now().UTC(), Spool: d.batch.Spool, Seq: seq, Kind: kindName(r.Kind), Reason: reason, Data: r.Data,
			})
			return
		}
	}
}

func kindName(k spool.Kind) string {
	names := map[spool.Kind]string{
		spool.KindEvent: "event", spool.KindReceipt: "receipt", spool.KindWithdrawal: "withdrawal",
		spool.KindTombstone: "tombstone", spool.KindCounter: "counter", spool.KindForward: "forward",
	}
	if name, ok := names[k]; ok {
		return name
	}
	return fmt.Sprint(uint8(k))
}

// counterRows sums counts per key and hour. A row takes the seq of the first
// record that adds to it, so equal batches make equal rows.
type counterRows struct {
	rows  []row
	index map[consent.Count]*counterRow // by everything but N
}

func (c *counterRows) add(count consent.Count, at origin, keep Retention) {
	key := count
	key.N, key.Hour = 0, count.Hour.UTC().Truncate(time.Hour)
	if sum, ok := c.index[key]; ok {
		sum.N += count.N
		return
	}
	if c.index == nil {
		c.index = map[consent.Count]*counterRow{}
	}
	row := newCounterRow(count, at, keep)
	c.index[key] = row
	c.rows = append(c.rows, row)
}
