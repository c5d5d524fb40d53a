package collector

import (
	"encoding/binary"
	"encoding/json"
	"errors"
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
	// Token is what the event rested on; of it, Issued alone is encoded, since
	// version 2.
	Token consent.Token `json:"-"`

	// Link is set by the committer of the spool.
	Link
}

// forwardVersion opens the spool encoding; fixedForward is the length of the
// part before the strings. Version 1 has no issued.
const (
	forwardVersion = 2
	fixedForward1  = 1 + 8 + 16 + 4 + 8 + 16 + 8
	fixedForward   = fixedForward1 + 4
)

// strings lists an outcome's strings in the order of the encoding. New ones go
// to the end, with a new forwardVersion.
func (f *Forward) strings() [11]*string {
	return [...]*string{
		&f.Site, &f.EventID, &f.Destination, (*string)(&f.State), &f.Reason, &f.PayloadHash, &f.Sent, &f.PrevHash, &f.Salt, &f.Mark, &f.Hash,
	}
}

// AppendBinary appends the spool encoding: version u8, event seq u64, receipt
// [16], attempts u32, time i64 (Unix ns), chain id [16], number in it u64, the
// token's issued u32, and the strings, each with a uvarint length. Big endian.
// The error is always nil.
func (f Forward) AppendBinary(dst []byte) ([]byte, error) {
	be := binary.BigEndian
	dst = be.AppendUint64(append(dst, forwardVersion), f.EventSeq)
	dst = append(dst, f.ReceiptID[:]...)
	dst = be.AppendUint32(dst, uint32(f.Attempts))
	dst = be.AppendUint64(dst, uint64(f.Time.UnixNano()))
	dst = append(dst, f.ChainID[:]...)
	dst = be.AppendUint64(dst, f.N)
	dst = be.AppendUint32(dst, f.Token.Issued)
	for _, s := range f.strings() {
		dst = appendString(dst, *s)
	}
	return dst, nil
}

// errForwardEncoding is a spool record that is not an outcome of a version
// known here.
var errForwardEncoding = errors.New("decode forward: not an outcome of version 1 or 2")

// DecodeForward reads what AppendBinary wrote, and what earlier versions did:
// version 1, and JSON. The strings are copies: b may be reused.
func DecodeForward(b []byte) (Forward, error) {
	var f Forward
	if len(b) > 0 && b[0] == '{' {
		if err := json.Unmarshal(b, &f); err != nil {
			return Forward{}, fmt.Errorf("decode forward: %w", err)
		}
		return f, nil
	}
	fixed := fixedForward
	if len(b) > 0 && b[0] == 1 {
		fixed = fixedForward1
	}
	if len(b) < fixed || b[0] != 1 && b[0] != forwardVersion {
		return Forward{}, errForwardEncoding
	}
	be := binary.BigEndian
	f.EventSeq, f.ReceiptID, f.Attempts = be.Uint64(b[1:]), consent.ID(b[9:25]), int(be.Uint32(b[25:]))
	f.Time = time.Unix(0, int64(be.Uint64(b[29:]))).UTC()
	f.ChainID, f.N = consent.ID(b[37:53]), be.Uint64(b[53:])
	if fixed == fixedForward {
		f.Token.Issued = be.Uint32(b[fixedForward1:])
	}
	d := decoder{rest: string(b[fixed:])} // one copy holds all of them
	for _, s := range f.strings() {
		*s = d.text()
	}
	if d.failed || d.rest != "" {
		return Forward{}, errForwardEncoding
	}
	return f, nil
}
