package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// cut takes back what was collected under one consent before a withdrawal or
// an erasure.
type cut struct {
	consentID uuid.UUID
	before    uint64    // seq of the record that asks for it; later rows of this spool stay
	at        time.Time // and later ones of other servers' spools
	erase     bool      // delete the rows; else anonymise them
}

// cutsAtOnce is how many consents one mutation takes back: each mutation reads
// the table once, and its text must stay below max_query_size.
const cutsAtOnce = 100

// takeBack carries out cuts. It may be repeated: rows that were anonymised
// name no receipt any more, and rows that were deleted are gone.
func (s *Store) takeBack(ctx context.Context, spoolID uuid.UUID, cuts []cut) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	for some := range slices.Chunk(cuts, cutsAtOnce) {
		receipts, err := s.receiptsOf(ctx, some)
		if err != nil {
			return err
		}
		var erase, anonymise []string
		for _, c := range some {
			switch where := c.where(spoolID, receipts[c.consentID]); {
			case where == "": // nothing was ever collected
			case c.erase:
				erase = append(erase, where)
			default:
				anonymise = append(anonymise, where)
			}
		}
		if err := s.anonymise(ctx, anonymise); err != nil {
			return err
		}
		if err := s.erase(ctx, erase); err != nil {
			return err
		}
	}
	return nil
}

// receiptsOf returns the receipt ids of each consent.
func (s *Store) receiptsOf(ctx context.Context, cuts []cut) (map[uuid.UUID][]uuid.UUID, error) {
	ids := make([]string, len(cuts))
	for i, c := range cuts {
		ids[i] = c.consentID.String()
	}
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
	out := map[uuid.UUID][]uuid.UUID{}
	for _, r := range rows {
		if r.Consent != uuid.Nil {
			out[r.Consent] = append(out[r.Consent], r.Receipt)
		}
	}
	return out, nil
}

// where is the condition for the rows of a cut, "" where there can be none.
// Mutations take no bound values; ids and numbers need no quoting beyond '.
func (c *cut) where(spoolID uuid.UUID, receipts []uuid.UUID) string {
	if len(receipts) == 0 {
		return ""
	}
	quoted := make([]string, len(receipts))
	for i, id := range receipts {
		quoted[i] = quoteText(id.String())
	}
	return fmt.Sprintf("(receipt_id IN (%s) AND if(spool_id = '%s', seq < %d, ts <= fromUnixTimestamp64Milli(%d)))",
		strings.Join(quoted, ", "), spoolID, c.before, c.at.UnixMilli())
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
			return fmt.Errorf("erase %s of %d consents: %w", table, len(where), err)
		}
		later := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 0}))
		if err := s.conn.Exec(later, "ALTER TABLE "+s.mutable(table)+" APPLY DELETED MASK"); err != nil {
			return fmt.Errorf("erase %s of %d consents from the disk: %w", table, len(where), err)
		}
	}
	return nil
}

// anonymise cuts rows off from their visitor and from their proof, and keeps
// them countable: new names are the old ones hashed under a random key. The
// key, and the receipts, stand in the mutation's record; the tables keep the
// record of one finished mutation only, so an empty one drives it out.
func (s *Store) anonymise(ctx context.Context, where []string) error {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return fmt.Errorf("draw a key: %w", err)
	}
	hash := func(column string) string {
		return fmt.Sprintf("%s = lower(hex(sipHash128Keyed((toUInt64(%d), toUInt64(%d)), %s)))", column,
			binary.BigEndian.Uint64(key[:8]), binary.BigEndian.Uint64(key[8:]), column)
	}
	none := "receipt_id = toUUID('" + uuid.Nil.String() + "')"
	for _, change := range []struct{ table, set string }{
		{"events", strings.Join([]string{hash("visitor"), hash("session"), hash("event_id"), "ip_hash = ''", none}, ", ")},
		{"forwards", none},
	} {
		condition, err := s.matching(ctx, change.table, where)
		if err != nil {
			return err
		}
		if condition == "" {
			continue
		}
		alter := "ALTER TABLE " + s.mutable(change.table) + " UPDATE "
		if err := s.conn.Exec(ctx, alter+change.set+" WHERE "+condition); err != nil {
			return fmt.Errorf("anonymise %s of %d consents: %w", change.table, len(where), err)
		}
		if err := s.conn.Exec(ctx, alter+none+" WHERE 0"); err != nil {
			return fmt.Errorf("drive out the record of a mutation: %w", err)
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
