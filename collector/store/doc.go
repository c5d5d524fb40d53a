// Package store is ClickHouse: it writes what the spool holds and reads it
// back for those who ask about rows rather than figures.
//
// [Open] connects to a server or starts the embedded engine, [Store.Prepare]
// creates what is missing, [Store.Deliver] is the sink of the spool's
// consumer. Reports go through [Store.Conn] in a room of their own.
//
//	spool ─▶ Deliver ─▶ receipts, events, forwards, counters
//	            └─ withdrawals, tombstones ─▶ ALTER TABLE … UPDATE, DELETE
//
// The schema is schema/*.sql, numbered, forward only, one statement each.
//
// # Why
//
// Exactly once, from a spool that delivers at least once: each row carries
// spool_id and seq, and a batch that may have been written before is read back
// first. ClickHouse's deduplication token is used as well, but proves nothing
// on one node.
//
// Withdrawal and erasure are mutations, which rewrite whole parts. They are
// rare, they are gathered per batch, and when they are done the old values are
// in no part that a query reads; replaced parts leave the disk within minutes.
//
// Rows expire singly (no ttl_only_drop_parts): retention differs between
// sites, and test rows live for a week beside others that live for years.
package store
