package collector

import (
	"encoding/json"
	"fmt"
	"time"

	"sluice/consent"
)

// ForwardState is how the way of an event to a destination ended. A
// destination's 2xx means received, so no state is called delivered.
type ForwardState string

// The terminal states.
const (
	Acknowledged ForwardState = "acknowledged"
	Cancelled    ForwardState = "cancelled"
	Dead         ForwardState = "dead"
)

// Forward is the one terminal outcome of an event at a destination.
type Forward struct {
	Site        string       `json:"site"`
	EventID     string       `json:"event_id"`
	EventSeq    uint64       `json:"event_seq"` // of the event's record in the same spool
	ReceiptID   consent.ID   `json:"receipt_id"`
	Destination string       `json:"destination"` // service name: "google-analytics"
	State       ForwardState `json:"state"`
	Reason      string       `json:"reason,omitempty"` // of cancelled and dead
	Attempts    int          `json:"attempts"`
	PayloadHash string       `json:"payload_hash,omitempty"` // SHA-256 of what the last request said, hex
	Time        time.Time    `json:"ts"`

	// Sent is what that request said, and what PayloadHash is of: of the outcomes
	// of one request the first has it. "" where nothing was sent, where consent
	// was taken back before the outcome was recorded, and once it was since.
	Sent string `json:"sent,omitempty"`
	// Token is what the event rested on; it is not encoded.
	Token consent.Token `json:"-"`

	// Link is set by the committer of the spool.
	Link
}

// AppendBinary appends the spool encoding, JSON.
func (f Forward) AppendBinary(dst []byte) ([]byte, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode forward of %s: %w", f.EventID, err)
	}
	return append(dst, b...), nil
}

// DecodeForward reads what AppendBinary wrote.
func DecodeForward(b []byte) (Forward, error) {
	var f Forward
	if err := json.Unmarshal(b, &f); err != nil {
		return Forward{}, fmt.Errorf("decode forward: %w", err)
	}
	return f, nil
}
