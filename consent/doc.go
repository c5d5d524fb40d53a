// Package consent is the innermost room: what a visitor was asked, what the
// visitor answered, and the proof of it.
//
// The way through the package follows the answer. A [Site] says which purposes
// and services it uses. A [Notice] freezes that into what the visitor is
// asked. A [Choice] arrives and a [Policy] turns it into a [Decision]: a
// [Receipt] for the ledger, a [Token] for the browser and, where consent was
// lowered, a [Withdrawal]. From then on [Policy.Live] answers the one question
// everything else in Sluice depends on: does this token cover this use, now?
//
// # Why
//
// Everything up to Live is pure: values in, values out, no clock, no disk, no
// network. The law is in tables, and the tables are tested cell by cell. The
// parts that remember ([Index], [Chain]) are small, and the parts that talk
// (http.go) hold no rule.
//
// Absent, unreadable, forged, expired or withdrawn all mean no. There is no
// code path on which a missing answer grants anything (GDPR Art. 4(11):
// consent is an affirmative act).
package consent
