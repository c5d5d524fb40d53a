// Package forward sends admitted events on to other recipients: only under a
// live grant for that service, looked up again at every send, and never with
// an address.
//
// A [Sink] is the way of one site's events to one recipient. It reads the spool
// through a cursor of its own, has the recipient's [Destination] turn events
// into requests, asks the consent index once more, and sends (client.go). Each
// event ends in exactly one terminal state, a [collector.Forward]:
//
//	acknowledged  the recipient answered 2xx: received. It says no more than that.
//	cancelled     consent no longer covers it: expired withdrawn
//	              stale_notice; or its visitor has had it erased: erased
//	dead          too_old    24 hours have passed
//	              invalid    it would not be kept, or Sluice must not send it
//	              rejected   an answer that repeating cannot change, or a 2xx that says
//	                         that it was not kept
//	              exhausted  tried as often as is safe
//	              queue_full the recipient was away for longer than there was room
//	              spool_full the server's spool needed the room
//	              unconfigured the recipient was taken out of the configuration
//
// # The last check
//
// The moment that counts is the first byte on the wire. A request therefore
// gets its connection first, and the connection's first write runs under the
// consent index's read lock, right after the check (conn.go). A withdrawal
// takes the write lock: once it has returned, no send that rests on the
// consent begins. So does an erasure, of all events up to it. What remains is the
// request that was already on its way.
//
// What ends after either says so without its receipt: the row counts, so that
// what was admitted and what ended stay equal, and leads to nobody.
//
// # Retries
//
// What a recipient does not take at once, and all that comes behind it, moves
// into the sink's queue (queue.go): so the sink's cursor goes on, and the
// server's spool is free of it. From there it is tried, in order, with pauses
// that double up to five minutes, half of each random, or as long as
// Retry-After says. After five failures in a row one request at a time asks
// whether the endpoint is back (breaker.go). What has failed three times goes
// behind the others that wait, with all that its person did later (retries.go):
// if they are taken it is the request that is at fault, and it is given up after
// eight attempts. Consent is looked up before each attempt. The queue has 256
// MiB; what finds no room is dead.
//
// # At least once
//
// Google removes no duplicates but purchases with the same transaction_id. An
// event is sent twice in two cases. The answer to a request was lost: then it
// is repeated once, or, where the recipient tells duplicates apart, until it is
// answered. Or the process died after the recipient's answer and before the
// outcome was on disk: a window of one request per worker. Outcomes that are on
// disk are read back at start ([Sink.Replay]) and not repeated; recording one
// twice is harmless, for the table keeps one row per event and destination.
//
// # Why
//
// One sink and one cursor per site and service: an endpoint that is down holds
// up its own events and nobody else's. Reading the spool once more per sink
// costs little; a shared cursor would make every site wait for the slowest.
//
// The sink has connections of its own, on which net/http writes requests and
// reads answers: so a request's first write is known, none is repeated by itself,
// there is no redirect to follow, no cookie jar, no proxy, and no error text with
// the URL, which holds a secret.
package forward
