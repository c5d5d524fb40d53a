package inbound

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's signature is HMAC-SHA1
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sluice/consent"
)

// Twilio verifies and reads webhooks of Twilio's messaging
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security).
type Twilio struct {
	AuthToken string
	URLs      []string // under which the door is reached, as configured at Twilio
}

// maxTwilio bounds a message of Twilio's: a few kB, ten links to media included.
const maxTwilio = 16 << 10

// signature is what the request says that Twilio signed it with; nil: it says
// nothing of that kind.
func (t *Twilio) signature(r *http.Request) []byte {
	sent, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Twilio-Signature"))
	if err != nil || len(sent) != sha1.Size || t.AuthToken == "" {
		return nil
	}
	return sent
}

// verify reports whether Twilio signed the request: base64 of HMAC-SHA1 over the
// address and the sorted form. Of a body that is no form, the address holds the
// hash.
func (t *Twilio) verify(r *http.Request, body []byte) bool {
	sent := t.signature(r)
	if sent == nil {
		return false
	}
	forms := []string{""}
	if hash := r.URL.Query().Get("bodySHA256"); hash != "" {
		sum := sha256.Sum256(body)
		if !equal(strings.ToLower(hash), hex.EncodeToString(sum[:])) {
			return false
		}
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return false
		}
		forms = slices.Compact([]string{signedForm(form, false), signedForm(form, true)})
	}
	for _, address := range t.addresses(r) {
		for _, form := range forms {
			m := hmac.New(sha1.New, []byte(t.AuthToken))
			_, _ = io.WriteString(m, address) // a hash takes all
			_, _ = io.WriteString(m, form)
			if hmac.Equal(m.Sum(nil), sent) {
				return true
			}
		}
	}
	return false
}

// addresses are those that Twilio may have signed for a request, each once.
func (t *Twilio) addresses(r *http.Request) []string {
	var out []string
	for _, address := range t.URLs {
		if r.URL.RawQuery != "" {
			address += "?" + r.URL.RawQuery
		}
		out = append(out, address, withPort(address), withoutPort(address))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// signedForm is the form as it is signed. Of a key that is repeated, one of
// Twilio's libraries takes the first value and another all different ones, in
// order.
func signedForm(form url.Values, all bool) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(form)) {
		values := form[key][:1]
		if all {
			values = slices.Compact(slices.Sorted(slices.Values(form[key])))
		}
		for _, v := range values {
			b.WriteString(key + v)
		}
	}
	return b.String()
}

// withPort and withoutPort are an address as Twilio may have signed it: the
// standard port written out, or left out.
func withPort(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Port() != "" {
		return address
	}
	u.Host += map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	return u.String()
}

func withoutPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	return u.String()
}

// read returns the message of a form; no message of what is none.
func (t *Twilio) read(body []byte) []Message {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("From") == "" {
		return nil
	}
	m := Message{
		ID: form.Get("MessageSid"), Channel: consent.SMS, From: form.Get("From"),
		Text: form.Get("Body"), Buttons: []string{form.Get("ButtonText"), form.Get("ButtonPayload")}, OptOut: form.Get("OptOutType") == "STOP",
	}
	if m.Buttons[0] != "" {
		m.Text = "" // it repeats the button
	}
	if from, ok := strings.CutPrefix(m.From, "whatsapp:"); ok {
		m.Channel, m.From = consent.WhatsApp, from
	}
	return []Message{m}
}
