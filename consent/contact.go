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

	"golang.org/x/net/idna"
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
	Earlier   []ID       `json:"earlier,omitempty"`   // ids of grants that ended before it, the last ones
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

// Check tells one key from another, and nothing else of it.
func (a *Addresses) Check() string {
	m := hmac.New(sha256.New, a.key)
	m.Write([]byte("check"))
	return hex.EncodeToString(m.Sum(nil)[:8])
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
	at := strings.LastIndexByte(raw, '@')
	domain, err := idna.Lookup.ToASCII(raw[at+1:])
	if err != nil {
		return "", errEmail
	}
	return strings.ToLower(raw[:at] + "@" + domain), nil
}

func parsePhone(raw string) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune("-‐‑–.()/", r) {
			return -1
		}
		return r
	}, raw)
	digits, international := strings.CutPrefix(digits, "+")
	if !international {
		digits, international = strings.CutPrefix(digits, "00")
	}
	if !international || len(digits) < 8 || len(digits) > 18 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return "", errPhone
	}
	country, number := split(digits)
	digits = country + oneForm(country, number)
	if len(digits) < 8 || len(digits) > 15 {
		return "", errPhone
	}
	return "+" + digits, nil
}

// split takes the country off a number (ITU-T E.164, list of assigned codes):
// those of one digit, those of two, and all others, of three.
func split(digits string) (country, number string) {
	n := 3
	switch {
	case digits[0] == '1' || digits[0] == '7':
		n = 1
	case strings.Contains(" 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 ", " "+digits[:2]+" "):
		n = 2
	}
	return digits[:n], digits[n:]
}

// keepsZero are the countries whose numbers begin with a zero from abroad, too.
const keepsZero = " 39 378 225 241 242 "

// oneForm is the one of several ways to write a number within its country that
// stands for all: without the zero that is dialled there, and without what tells
// a WhatsApp id from the number as people write it. Mobiles of Mexico carry a 1 in
// one of the two and those of Argentina a 9, or a 15 behind the area; those of
// Brazil have had a ninth digit since 2012 to 2016, which older ids lack.
func oneForm(country, number string) string {
	if country == "52" && (strings.HasPrefix(number, "044") || strings.HasPrefix(number, "045")) {
		number = number[3:]
	}
	if !strings.Contains(keepsZero, " "+country+" ") {
		number = strings.TrimPrefix(number, "0")
	}
	switch {
	case country == "52" && len(number) == 11 && number[0] == '1':
		return number[1:]
	case country == "54" && len(number) == 11 && number[0] == '9':
		return number[1:]
	case country == "54" && len(number) == 12:
		for area := 2; area <= 4; area++ {
			if number[area:area+2] == "15" {
				return number[:area] + number[area+2:]
			}
		}
	case country == "55" && len(number) == 11 && number[2] == '9' && number[3] >= '6':
		return number[:2] + number[3:]
	}
	return number
}
