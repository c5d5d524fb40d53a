package consent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
)

// Channel is a way to write to a person outside the site: a purpose of its own,
// which a banner does not ask for.
type Channel string

// The channels that there are.
const (
	WhatsApp Channel = "whatsapp"
	SMS      Channel = "sms"
	Email    Channel = "email"
)

// Channels lists all of them.
var Channels = []Channel{WhatsApp, SMS, Email}

// Contact is what a person behind a phone number or e-mail address has said
// about a channel of a site, last.
type Contact struct {
	Address   AddressKey `json:"address"`
	Site      string     `json:"site"`
	Channel   Channel    `json:"channel"`
	ConsentID ID         `json:"consent_id,omitzero"` // of the last grant, which is its id; zero where there was none
	ReceiptID ID         `json:"receipt_id"`          // of the last decision
	Granted   bool       `json:"granted"`
	Time      time.Time  `json:"ts"`      // of the last decision
	Expires   time.Time  `json:"expires"` // when a grant ends
}

// Reason says why nobody may be written to; Live that they may.
func (c *Contact) Reason(now time.Time) Reason {
	switch {
	case c == nil:
		return NoConsent
	case !c.Granted:
		return Withdrawn
	case !now.Before(c.Expires):
		return Expired
	}
	return Live
}

// AppendBinary appends the spool encoding, which is JSON as that of a
// withdrawal is. The error is that of encoding/json: never.
func (c Contact) AppendBinary(dst []byte) ([]byte, error) { return appendJSON(dst, c) }

// DecodeContact reads what Contact.AppendBinary wrote.
func DecodeContact(b []byte) (Contact, error) { return decodeJSON[Contact](b, "contact") }

// AddressKey stands for an address on a channel of a site. Without the key of
// the server nobody can tell which, nor whether two sites have the same.
type AddressKey [16]byte

var errAddressKey = errors.New("decode address key: not 16 bytes in hex")

// MarshalText writes hex digits.
func (k AddressKey) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(k[:])), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *AddressKey) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(k)) {
		return errAddressKey
	}
	if _, err := hex.Decode(k[:], b); err != nil {
		return errAddressKey
	}
	return nil
}

// Addresses turns addresses into what is kept of them.
type Addresses struct{ key []byte }

// NewAddresses takes a key of 32 bytes. It has to stay the same: with another
// one nobody is recognised any more.
func NewAddresses(key []byte) (*Addresses, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("the key of phone numbers has %d bytes, want 32", len(key))
	}
	return &Addresses{key}, nil
}

// Key is the HMAC-SHA-256 of site, channel and address, cut to 16 bytes. The
// address is what ParseAddress returned.
func (a *Addresses) Key(site string, c Channel, address string) (k AddressKey) {
	m := hmac.New(sha256.New, a.key)
	fmt.Fprintf(m, "%s\n%s\n%s", site, c, address)
	copy(k[:], m.Sum(nil))
	return k
}

// How an address is to be written.
var (
	errPhone = errors.New("is not a phone number with its country: write +4915112345678")
	errEmail = errors.New("is not an e-mail address: write ada@example.com")
)

// ParseAddress brings a phone number (E.164; spaces, hyphens, dots, slashes and
// parentheses are left out, 00 stands for +) or, for [Email], an e-mail address
// into the one form that stands for all others of it. The error says how to
// write it, and never what was written.
func ParseAddress(c Channel, raw string) (string, error) {
	if c == Email {
		return parseEmail(raw)
	}
	return parsePhone(strings.TrimPrefix(raw, "whatsapp:"))
}

func parseEmail(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	a, err := mail.ParseAddress(raw)
	if err != nil || a.Address != raw || len(raw) > 254 {
		return "", errEmail
	}
	return strings.ToLower(raw), nil
}

func parsePhone(raw string) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune("-‐‑–.()/", r) {
			return -1
		}
		return r
	}, strings.Replace(raw, "(0)", "", 1)) // +49 (0)151: the zero is dialled within the country
	digits, international := strings.CutPrefix(digits, "+")
	if !international {
		digits, international = strings.CutPrefix(digits, "00")
	}
	if !international || len(digits) < 8 || len(digits) > 15 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return "", errPhone
	}
	return "+" + oneForm(digits), nil
}

// oneForm undoes what tells the WhatsApp id of a number from the number as people
// write it: mobiles of Mexico carry a 1 behind the country and those of Argentina
// a 9, in one of the two; those of Brazil have had a ninth digit since 2012 to
// 2016, which older ids lack.
func oneForm(digits string) string {
	switch {
	case len(digits) == 13 && strings.HasPrefix(digits, "521"):
		return "52" + digits[3:]
	case len(digits) == 13 && strings.HasPrefix(digits, "549"):
		return "54" + digits[3:]
	case len(digits) == 13 && strings.HasPrefix(digits, "55") && digits[4] == '9' && digits[5] >= '6':
		return digits[:4] + digits[5:]
	}
	return digits
}
