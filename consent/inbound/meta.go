package inbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"sluice/consent"
)

// Meta verifies and reads webhooks of the WhatsApp Cloud API.
type Meta struct {
	AppSecret, VerifyToken string
}

// verify reports whether Meta signed the bytes of the body.
func (t *Meta) verify(r *http.Request, body []byte) bool {
	digits, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	sent, err := hex.DecodeString(digits)
	if !ok || err != nil || t.AppSecret == "" {
		return false
	}
	m := hmac.New(sha256.New, []byte(t.AppSecret))
	m.Write(body)
	return hmac.Equal(m.Sum(nil), sent)
}

// optedOut is the code of a message that could not be sent because the person
// has stopped them in the app.
const optedOut = 131050

// metaBody is what matters of a notification. It may tell of several messages,
// and of other things on the same address.
type metaBody struct {
	Entry []struct {
		Changes []struct {
			Value struct {
				Messages []struct {
					From, ID, Timestamp string
					Text                struct{ Body string }
					Button              struct{ Text, Payload string }
					Interactive         struct {
						ButtonReply metaReply `json:"button_reply"`
						ListReply   metaReply `json:"list_reply"`
					}
				}
				UserPreferences []struct {
					WaID      string `json:"wa_id"`
					Value     string
					Timestamp json.RawMessage // a number, or a text as of messages
				} `json:"user_preferences"`
				Statuses []struct {
					ID          string
					RecipientID string `json:"recipient_id"`
					Timestamp   string
					Errors      []struct{ Code int }
				}
			}
		}
	}
}

type metaReply struct{ ID, Title string }

// read returns the messages of a notification.
func (t *Meta) read(body []byte) ([]Message, error) {
	var in metaBody
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	var out []Message
	for _, e := range in.Entry {
		for _, c := range e.Changes {
			for _, m := range c.Value.Messages {
				out = append(out, Message{
					ID: m.ID, Channel: consent.WhatsApp, From: plus(m.From), At: unix(seconds(m.Timestamp)),
					Says: []string{m.Text.Body, m.Button.Text, m.Button.Payload, m.Interactive.ButtonReply.Title, m.Interactive.ButtonReply.ID,
						m.Interactive.ListReply.Title, m.Interactive.ListReply.ID},
				})
			}
			for _, p := range c.Value.UserPreferences {
				m := Message{Channel: consent.WhatsApp, From: plus(p.WaID), At: unix(seconds(strings.Trim(string(p.Timestamp), `"`)))}
				m.OptOut = p.Value == "stop"
				if p.Value == "resume" {
					m.Says = []string{p.Value}
				}
				out = append(out, m)
			}
			for _, s := range c.Value.Statuses {
				for _, e := range s.Errors {
					if e.Code == optedOut {
						out = append(out, Message{ID: s.ID, Channel: consent.WhatsApp, From: plus(s.RecipientID), At: unix(seconds(s.Timestamp)), OptOut: true})
					}
				}
			}
		}
	}
	return out, nil
}

func seconds(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// plus makes a phone number of a WhatsApp id; "" stays: the person hides it.
func plus(id string) string {
	if id == "" || id[0] == '+' {
		return id
	}
	return "+" + id
}
