package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// StoredReceipt is a receipt as the ledger holds it. Body is the canonical JSON
// that the chain was computed over; N and ChainID are the columns beside it.
type StoredReceipt struct {
	ChainID uuid.UUID `ch:"chain_id"`
	N       uint64    `ch:"n"`
	Body    string    `ch:"body"`
}

// ledgerPage is how many receipts are read at a time, some 1.5 kB each.
const ledgerPage = 2000

// Receipts goes through all receipts, one chain after another, each in its
// order. It ends at the first error, which it yields.
func (s *Store) Receipts(ctx context.Context) iter.Seq2[StoredReceipt, error] {
	return func(yield func(StoredReceipt, error) bool) {
		after := StoredReceipt{}
		for {
			var page []StoredReceipt
			err := s.conn.Select(ctx, &page, `SELECT chain_id, n, body FROM receipts
				WHERE (chain_id, n) > ({chain:UUID}, {n:UInt64}) ORDER BY chain_id, n LIMIT {page:UInt32}`,
				clickhouse.Named("chain", after.ChainID), clickhouse.Named("n", after.N), clickhouse.Named("page", ledgerPage))
			if err != nil {
				yield(StoredReceipt{}, fmt.Errorf("read receipts after %d of chain %s: %w", after.N, after.ChainID, err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < ledgerPage {
				return
			}
			after = page[len(page)-1]
		}
	}
}

// ErrNoReceipt means that the ledger holds no receipt of that id.
var ErrNoReceipt = errors.New("no such receipt")

// Receipt returns one receipt by its id, or ErrNoReceipt.
func (s *Store) Receipt(ctx context.Context, id uuid.UUID) (StoredReceipt, error) {
	var r StoredReceipt
	err := s.conn.QueryRow(ctx, "SELECT chain_id, n, body FROM receipts WHERE receipt_id = {id:UUID} LIMIT 1",
		clickhouse.Named("id", id)).ScanStruct(&r)
	if errors.Is(err, sql.ErrNoRows) {
		return StoredReceipt{}, fmt.Errorf("receipt %s: %w", id, ErrNoReceipt)
	}
	if err != nil {
		return StoredReceipt{}, fmt.Errorf("read receipt %s: %w", id, err)
	}
	return r, nil
}
