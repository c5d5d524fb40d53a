// Package ga4 forwards admitted events to Google Analytics 4 by the Measurement
// Protocol: only under a live grant for that service, looked up again at every
// send, and never with an address.
//
// A [Sink] is the way of one site's events to one Google property. It reads
// the spool through a cursor of its own, turns events into payloads
// (payload.go), asks package judge what Google would do with them, asks the
// consent index once more, and sends (client.go). Each event ends in exactly
// one terminal state, a [collector.Forward]:
//
//	acknowledged  Google answered 2xx: received. It says no more than that.
//	cancelled     consent no longer covers it: expired withdrawn
//	              stale_notice
//	dead          too_old    24 hours have passed
//	              invalid    Google would not keep it, or Sluice must not send it
//	              rejected   an answer that repeating cannot change
//	              exhausted  tried as often as is safe
//
// # The last check
//
// The moment that counts is the first byte on the wire. A request therefore
// gets its connection first, and the connection's first write runs under the
// consent index's read lock, right after the check (conn.go). A withdrawal
// takes the write lock: once it has returned, no send that rests on the
// consent begins. What remains is the request that was already on its way.
//
// # At least once
//
// Google removes no duplicates but purchases with the same transaction_id. An
// event is sent twice in two cases. The answer to a request was lost: then it
// is repeated once, or, where it holds nothing but such purchases, until it is
// answered. Or the process died after Google's answer and before the outcome
// was on disk: a window of one request per worker. Outcomes that are on disk
// are read back at start ([Sink.Replay]) and not repeated; recording one twice
// is harmless, for the table keeps one row per event and destination.
//
// # Why
//
// One sink and one cursor per site: an endpoint that is down holds up its own
// site and nobody else. Reading the spool once more per site costs little;
// a shared cursor would make every site wait for the slowest.
//
// The requests go through an http.Transport without a client on top: so there
// is no redirect to follow, no cookie jar, and no error text with the URL,
// which holds the API secret.
package ga4
