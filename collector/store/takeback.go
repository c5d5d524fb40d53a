package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"sluice/collector/spool"
	"sluice/consent"
)

// cut takes back what was collected under one consent before a withdrawal or
// an erasure.
type cut struct {
	consentID uuid.UUID
	before    uint64    // seq of the record that asks for it; later rows of this spool stay
	at        time.Time // and later ones of other servers' spools
	erase     bool      // delete the rows; else anonymise them
}

// RunTakeBack carries out the withdrawals and tombstones of sp until ctx is
// done, each once the consumer called writer, whose sink is the store, has
// stored what came before it. It is a consumer of its own, called
// TakeBackName, so that the writer waits for no mutation. The error is that of
// [spool.Spool.Consume].
//
// The bound: what a withdrawal takes back is gone from every query after
// takeBackWait, the writer's own delay (about a second), the mutation that is
// under way, and its own. One took 15 s where the rows lay scattered over 5
// million events, on two busy cores; 100 withdrawals together took 17 s, and
// new events were visible within 1.7 s all the while. What is asked meanwhile
// is taken back together by the next mutation.
func (s *Store) RunTakeBack(ctx context.Context, sp *spool.Spool, writer string) error {
	stored := func(seq uint64) bool {
		return slices.ContainsFunc(sp.Stats().Consumers, func(c spool.ConsumerStats) bool { return c.Name == writer && c.Next > seq })
	}
	return sp.Consume(ctx, TakeBackName, takeBackSink{s, stored}, spool.ConsumerOptions{
		Kinds:   []spool.Kind{spool.KindWithdrawal, spool.KindTombstone},
		MaxWait: takeBackWait, MaxRecords: 1_000_000, MaxBackoff: 10 * time.Second,
	})
}

// TakeBackName is the name of the consumer that RunTakeBack is.
const TakeBackName = "takeback"

const (
	// takeBackWait is how long a withdrawal waits for others.
	takeBackWait = 2 * time.Second
	// storedPoll is how often a withdrawal looks whether the writer is past it.
	storedPoll = 50 * time.Millisecond
)

// takeBackSink gives batches to TakeBack, each in its time.
type takeBackSink struct {
	*Store
	stored func(seq uint64) bool // whether the writer has stored every record up to seq
}

func (t takeBackSink) Deliver(ctx context.Context, b spool.Batch) error {
	tick := time.NewTicker(storedPoll)
	defer tick.Stop()
	for last := b.Records[len(b.Records)-1].Seq; !t.stored(last); {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the writer: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return t.TakeBack(ctx, b)
}

// TakeBack carries out the withdrawals and tombstones of a batch; its other
// records it passes over, but none of these: one that cannot be read is an
// error. Every record before them has to be stored already. It may be
// repeated: rows that were anonymised name no receipt any more, and
// rows that were deleted are gone. Rows are named by seq, so that what was
// collected later under a new grant stays as it is.
func (s *Store) TakeBack(ctx context.Context, b spool.Batch) error {
	var cuts []cut
	for _, r := range b.Records {
		c, err := decodeCut(r)
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Seq, err)
		}
		if c != nil {
			cuts = append(cuts, *c)
		}
	}
	// An earlier attempt may have ended before it drove out its mutations.
	if err := s.takeBack(ctx, b.Spool, cuts, b.Recovered || b.Attempt > 1); err != nil {
		return fmt.Errorf("take back what was collected before record %d: %w", b.Last, err)
	}
	return nil
}

// decodeCut returns what a record takes back; nil: nothing.
func decodeCut(r spool.Record) (*cut, error) {
	switch r.Kind {
	case spool.KindWithdrawal:
		w, err := consent.DecodeWithdrawal(r.Data)
		if err != nil || w.Events == "" {
			return nil, err
		}
		return &cut{consentID: w.ConsentID, before: r.Seq, at: w.Time, erase: w.Events == consent.Erase}, nil
	case spool.KindTombstone:
		t, err := consent.DecodeTombstone(r.Data)
		if err != nil {
			return nil, err
		}
		return &cut{consentID: t.ConsentID, before: r.Seq, at: t.Time, erase: true}, nil
	}
	return nil, nil
}

const (
	// namesAtOnce is how many consents are looked up together: their ids travel
	// in a URL.
	namesAtOnce = 100
	// receiptsAtOnce is how many receipts one mutation names. Each reads the whole
	// table, and its text must stay below max_query_size, 256 KiB: a receipt is
	// 160 bytes of it.
	receiptsAtOnce = 1000
)

// takeBack carries out cuts: first on the dead letters, so that none of them
// is put back behind the mutation, then on the tables. Where rows were
// anonymised, and where mutated says that they may have been before, their
// mutations are driven out in the end.
func (s *Store) takeBack(ctx context.Context, spoolID uuid.UUID, cuts []cut, mutated bool) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	receipts, err := s.receiptsOf(ctx, cuts)
	if err != nil {
		return err
	}
	if err := s.dead.receipts(receipts); err != nil {
		return err
	}
	if err := s.dead.forget(spoolID, cuts, receipts); err != nil {
		return err
	}
	// Erasing comes first: what was anonymised names no receipt any more.
	for some := range slices.Chunk(boundsOf(cuts, receipts, true), receiptsAtOnce) {
		if err := s.erase(ctx, rowsWithin(spoolID, some)); err != nil {
			return fmt.Errorf("erase what %d receipts cover: %w", len(some), err)
		}
	}
	for some := range slices.Chunk(boundsOf(cuts, receipts, false), receiptsAtOnce) {
		found, err := s.anonymise(ctx, rowsWithin(spoolID, some))
		if err != nil {
			return fmt.Errorf("anonymise what %d receipts cover: %w", len(some), err)
		}
		mutated = mutated || found
	}
	if !mutated {
		return nil
	}
	return s.driveOut(ctx)
}

// bound is how far what rests on a receipt is taken back.
type bound struct {
	receipt uuid.UUID
	before  uint64
	at      time.Time
}

// boundsOf returns the bounds of all receipts whose rows are to be erased, or
// else anonymised, in order; of several cuts the one that reaches furthest.
func boundsOf(cuts []cut, receipts map[uuid.UUID][]uuid.UUID, erase bool) []bound {
	of := map[uuid.UUID]bound{}
	for _, c := range cuts {
		if c.erase != erase {
			continue
		}
		for _, id := range receipts[c.consentID] {
			b := of[id]
			b.receipt, b.before = id, max(b.before, c.before)
			if c.at.After(b.at) {
				b.at = c.at
			}
			of[id] = b
		}
	}
	return slices.SortedFunc(maps.Values(of), func(a, b bound) int { return bytes.Compare(a.receipt[:], b.receipt[:]) })
}

// rowsWithin is the condition for the rows that bounds reach. It costs a row the
// same however many there are. Mutations take no bound values; ids and numbers
// need no quoting beyond '.
func rowsWithin(spoolID uuid.UUID, bounds []bound) string {
	ids, before, at := make([]string, len(bounds)), make([]string, len(bounds)), make([]string, len(bounds))
	for i, b := range bounds {
		ids[i], before[i], at[i] = quoteText(b.receipt.String()), strconv.FormatUint(b.before, 10), strconv.FormatInt(b.at.UnixMilli(), 10)
	}
	list := func(values []string) string { return strings.Join(values, ",") }
	of := func(values []string) string {
		return fmt.Sprintf("transform(toString(receipt_id), [%s], [%s], 0)", list(ids), list(values))
	}
	return fmt.Sprintf("receipt_id IN (%s) AND if(spool_id = '%s', seq < %s, toUnixTimestamp64Milli(ts) <= %s)",
		list(ids), spoolID, of(before), of(at))
}

// receiptsOf returns the receipt ids of each consent.
func (s *Store) receiptsOf(ctx context.Context, cuts []cut) (map[uuid.UUID][]uuid.UUID, error) {
	out := map[uuid.UUID][]uuid.UUID{}
	var all []string
	for _, c := range cuts {
		all = append(all, c.consentID.String())
	}
	slices.Sort(all)
	for ids := range slices.Chunk(slices.Compact(all), namesAtOnce) {
		var rows []struct {
			Consent uuid.UUID `ch:"consent_id"`
			Receipt uuid.UUID `ch:"receipt_id"`
		}
		err := s.conn.Select(ctx, &rows,
			"SELECT DISTINCT consent_id, receipt_id FROM receipts WHERE consent_id IN {ids:Array(UUID)} ORDER BY receipt_id",
			clickhouse.Named("ids", ids))
		if err != nil {
			return nil, fmt.Errorf("look up the receipts of %d consents: %w", len(ids), err)
		}
		for _, r := range rows {
			if r.Consent != uuid.Nil {
				out[r.Consent] = append(out[r.Consent], r.Receipt)
			}
		}
	}
	return out, nil
}

// erase deletes rows: at once for everybody who reads, and from the disk as the
// background rewrites the parts they were in.
func (s *Store) erase(ctx context.Context, where string) error {
	for _, table := range []string{"events", "forwards"} {
		found, err := s.matches(ctx, table, where)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := s.conn.Exec(ctx, "DELETE FROM "+s.mutable(table)+" WHERE "+where); err != nil {
			return fmt.Errorf("erase %s: %w", table, err)
		}
		later := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 0}))
		if err := s.conn.Exec(later, "ALTER TABLE "+s.mutable(table)+" APPLY DELETED MASK"); err != nil {
			return fmt.Errorf("erase %s from the disk: %w", table, err)
		}
	}
	return nil
}

// none is what a row says that belongs to no receipt any more.
var none = "receipt_id = toUUID('" + uuid.Nil.String() + "')"

// anonymise cuts rows off from their visitor and from their proof, and keeps
// them countable: new names are the old ones hashed under a random key. The
// key, and the receipts, stand in the mutation's record until driveOut. It
// reports whether there were any rows.
func (s *Store) anonymise(ctx context.Context, where string) (found bool, err error) {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return false, fmt.Errorf("draw a key: %w", err)
	}
	hash := func(column string) string {
		return fmt.Sprintf("%s = lower(hex(sipHash128Keyed((toUInt64(%d), toUInt64(%d)), %s)))", column,
			binary.BigEndian.Uint64(key[:8]), binary.BigEndian.Uint64(key[8:]), column)
	}
	for _, change := range []struct{ table, set string }{
		{"events", strings.Join([]string{hash("visitor"), hash("session"), hash("event_id"), "ip_hash = ''", none}, ", ")},
		{"forwards", none + ", salt = '', sent = ''"},
	} {
		there, err := s.matches(ctx, change.table, where)
		if err != nil {
			return false, err
		}
		if !there {
			continue
		}
		if err := s.conn.Exec(ctx, "ALTER TABLE "+s.mutable(change.table)+" UPDATE "+change.set+" WHERE "+where); err != nil {
			return false, fmt.Errorf("anonymise %s: %w", change.table, err)
		}
		found = true
	}
	return found, nil
}

// driveOut removes the records of mutations that anonymised: the tables keep
// that of one finished mutation only, and now it is one which changes nothing.
func (s *Store) driveOut(ctx context.Context) error {
	for _, table := range []string{"events", "forwards"} {
		if err := s.conn.Exec(ctx, "ALTER TABLE "+s.mutable(table)+" UPDATE "+none+" WHERE 0"); err != nil {
			return fmt.Errorf("drive out the record of a mutation of %s: %w", table, err)
		}
	}
	return nil
}

// matches reports whether any row meets a condition: asking costs milliseconds,
// a mutation waits for merges.
func (s *Store) matches(ctx context.Context, table, where string) (bool, error) {
	var rows uint64
	if err := s.conn.QueryRow(ctx, "SELECT count() FROM "+table+" WHERE "+where).Scan(&rows); err != nil {
		return false, fmt.Errorf("look for %s to take back: %w", table, err)
	}
	return rows > 0, nil
}
