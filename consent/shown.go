package consent

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// Shown is what the banner said it was when it was shown: the exact content,
// its language and variant. It is served with the banner, signed, and ties a
// receipt to the words that the visitor read.
type Shown struct {
	Notice   uint32 // fingerprint
	Content  [16]byte
	Language string
	Variant  string
}

const (
	shownLabel = "shown"
	shownMAC   = 16
)

// Hash is the content hash as a receipt records it.
func (s *Shown) Hash() string { return hex.EncodeToString(s.Content[:]) }

// ErrBadShown is a `shown` that this server did not serve for this site.
var ErrBadShown = errors.New("shown is not what this server served")

// SignShown encodes s for a site: notice u32, content [16], language and
// variant each with a u8 length, HMAC [16]; base64url.
func (k *Keys) SignShown(s Shown, domain string) string {
	b := binary.BigEndian.AppendUint32(nil, s.Notice)
	b = append(b, s.Content[:]...)
	for _, str := range []string{s.Language, s.Variant} {
		str = str[:min(len(str), maxWords)]
		b = append(b, byte(len(str)))
		b = append(b, str...)
	}
	sum := k.digest(shownLabel+domain, b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:shownMAC]...))
}

// ParseShown verifies what SignShown encoded.
func (k *Keys) ParseShown(raw, domain string) (Shown, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(raw)
	if err != nil || len(b) < 4+16+2+shownMAC || len(b) > 4+16+2*(1+maxWords)+shownMAC {
		return Shown{}, ErrBadShown
	}
	body, sum := b[:len(b)-shownMAC], b[len(b)-shownMAC:]
	if !k.verifies(shownLabel+domain, body, sum) {
		return Shown{}, ErrBadShown
	}
	s := Shown{Notice: binary.BigEndian.Uint32(body), Content: [16]byte(body[4:20])}
	body = body[20:]
	for _, str := range []*string{&s.Language, &s.Variant} {
		if len(body) < 1 || len(body) < 1+int(body[0]) {
			return Shown{}, ErrBadShown
		}
		*str, body = string(body[1:1+body[0]]), body[1+body[0]:]
	}
	return s, nil
}
