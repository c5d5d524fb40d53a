// Package collector turns a request into admitted events: the gate first, then
// enrichment, then the spool.
//
//	body ─▶ wire ─▶ gate (consent.Policy.Live) ─▶ enrich ─▶ Permit.Admit ─▶ Appender
//
// # Why
//
// The gate comes before enrichment, so that the address of a visitor who did
// not consent is not even looked up; enrichment comes before the spool, so
// that no address ever reaches the disk. [Admitted] is the only event with a
// spool encoding. It is built in gate.go alone, from a [Permit] that only the
// gate hands out: code that skipped the gate would not compile.
//
// One bad event costs no other: a body is read in one pass (jsonreader and
// wire.go), what is wrong with an event stays with it, and every event is either
// kept or named in the answer with its reason and counted. What a client may
// retry is decided before the disk (an id is reserved, a session opened) and
// taken back if the disk refuses; the answer never depends on whether the client
// still waits.
//
// A session's events all carry how it began (source, channel, UTM), so that a
// report by channel needs no second look at a session's first event.
//
// What names a visitor only by address and browser is hashed under a key that
// lives in memory for one UTC day. Nobody can hash again tomorrow, us included.
package collector
