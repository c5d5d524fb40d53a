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
	Timestamp   seconds
	IDMessage   string
	SenderData  struct{ ChatID, Sender string }
	// MessageData holds the words in a member named for their kind.
	MessageData map[string]json.RawMessage
}

// greenTexts are the members of messageData with the words of this message.
// Others, quotedMessage among them, hold those of another.
var greenTexts = []string{
	"textMessageData", "extendedTextMessageData", "templateButtonReplyMessage", "interactiveButtonsReply",
	"interactiveButtonsResponse", "buttonsResponseMessage", "listResponseMessage",
}

// maxGreen bounds a notification of Green API's: it holds a preview of pictures.
const maxGreen = 256 << 10

// read returns the message of a notification; none of what is none.
func (t *GreenAPI) read(body []byte) ([]Message, error) {
	var in greenBody
	if err := lenient(body, &in); err != nil {
		return nil, err
	}
	if in.TypeWebhook != "incomingMessageReceived" {
		return nil, nil
	}
	m := Message{ID: in.IDMessage, Channel: consent.WhatsApp, At: in.Timestamp.time()}
	for _, from := range []string{in.SenderData.Sender, in.SenderData.ChatID} { // of a group, the member who wrote
		if number, ok := strings.CutSuffix(from, "@c.us"); ok {
			m.From = plus(number)
			break
		}
	}
	for _, name := range greenTexts {
		var said struct{ TextMessage, Text, SelectedDisplayText, SelectedButtonText, Title string }
		if raw := in.MessageData[name]; raw != nil && lenient(raw, &said) == nil {
			m.Text += said.TextMessage + said.Text
			m.Buttons = append(m.Buttons, said.SelectedDisplayText, said.SelectedButtonText, said.Title)
		}
	}
	return []Message{m}, nil
}
