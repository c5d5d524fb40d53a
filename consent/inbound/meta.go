package inbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"sluice/consent"
)

// Meta verifies and reads webhooks of the WhatsApp Cloud API.
type Meta struct {
	AppSecret, VerifyToken string
}

// signature is what the request says that Meta signed it with; nil: it says
// nothing of that kind.
func (t *Meta) signature(r *http.Request) []byte {
	digits, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	sent, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sent) != sha256.Size || t.AppSecret == "" {
		return nil
	}
	return sent
}

// verify reports whether Meta signed the bytes of the body.
func (t *Meta) verify(r *http.Request, body []byte) bool {
	sent := t.signature(r)
	if sent == nil {
		return false
	}
	m := hmac.New(sha256.New, []byte(t.AppSecret))
	m.Write(body)
	return hmac.Equal(m.Sum(nil), sent)
}

// optedOut is the code of a message that could not be sent because the person
// has stopped them in the app.
const optedOut = "131050"

// maxMeta is how large Meta says that a notification can be.
const maxMeta = 3 << 20

// metaBody is what matters of a notification. It may tell of several messages,
// and of other things on the same address. Each is read by itself: one that looks
// otherwise than it should hides none beside it.
type metaBody struct {
	Entry []struct {
		Changes []struct {
			Value json.RawMessage
		}
	}
}

type metaValue struct {
	Messages        []json.RawMessage
	UserPreferences []json.RawMessage `json:"user_preferences"`
	Statuses        []json.RawMessage
}

type metaMessage struct {
	From, ID    string
	Timestamp   seconds
	Text        struct{ Body string }
	Button      struct{ Text, Payload string }
	Interactive struct {
		ButtonReply metaReply `json:"button_reply"`
		ListReply   metaReply `json:"list_reply"`
	}
}

type metaReply struct{ ID, Title string }

type metaPreference struct {
	WaID      string `json:"wa_id"`
	Value     string
	Timestamp seconds
}

type metaStatus struct {
	ID          string
	RecipientID string `json:"recipient_id"`
	Timestamp   seconds
	Errors      []struct{ Code json.Number }
}

// read returns the messages of a notification.
func (t *Meta) read(body []byte) ([]Message, error) {
	var in metaBody
	if err := lenient(body, &in); err != nil {
		return nil, err
	}
	var out []Message
	for _, e := range in.Entry {
		for _, c := range e.Changes {
			var v metaValue
			if lenient(c.Value, &v) == nil {
				out = append(out, v.read()...)
			}
		}
	}
	return out, nil
}

func (v *metaValue) read() (out []Message) {
	for _, raw := range v.Messages {
		var m metaMessage
		if lenient(raw, &m) == nil {
			b, l := m.Interactive.ButtonReply, m.Interactive.ListReply
			out = append(out, Message{
				ID: m.ID, Channel: consent.WhatsApp, From: plus(m.From), At: m.Timestamp.time(),
				Text: m.Text.Body, Buttons: []string{m.Button.Text, m.Button.Payload, b.Title, b.ID, l.Title, l.ID},
			})
		}
	}
	for _, raw := range v.UserPreferences {
		var p metaPreference
		if lenient(raw, &p) == nil {
			m := Message{Channel: consent.WhatsApp, From: plus(p.WaID), At: p.Timestamp.time(), OptOut: p.Value == "stop"}
			if p.Value == "resume" {
				m.Text = p.Value
			}
			out = append(out, m)
		}
	}
	for _, raw := range v.Statuses {
		var s metaStatus
		if lenient(raw, &s) != nil {
			continue
		}
		for _, e := range s.Errors {
			if e.Code.String() == optedOut {
				out = append(out, Message{ID: s.ID, Channel: consent.WhatsApp, From: plus(s.RecipientID), At: s.Timestamp.time(), OptOut: true})
			}
		}
	}
	return out
}

// plus makes a phone number of a WhatsApp id; "" stays: the person hides it.
func plus(id string) string {
	if id == "" || id[0] == '+' {
		return id
	}
	return "+" + id
}
