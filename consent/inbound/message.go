package inbound

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"sluice/consent"
)

// Message is what a person sent, as far as it matters here.
type Message struct {
	ID      string // the provider's, "" where it gives none
	Channel consent.Channel
	From    string    // phone number; "" where the provider hides it
	At      time.Time // when it was written; zero where nobody says
	Text    string    // what the person wrote
	Buttons []string  // what the button that was pressed says, and its id
	OptOut  bool      // the provider itself took it for an opt-out
}

// equal compares secrets in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// seconds is a moment as providers write it: Unix seconds, as a number or a
// text. What is neither is no moment.
type seconds int64

// UnmarshalJSON never fails.
func (s *seconds) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err == nil {
		*s = seconds(n)
	}
	return nil
}

func (s seconds) time() time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// lenient decodes JSON and leaves out what has another type than it should.
func lenient(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	if errors.As(err, new(*json.UnmarshalTypeError)) {
		return nil // encoding/json goes on behind it
	}
	return err
}
