package inbound

import (
	"crypto/subtle"
	"time"

	"sluice/consent"
)

// Message is what a person sent, as far as it matters here.
type Message struct {
	ID      string // the provider's, "" where it gives none
	Channel consent.Channel
	From    string    // phone number; "" where the provider hides it
	At      time.Time // when it was written; zero where nobody says
	Says    []string  // its text, or what is written on the button that was pressed
	OptOut  bool      // the provider itself took it for an opt-out
}

// equal compares secrets in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// unix reads a provider's seconds; zero where there are none.
func unix(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
