package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
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
	// cutsAtOnce is how many cuts go into one mutation of each table, where
	// nobody has decided often, and namesAtOnce how many consents are looked up
	// together: their ids travel in a URL.
	cutsAtOnce  = 500
	namesAtOnce = 100
	// receiptsAtOnce is how many receipts one condition names, and
	// conditionBytes how long the conditions of one mutation are together: each
	// mutation reads the table once, and its text must stay below
	// max_query_size, 256 KiB, however often one visitor has decided.
	receiptsAtOnce = 500
	conditionBytes = 100 << 10
)

// takeBack carries out cuts. Where rows were anonymised, and where mutated says
// that they may have been before, their mutations are driven out in the end.
func (s *Store) takeBack(ctx context.Context, spoolID uuid.UUID, cuts []cut, mutated bool) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	for some := range slices.Chunk(cuts, cutsAtOnce) {
		anonymised, err := s.takeBackSome(ctx, spoolID, some)
		if err != nil {
			return err
		}
		mutated = mutated || anonymised
	}
	if !mutated {
		return nil
	}
	return s.driveOut(ctx)
}

// takeBackSome carries out cuts first on the dead letters, so that none of them
// is put back behind the mutation, then on the tables. It reports whether rows
// were anonymised.
func (s *Store) takeBackSome(ctx context.Context, spoolID uuid.UUID, cuts []cut) (anonymised bool, err error) {
	receipts, err := s.receiptsOf(ctx, cuts)
	if err != nil {
		return false, err
	}
	if err := s.dead.receipts(receipts); err != nil {
		return false, err
	}
	if err := s.dead.forget(spoolID, cuts, receipts); err != nil {
		return false, err
	}
	var erase, anonymise []string
	for _, c := range cuts {
		if c.erase {
			erase = c.appendWhere(erase, spoolID, receipts[c.consentID])
		} else {
			anonymise = c.appendWhere(anonymise, spoolID, receipts[c.consentID])
		}
	}
	// Erasing comes first: what was anonymised names no receipt any more.
	for some := range upTo(erase, conditionBytes) {
		if err := s.erase(ctx, some); err != nil {
			return false, err
		}
	}
	for some := range upTo(anonymise, conditionBytes) {
		found, err := s.anonymise(ctx, some)
		if err != nil {
			return false, err
		}
		anonymised = anonymised || found
	}
	return anonymised, nil
}

// upTo cuts texts into runs of up to so many bytes, each of at least one text.
func upTo(texts []string, bytes int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for len(texts) > 0 {
			n, size := 1, len(texts[0])
			for n < len(texts) && size+len(texts[n]) <= bytes {
				size += len(texts[n])
				n++
			}
			if !yield(texts[:n]) {
				return
			}
			texts = texts[n:]
		}
	}
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

// appendWhere appends the conditions for the rows of a cut; there are none
// where nothing was ever collected. Mutations take no bound values; ids and
// numbers need no quoting beyond '.
func (c *cut) appendWhere(dst []string, spoolID uuid.UUID, receipts []uuid.UUID) []string {
	for some := range slices.Chunk(receipts, receiptsAtOnce) {
		quoted := make([]string, len(some))
		for i, id := range some {
			quoted[i] = quoteText(id.String())
		}
		dst = append(dst, fmt.Sprintf("(receipt_id IN (%s) AND if(spool_id = '%s', seq < %d, ts <= fromUnixTimestamp64Milli(%d)))",
			strings.Join(quoted, ", "), spoolID, c.before, c.at.UnixMilli()))
	}
	return dst
}

// erase deletes rows: at once for everybody who reads, and from the disk as the
// background rewrites the parts they were in.
func (s *Store) erase(ctx context.Context, where []string) error {
	for _, table := range []string{"events", "forwards"} {
		condition, err := s.matching(ctx, table, where)
		if err != nil {
			return err
		}
		if condition == "" {
			continue
		}
		if err := s.conn.Exec(ctx, "DELETE FROM "+s.mutable(table)+" WHERE "+condition); err != nil {
			return fmt.Errorf("erase %s under %d conditions: %w", table, len(where), err)
		}
		later := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 0}))
		if err := s.conn.Exec(later, "ALTER TABLE "+s.mutable(table)+" APPLY DELETED MASK"); err != nil {
			return fmt.Errorf("erase %s under %d conditions from the disk: %w", table, len(where), err)
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
func (s *Store) anonymise(ctx context.Context, where []string) (found bool, err error) {
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
		condition, err := s.matching(ctx, change.table, where)
		if err != nil {
			return false, err
		}
		if condition == "" {
			continue
		}
		if err := s.conn.Exec(ctx, "ALTER TABLE "+s.mutable(change.table)+" UPDATE "+change.set+" WHERE "+condition); err != nil {
			return false, fmt.Errorf("anonymise %s under %d conditions: %w", change.table, len(where), err)
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

// matching joins conditions, and returns "" where no row meets any of them:
// asking costs milliseconds, a mutation waits for merges.
func (s *Store) matching(ctx context.Context, table string, where []string) (string, error) {
	if len(where) == 0 {
		return "", nil
	}
	condition := strings.Join(where, " OR ")
	var rows uint64
	if err := s.conn.QueryRow(ctx, "SELECT count() FROM "+table+" WHERE "+condition).Scan(&rows); err != nil {
		return "", fmt.Errorf("look for %s to take back: %w", table, err)
	}
	if rows == 0 {
		return "", nil
	}
	return condition, nil
}
