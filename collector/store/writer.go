package store

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

// WriterName is the name of the spool's consumer that Deliver is the sink of.
const WriterName = "clickhouse"

// Deliver writes a batch of the spool; it is the Sink of the spool's consumer.
// nil means that every record of the batch is stored, or lies among the dead
// letters with its reason. An error means that ClickHouse could not be asked or
// did not answer: the same batch is to come again. Withdrawals and tombstones
// are left to [Store.RunTakeBack].
func (s *Store) Deliver(ctx context.Context, b spool.Batch) error {
	if !s.prepared.Load() {
		return ErrNotPrepared
	}
	d := s.decode(&b, false)
	dead, err := s.write(ctx, &b, d)
	if err != nil {
		return err
	}
	if err := s.bury(ctx, &b, dead); err != nil {
		return err
	}
	s.tell(d, dead)
	return nil
}

// tell counts the events of a batch by site. One that cannot be read at all
// belongs to none.
func (s *Store) tell(d *decoded, dead []DeadLetter) {
	if s.o.Delivered == nil {
		return
	}
	type settled struct{ stored, dead int }
	sites := map[string]*settled{}
	of := func(site string) *settled {
		if sites[site] == nil {
			sites[site] = &settled{}
		}
		return sites[site]
	}
	buried := map[uint64]bool{}
	for _, l := range dead {
		buried[l.Seq] = true
		if e, err := collector.DecodeEventHead(l.Data); err == nil && l.Kind == spool.KindEvent {
			of(e.Site).dead++
		}
	}
	for _, r := range d.events {
		r := r.(*eventRecord)
		if e, err := collector.DecodeEventHead(r.Data); err == nil && !buried[r.Seq] {
			of(e.Site).stored++
		}
	}
	for site, n := range sites {
		s.o.Delivered(site, n.stored, n.dead)
	}
}

// write inserts the rows of a batch and returns what no table takes.
func (s *Store) write(ctx context.Context, b *spool.Batch, d *decoded) ([]DeadLetter, error) {
	for _, t := range d.tables() {
		bad, err := s.insertAll(ctx, b, t)
		if err != nil {
			return nil, fmt.Errorf("write records %d–%d to %s: %w", b.First, b.Last, t.name, err)
		}
		d.reject(bad)
	}
	return d.dead, nil
}

// decoded is a batch as rows.
type decoded struct {
	batch    *spool.Batch
	records  []eventRecord // what events points to
	events   []row
	receipts []row
	forwards []row
	counters counterRows
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

// decode turns records into rows, events into what makes them (see
// eventRecord). The same batch always gives the same rows. With apart, counts of
// different records stay in different rows.
func (s *Store) decode(b *spool.Batch, apart bool) *decoded {
	d := &decoded{batch: b, counters: counterRows{apart: apart}}
	d.records = make([]eventRecord, 0, len(b.Records))
	for i := range b.Records {
		r := &b.Records[i]
		if err := s.decodeRecord(d, r); err != nil {
			d.dead = append(d.dead, newDeadLetter(b.Spool, *r, err))
		}
	}
	return d
}

func (s *Store) decodeRecord(d *decoded, r *spool.Record) error {
	at := origin{SpoolID: d.batch.Spool, Seq: r.Seq}
	switch r.Kind {
	case spool.KindEvent:
		d.records = append(d.records, eventRecord{r, d.batch, s})
		d.events = append(d.events, &d.records[len(d.records)-1])
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
	case spool.KindWithdrawal, spool.KindTombstone: // see TakeBack
	case spool.KindContact: // the consent index has it, and no table
	default:
		return fmt.Errorf("records of kind %d are unknown to this version", r.Kind)
	}
	return nil
}

// reject makes dead letters of rows that their table refused. That of an event
// is its record. That of counters is the sum that was refused: others of the
// same records may be stored.
func (d *decoded) reject(bad []rejected) {
	counts := map[uint64][]consent.Count{} // by seq
	for _, r := range bad {
		seq := r.row.identity().Seq
		at, _ := slices.BinarySearchFunc(d.batch.Records, seq, func(r spool.Record, seq uint64) int { return cmp.Compare(r.Seq, seq) })
		record := d.batch.Records[at]
		if c, ok := r.row.(*counterRow); ok {
			counts[seq] = append(counts[seq], c.count())
			record.Data = consent.AppendCounts(nil, counts[seq])
			d.dead = slices.DeleteFunc(d.dead, func(l DeadLetter) bool { return l.Seq == seq })
		}
		d.dead = append(d.dead, newDeadLetter(d.batch.Spool, record, r.err))
	}
}

// counterRows sums counts per key and hour. A row takes the seq of the first
// record that adds to it, so equal batches make equal rows.
type counterRows struct {
	rows  []row
	index map[counterKey]*counterRow
	apart bool // sum no further than one record
}

type counterKey struct {
	consent.Count        // everything but N
	seq           uint64 // 0 where sums go across records
}

func (c *counterRows) add(count consent.Count, at origin, keep Retention) {
	key := counterKey{Count: count}
	key.N, key.Hour = 0, count.Hour.UTC().Truncate(time.Hour)
	if c.apart {
		key.seq = at.Seq
	}
	if sum, ok := c.index[key]; ok {
		sum.N += count.N
		return
	}
	if c.index == nil {
		c.index = map[counterKey]*counterRow{}
	}
	row := newCounterRow(count, at, keep)
	c.index[key] = row
	c.rows = append(c.rows, row)
}
