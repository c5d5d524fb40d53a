// Package inbound turns a STOP that somebody sends over WhatsApp or as a text
// message into a withdrawal in the ledger.
//
// Each provider has a file that says two things: whether a request is the
// provider's, and what messages it brings. Twilio and Meta sign the bytes that
// they send; Green API sends a token along, which proves less, and is enough:
// all that a message can do here is lower what was granted. A START is counted
// and grants nothing, for a grant needs the evidence of what was agreed to.
//
// # What counts as STOP
//
// The whole message, without regard to case, accents, the punctuation around it
// and the width of its letters, is one of a list of words (word.go), or the
// provider says itself that the person opted out. "Please stop by tomorrow" is
// none. Of buttons fewer words count: one that says "Cancel" may be about an
// appointment.
//
// # Once
//
// Providers send again what is not answered 2xx, sometimes what is, and in any
// order. A withdrawal that is repeated changes nothing. A message that was seen
// before, or was written before the last grant, is left alone: it would take
// back what was granted since.
//
// Nothing of a message is kept or logged: not its words, and of the number its
// key alone (see [consent.AddressKey]).
package inbound
