package consent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Count is a delta of an anonymous counter: something that happened N times on
// a site within an hour. It carries no identifier of anybody.
type Count struct {
	Site     string
	Hour     time.Time // UTC, truncated to the hour
	Kind     CountKind
	Key      string // within the kind: a reason, a method, a purpose
	Notice   string // version, for views and decisions
	Language string
	Country  string // of decisions alone
	N        uint64
}

// CountKind names what is counted.
type CountKind string

// What Sluice counts.
const (
	CountScript   CountKind = "script"   // s.js served
	CountView     CountKind = "view"     // the banner served
	CountDecision CountKind = "decision" // Key: the method
	CountGrant    CountKind = "grant"    // Key: a purpose that a decision granted
	CountEvent    CountKind = "event"    // Key: "accepted"
	CountRefusal  CountKind = "refusal"  // Key: the reason
	CountGPC      CountKind = "gpc"      // a visit under the signal without a choice
)

// NewCount returns a count of one in the hour of at.
func NewCount(site string, kind CountKind, key string, at time.Time) Count {
	return Count{Site: site, Hour: at.UTC().Truncate(time.Hour), Kind: kind, Key: key, N: 1}
}

// countVersion opens the encoding of a count.
const countVersion = 1

// AppendBinary appends the spool encoding: version u8, hour u32 (Unix
// seconds), N u64, then six strings, each with a u16 length. Big endian.
func (c Count) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, countVersion)
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.Hour.Unix()))
	dst = binary.BigEndian.AppendUint64(dst, c.N)
	for _, s := range []string{c.Site, string(c.Kind), c.Key, c.Notice, c.Language, c.Country} {
		if len(s) > 0xffff {
			return nil, fmt.Errorf("counter field of %d bytes", len(s))
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
		dst = append(dst, s...)
	}
	return dst, nil
}

// DecodeCount reads what AppendBinary wrote.
func DecodeCount(b []byte) (Count, error) {
	if len(b) < 13 || b[0] != countVersion {
		return Count{}, errors.New("not a counter record of version 1")
	}
	c := Count{
		Hour: time.Unix(int64(binary.BigEndian.Uint32(b[1:])), 0).UTC(),
		N:    binary.BigEndian.Uint64(b[5:]),
	}
	b = b[13:]
	var kind string
	for _, s := range []*string{&c.Site, &kind, &c.Key, &c.Notice, &c.Language, &c.Country} {
		if len(b) < 2 {
			return Count{}, errors.New("counter record ends early")
		}
		n := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+n {
			return Count{}, errors.New("counter record ends early")
		}
		*s, b = string(b[2:2+n]), b[2+n:]
	}
	c.Kind = CountKind(kind)
	if len(b) > 0 {
		return Count{}, fmt.Errorf("counter record has %d bytes too many", len(b))
	}
	return c, nil
}
