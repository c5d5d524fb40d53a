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
package collector
