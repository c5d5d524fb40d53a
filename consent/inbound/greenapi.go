package inbound

import (
	"encoding/json"
	"net/http"
	"strings"

	"sluice/consent"
)

// GreenAPI verifies and reads webhooks of Green API, an unofficial gateway to
// WhatsApp (https://green-api.com/en/docs/api/receiving/).
type GreenAPI struct {
	Token string // webhookUrlToken of the instance's settings
}

// verify reports whether the request carries the token: nothing signs the body.
func (t *GreenAPI) verify(r *http.Request) bool {
	sent := r.Header.Get("Authorization")
	if t.Token == "" || sent == "" {
		return false
	}
	_, bare, _ := strings.Cut(sent, " ")
	whole, behind := equal(sent, t.Token), equal(strings.TrimSpace(bare), t.Token)
	return whole || behind
}

// greenBody is what matters of a notification.
type greenBody struct {
	TypeWebhook string
	Timestamp   int64
	IDMessage   string
	SenderData  struct{ ChatID, Sender string }
	// MessageData holds the words in a member named for their kind.
	MessageData map[string]json.RawMessage
}

// greenTexts are the members of messageData with the words of this message.
// Others, quotedMessage among them, hold those of another.
var greenTexts = []string{
	"textMessageData", "extendedTextMessageData", "templateButtonReplyMessage", "interactiveButtonsReply",
	"interactiveButtonsResponse", "buttonsResponseMessage",
}

// read returns the message of a notification; none of what is none.
func (t *GreenAPI) read(body []byte) ([]Message, error) {
	var in greenBody
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	if in.TypeWebhook != "incomingMessageReceived" {
		return nil, nil
	}
	m := Message{ID: in.IDMessage, Channel: consent.WhatsApp, At: unix(in.Timestamp)}
	from := in.SenderData.ChatID
	if strings.HasSuffix(from, "@g.us") { // a group; its member wrote
		from = in.SenderData.Sender
	}
	if number, ok := strings.CutSuffix(from, "@c.us"); ok {
		m.From = plus(number)
	}
	for _, name := range greenTexts {
		var said struct{ TextMessage, Text, SelectedDisplayText, SelectedButtonText string }
		if raw := in.MessageData[name]; raw != nil && json.Unmarshal(raw, &said) == nil {
			m.Says = append(m.Says, said.TextMessage, said.Text, said.SelectedDisplayText, said.SelectedButtonText)
		}
	}
	return []Message{m}, nil
}
