package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

// deviceKeyFile holds the key that marks browsers which have logged in before.
// Losing it makes each of them a new one.
const deviceKeyFile = "keys/device.key"

// deviceAge is how long a browser stays known after a login.
const deviceAge = 365 * 24 * time.Hour

// devices marks a browser that has logged in to an account by a cookie: a random
// number and its MAC with the account's address. It opens nothing; it is what
// tells the guesses of a stranger from those of the account's owner (OWASP,
// Slow Down Online Guessing Attacks with Device Cookies).
type devices struct{ key []byte }

// Lengths of a device's number, and of its MAC.
const (
	deviceNumber = 16
	deviceMAC    = 16
)

// mark draws the cookie of a device on which the account has logged in.
func (d *devices) mark(email string) (value string) {
	b := make([]byte, deviceNumber, deviceNumber+deviceMAC)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(append(b, d.mac(b, email)...))
}

// knows reports whether value was drawn for the account.
func (d *devices) knows(value, email string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return err == nil && len(b) == deviceNumber+deviceMAC && hmac.Equal(b[deviceNumber:], d.mac(b[:deviceNumber], email))
}

func (d *devices) mac(number []byte, email string) []byte {
	m := hmac.New(sha256.New, d.key)
	m.Write(number)
	m.Write([]byte(email))
	return m.Sum(nil)[:deviceMAC]
}

// deviceOf is the device cookie of a request, "" without one.
func (a *auth) deviceOf(r *http.Request) string {
	c, err := r.Cookie(a.cookieName(r, deviceCookie))
	if err != nil {
		return ""
	}
	return c.Value
}

// deviceFor is the device cookie that a browser has from now on.
func (a *auth) deviceFor(r *http.Request, email string) *http.Cookie {
	value := a.deviceOf(r)
	if !a.devices.knows(value, email) {
		value = a.devices.mark(email)
	}
	return a.cookie(r, deviceCookie, value, deviceAge)
}
