package consent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ID identifies a consent or a receipt: 122 random bits, unrelated to visitor,
// address and browser. The zero ID means none.
type ID = uuid.UUID

// Token is what a browser holds of a grant. Its bits are read with the notice
// under which it was given. On the wire it is 83 bytes, big endian, base64url
// without padding (111 characters):
//
//	 0  u8   version, 1
//	 1  [4]  key id: the first bytes of SHA-256 of the key
//	 5  [16] consent id
//	21  [16] receipt id
//	37  u32  notice fingerprint
//	41  u16  purpose bits; bit 15: given under Global Privacy Control
//	43  u32  denied-service bits
//	47  u32  issue time, Unix seconds
//	51  [32] HMAC-SHA-256 over bytes 0..50 and the site's domain
type Token struct {
	Consent  ID
	Receipt  ID
	Notice   uint32
	Purposes uint16
	Denied   uint32
	Issued   uint32
}

const (
	tokenVersion = 1
	tokenBody    = 51
	tokenBytes   = tokenBody + sha256.Size
	// TokenLength is the number of characters of an encoded token.
	TokenLength = (tokenBytes*8 + 5) / 6

	gpcBit = 1 << 15
)

// IssuedAt is when the token was given.
func (t Token) IssuedAt() time.Time { return time.Unix(int64(t.Issued), 0).UTC() }

// UnderGPC reports whether the grant was given while the browser sent Global
// Privacy Control, or Do Not Track where the site honours it: the visitor said
// yes in spite of the signal.
func (t Token) UnderGPC() bool { return t.Purposes&gpcBit != 0 }

// ErrBadToken is a token that this server did not sign, or not for any of its
// sites.
var ErrBadToken = errors.New("token is not valid")

// Keys sign and verify tokens. The first key signs; all verify.
type Keys struct {
	keys []tokenKey
}

type tokenKey struct {
	id   [4]byte
	macs *sync.Pool // of hash.Hash keyed with the key
}

// NewKeys prepares keys of 32 bytes each; at least one.
func NewKeys(keys ...[]byte) (*Keys, error) {
	if len(keys) == 0 {
		return nil, errors.New("no token key")
	}
	out := &Keys{}
	for i, k := range keys {
		if len(k) != 32 {
			return nil, fmt.Errorf("token key %d has %d bytes, want 32", i, len(k))
		}
		sum := sha256.Sum256(k)
		key := tokenKey{macs: &sync.Pool{New: func() any { return hmac.New(sha256.New, k) }}}
		copy(key.id[:], sum[:])
		out.keys = append(out.keys, key)
	}
	return out, nil
}

// mac appends HMAC(body, domain) to dst.
func (k *tokenKey) mac(dst, body []byte, domain string) []byte {
	h := k.macs.Get().(hash.Hash)
	defer k.macs.Put(h)
	h.Reset()
	h.Write(body)
	h.Write([]byte(domain))
	return h.Sum(dst)
}

// Sign encodes t for the site with the given domain.
func (k *Keys) Sign(t Token, domain string) string {
	key := &k.keys[0]
	b := make([]byte, 0, tokenBytes)
	b = append(b, tokenVersion)
	b = append(b, key.id[:]...)
	b = append(b, t.Consent[:]...)
	b = append(b, t.Receipt[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Notice)
	b = binary.BigEndian.AppendUint16(b, t.Purposes)
	b = binary.BigEndian.AppendUint32(b, t.Denied)
	b = binary.BigEndian.AppendUint32(b, t.Issued)
	b = key.mac(b, b, domain)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Parse verifies raw for the site with the given domain. Every failure is
// ErrBadToken: who forges tokens learns nothing.
func (k *Keys) Parse(raw, domain string) (Token, error) {
	if len(raw) != TokenLength {
		return Token{}, ErrBadToken
	}
	var buf [tokenBytes]byte
	// Strict: the spare bits of the last character must be zero, so that one
	// token has one spelling.
	if n, err := base64.RawURLEncoding.Strict().Decode(buf[:], []byte(raw)); err != nil || n != tokenBytes {
		return Token{}, ErrBadToken
	}
	body, sum := buf[:tokenBody], buf[tokenBody:]
	if body[0] != tokenVersion {
		return Token{}, ErrBadToken
	}
	for i := range k.keys {
		key := &k.keys[i]
		if [4]byte(body[1:5]) != key.id {
			continue
		}
		var want [sha256.Size]byte
		if hmac.Equal(key.mac(want[:0], body, domain), sum) {
			return decodeToken(body), nil
		}
	}
	return Token{}, ErrBadToken
}

func decodeToken(b []byte) Token {
	return Token{
		Consent:  ID(b[5:21]),
		Receipt:  ID(b[21:37]),
		Notice:   binary.BigEndian.Uint32(b[37:]),
		Purposes: binary.BigEndian.Uint16(b[41:]),
		Denied:   binary.BigEndian.Uint32(b[43:]),
		Issued:   binary.BigEndian.Uint32(b[47:]),
	}
}

// digest returns HMAC-SHA-256 of data under the signing key, for other things
// that a server signs for itself; label keeps the uses apart.
func (k *Keys) digest(label string, data []byte) [sha256.Size]byte {
	var out [sha256.Size]byte
	k.keys[0].mac(out[:0], data, "\x00"+label)
	return out
}

// verifies reports whether sum is a digest of data under any key.
func (k *Keys) verifies(label string, data, sum []byte) bool {
	for i := range k.keys {
		var want [sha256.Size]byte
		if hmac.Equal(k.keys[i].mac(want[:0], data, "\x00"+label)[:len(sum)], sum) {
			return true
		}
	}
	return false
}

// Holds reports whether a key with this id is present, for the check at start
// that no key which signed live tokens has gone missing.
func (k *Keys) Holds(id [4]byte) bool {
	for i := range k.keys {
		if k.keys[i].id == id {
			return true
		}
	}
	return false
}

// SigningID is the id of the key that signs.
func (k *Keys) SigningID() [4]byte { return k.keys[0].id }
