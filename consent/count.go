package consent

import (
	"encoding/binary"
	"errors"
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
	CountScript   CountKind = "script"          // s.js served
	CountView     CountKind = "view"            // the banner served; Key: "" or one of the below
	CountDecision CountKind = "decision"        // Key: the method
	CountGrant    CountKind = "grant"           // Key: a purpose that a decision granted
	CountEvent    CountKind = "event"           // Key: "accepted"
	CountRefusal  CountKind = "refusal"         // Key: the reason
	CountChanged  CountKind = "forward_changed" // Key: service, space, what a recipient's limits made of an event
	CountGPC      CountKind = "gpc"             // a visit under the signal without a choice
	// The key that tells visitors without an identifier apart was drawn anew
	// within its day: the server was started.
	CountKeyDrawn CountKind = "key_drawn"
	CountChannel  CountKind = "channel" // a decision about a channel, or a message; Key: the channel, a space, and one of the below
	CountOutside  CountKind = "outside" // a decision on a page with a tag that nobody marked; Key: whose, "google"
)

// What a channel is counted with.
const (
	ChannelGranted   = "granted"
	ChannelWithdrawn = "withdrawn"
	ChannelStop      = "stop"  // a message that says so, repeated ones too
	ChannelStart     = "start" // one that would mean the opposite, and grants nothing
)

// Keys of views that are not the usual first question.
const (
	ViewOpened  = "open"     // the preferences were looked up: no part of an opt-in rate
	ViewRenewed = "renewed"  // only what changed was asked about
	ViewVariant = "variant:" // and the name of a banner's variant
)

// NewCount returns a count of one in the hour of at.
func NewCount(site string, kind CountKind, key string, at time.Time) Count {
	return Count{Site: site, Hour: at.UTC().Truncate(time.Hour), Kind: kind, Key: key, N: 1}
}

// countVersion opens the encoding of counts.
const countVersion = 1

// AppendCounts appends the spool encoding of counts: version u8, then for each
// the hour u32 (Unix seconds), N u64 and six strings, each with a u16 length.
// Big endian. Strings longer than 65 535 bytes are cut.
func AppendCounts(dst []byte, counts []Count) []byte {
	dst = append(dst, countVersion)
	for _, c := range counts {
		dst = binary.BigEndian.AppendUint32(dst, uint32(c.Hour.Unix()))
		dst = binary.BigEndian.AppendUint64(dst, c.N)
		for _, s := range [...]string{c.Site, string(c.Kind), c.Key, c.Notice, c.Language, c.Country} {
			s = s[:min(len(s), 0xffff)]
			dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
			dst = append(dst, s...)
		}
	}
	return dst
}

// ErrCountEncoding is a record that AppendCounts did not write.
var ErrCountEncoding = errors.New("not a counter record of version 1")

// DecodeCounts reads what AppendCounts wrote.
func DecodeCounts(b []byte) ([]Count, error) {
	if len(b) == 0 || b[0] != countVersion {
		return nil, ErrCountEncoding
	}
	var out []Count
	for b = b[1:]; len(b) > 0; {
		if len(b) < 12 {
			return nil, ErrCountEncoding
		}
		c := Count{
			Hour: time.Unix(int64(binary.BigEndian.Uint32(b)), 0).UTC(),
			N:    binary.BigEndian.Uint64(b[4:]),
		}
		b = b[12:]
		var kind string
		for _, s := range [...]*string{&c.Site, &kind, &c.Key, &c.Notice, &c.Language, &c.Country} {
			if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
				return nil, ErrCountEncoding
			}
			n := 2 + int(binary.BigEndian.Uint16(b))
			*s, b = string(b[2:n]), b[n:]
		}
		c.Kind = CountKind(kind)
		out = append(out, c)
	}
	return out, nil
}
