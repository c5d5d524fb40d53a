package store

import (
	"context"
	"fmt"
	"iter"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"sluice/collector"
)

// forward is what the row was made from.
func (r *forwardRow) forward() collector.Forward {
	return collector.Forward{
		Site: r.Site, EventID: r.EventID, EventSeq: r.EventSeq, ReceiptID: r.ReceiptID, Destination: r.Destination,
		State: collector.ForwardState(r.State), Reason: r.Reason, Attempts: int(r.Attempts), PayloadHash: r.PayloadHash, Time: r.Time, Sent: r.Sent,
		Link: collector.Link{ChainID: r.ChainID, N: r.N, PrevHash: r.PrevHash, Salt: r.Salt, Mark: r.Mark, Hash: r.Hash},
	}
}

// forwardColumns are those of forward.
const forwardColumns = `site, event_id, event_seq, receipt_id, destination, state, reason, attempts, payload_hash, ts,
	chain_id, n, prev_hash, salt, mark, hash, sent`

// Forwards goes through all outcomes that have a place in a chain, one chain
// after another, each in its order. It ends at the first error, which it
// yields.
func (s *Store) Forwards(ctx context.Context) iter.Seq2[collector.Forward, error] {
	return func(yield func(collector.Forward, error) bool) {
		chain, n := uuid.Nil, uint64(0)
		for {
			var page []forwardRow
			err := s.conn.Select(ctx, &page, "SELECT "+forwardColumns+` FROM forwards FINAL
				WHERE n > 0 AND (chain_id, n) > ({chain:UUID}, {n:UInt64}) ORDER BY chain_id, n LIMIT {page:UInt32}`,
				clickhouse.Named("chain", chain), clickhouse.Named("n", n), clickhouse.Named("page", forwardPage))
			if err != nil {
				yield(collector.Forward{}, fmt.Errorf("read forwards after %d of chain %s: %w", n, chain, err))
				return
			}
			for i := range page {
				if !yield(page[i].forward(), nil) {
					return
				}
			}
			if len(page) < forwardPage {
				return
			}
			chain, n = page[len(page)-1].ChainID, page[len(page)-1].N
		}
	}
}

// forwardPage is how many outcomes are read at a time.
const forwardPage = 10_000

// ForwardsOf returns the outcomes of the events with this id: one for each
// destination, more where several visitors have chosen one id.
func (s *Store) ForwardsOf(ctx context.Context, eventID string) ([]collector.Forward, error) {
	var rows []forwardRow
	err := s.conn.Select(ctx, &rows, "SELECT "+forwardColumns+" FROM forwards FINAL WHERE event_id = {id:String} ORDER BY ts, seq",
		clickhouse.Named("id", eventID))
	if err != nil {
		return nil, fmt.Errorf("read the forwards of event %s: %w", eventID, err)
	}
	out := make([]collector.Forward, len(rows))
	for i := range rows {
		out[i] = rows[i].forward()
	}
	return out, nil
}

// SentWith returns what the request said that an outcome is about, which is kept
// with one of that request's outcomes; "" where it is not kept.
func (s *Store) SentWith(ctx context.Context, f collector.Forward) (string, error) {
	if f.Sent != "" || f.PayloadHash == "" || f.ReceiptID == uuid.Nil {
		return f.Sent, nil
	}
	var rows []forwardRow
	err := s.conn.Select(ctx, &rows, `SELECT sent FROM forwards FINAL WHERE receipt_id = {receipt:UUID} AND site = {site:String}
		AND destination = {destination:String} AND payload_hash = {hash:String} AND sent != '' LIMIT 1`,
		clickhouse.Named("receipt", f.ReceiptID), clickhouse.Named("site", f.Site),
		clickhouse.Named("destination", f.Destination), clickhouse.Named("hash", f.PayloadHash))
	if err != nil {
		return "", fmt.Errorf("read what was sent of event %s: %w", f.EventID, err)
	}
	if len(rows) == 0 {
		return "", nil
	}
	return rows[0].Sent, nil
}

// EventOf returns the event that an outcome is about; nil where it was taken
// back since, or has expired.
func (s *Store) EventOf(ctx context.Context, f collector.Forward) (*SubjectEvent, error) {
	var rows []SubjectEvent
	err := s.conn.Select(ctx, &rows, "SELECT "+subjectColumns+` FROM events
		WHERE site = {site:String} AND event_id = {id:String} AND receipt_id = {receipt:UUID} LIMIT 1`,
		clickhouse.Named("site", f.Site), clickhouse.Named("id", f.EventID), clickhouse.Named("receipt", f.ReceiptID))
	if err != nil {
		return nil, fmt.Errorf("read event %s: %w", f.EventID, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}
