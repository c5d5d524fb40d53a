// Package store is ClickHouse: it writes what the spool holds and reads it
// back for those who ask about rows rather than figures.
//
// [Open] connects to a server or starts the embedded engine, [Store.Prepare]
// creates what is missing, [Store.Deliver] is the sink of the spool's
// consumer, [Store.RunTakeBack] a consumer of its own. Reports go through
// [Store.Conn] in a room of their own.
//
//	spool ─┬▶ Deliver ─▶ receipts, events, forwards, counters
//	       │     └─ what no table takes ─▶ data_dir/dead ─▶ Replay
//	       └▶ RunTakeBack: withdrawals, tombstones ─▶ ALTER TABLE … UPDATE, DELETE
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
// Withdrawal and erasure are mutations, which rewrite whole parts and wait for
// merges. So they have a consumer of their own, which lets the writer go ahead
// and gathers what was asked while a mutation ran into the next one. When one
// is done the old values are in no part that a query reads; replaced parts
// leave the disk within minutes. Until then queries show what was collected
// while it was granted, and nothing later: the gate has closed already.
//
// What no table takes goes to a file with its reason, and the queue goes on. It
// is put back by the writer's own way, under the seq that it always had and
// after a look at what is there, and not through the spool: that would send it
// to Google once more, and to the end of the order in which withdrawals count.
//
// Rows expire singly (no ttl_only_drop_parts): retention differs between
// sites, and test rows live for a week beside others that live for years.
package store
