// Package judge says what Google Analytics would do with a Measurement Protocol
// request: which events it would keep, which it would drop, and what its
// validation server would answer. Beside Google's rules it holds Sluice's own:
// no request may carry a visitor's address or e-mail.
//
// Google answers 2xx to everything that arrives, so a sender that wants to know
// what became of its events has to judge them itself, before it sends.
//
// # The rules
//
// Numbers appear in [Message.Rule]. "Strict" is validation_behavior
// ENFORCE_RECOMMENDATIONS; what only strict mode rejects is a flag in relaxed
// mode, because Google takes the request and leaves the offending part out.
//
//	 1  POST only; a content type other than JSON is a flag
//	 2  (how the two paths answer: the standin package)
//	 3  api_secret and measurement_id in the query
//	 4  body under 130 000 bytes
//	 5  JSON whose keys, outside params, the protocol knows
//	 6  client_id is there
//	 7  client_id is number.number or a _ga cookie; otherwise the hit is taken
//	    and never shown: Invisible
//	 8  1 to 25 events
//	 9  event names: pattern, length, reserved
//	10  at most 25 params, 25 user properties, 200 items, 10 custom item params
//	11  param and user property names: pattern, length, reserved
//	12  values at most 100 characters (user properties 36, user_id 256)
//	13  values are strings or numbers; null inside items drops the event
//	14  amounts are numbers
//	15  value comes with an ISO 4217 currency
//	16  each item has item_id or item_name
//	17  recommended events have their required params
//	18  no older than 72 hours
//	19  no more than 10 minutes in the future: a flag
//	20  consent says GRANTED or DENIED
//	21  no JSON key twice
//	22  no address, no e-mail, no forwarding header: Violations
//	23  (faults on the way: the standin package)
//	24  a hit in gtag's own format (Hits) says v=2, tid, cid as number.number, and
//	    one consent in gcs, gcd and npa; it has no parameter but those that
//	    Sluice relays (Violations)
//
// # Sources
//
// Google's reference and validation pages, its Event Builder's schemas, and
// messages that users of the protocol have published. The texts of rules 3, 6,
// 7, 9, 13 (items), 14 (items), 18 and of unknown keys are Google's own, as
// seen; the other texts are ours, and so is the reading of rules for which no
// answer has been seen (4, 8, 10, 12, 21).
package judge
