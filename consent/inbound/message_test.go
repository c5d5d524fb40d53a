package inbound

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice/consent"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestTwilioSignature uses the vectors that Twilio's documentation and libraries
// publish, and one of a WhatsApp message.
func TestTwilioSignature(t *testing.T) {
	t.Parallel()
	const message = "SmsMessageSid=SM1&NumMedia=0&ProfileName=Ann&SmsSid=SM1&WaId=15005550006&SmsStatus=received&Body=STOP&To=whatsapp%3A%2B14155238886&NumSegments=1&MessageSid=SM1&AccountSid=AC1&From=whatsapp%3A%2B15005550006&ApiVersion=2010-04-01"
	call := url.Values{"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"}, "From": {"+14158675309"}, "ReasonConferenceEnded": {"test"}, "Reason": {"Participant"}}
	for _, tt := range []struct {
		name, known, query, body, signature string
		want                                bool
	}{
		{"documented", "https://mycompany.com/myapp.php", "foo=1&bar=2", call.Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", true},
		{"WhatsApp", "https://s.example/hooks/twilio", "", message, "VSiu2+GzfzPHzrE+5aHsJFjPBPE=", true},
		{"with the port", "https://s.example:443/hooks/twilio", "", message, "VSiu2+GzfzPHzrE+5aHsJFjPBPE=", true},
		{"another address", "https://t.example/hooks/twilio", "", message, "VSiu2+GzfzPHzrE+5aHsJFjPBPE=", false},
		{"another query", "https://mycompany.com/myapp.php", "foo=1", call.Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
		{"another word", "https://s.example/hooks/twilio", "", strings.Replace(message, "STOP", "STAY", 1), "VSiu2+GzfzPHzrE+5aHsJFjPBPE=", false},
		{"none", "https://s.example/hooks/twilio", "", message, "", false},
		{"no base64", "https://s.example/hooks/twilio", "", message, "%", false},
		{"another body than was hashed", "https://s.example/hooks/twilio", "bodySHA256=" + strings.Repeat("0", 64), "{}", "VSiu2+GzfzPHzrE+5aHsJFjPBPE=", false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/hooks/twilio?"+tt.query, nil)
		r.Header.Set("X-Twilio-Signature", tt.signature)
		v := Twilio{AuthToken: "12345", URLs: []string{"https://elsewhere.example/", tt.known}}
		if got := v.verify(r, []byte(tt.body)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if v.AuthToken = ""; v.verify(r, []byte(tt.body)) {
			t.Errorf("%s is taken without a secret", tt.name)
		}
	}
	repeated := url.Values{"a": {"2", "1", "2"}, "B": {"x"}}
	if got, want := signedForm(repeated, false)+" "+signedForm(repeated, true), "Bxa2 Bxa1a2"; got != want {
		t.Errorf("a repeated key is signed as %q, want %q", got, want)
	}
}

const metaStop = `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","messages":[{"from":"15005550006","id":"wamid.1","timestamp":"1740476674","type":"text","text":{"body":"STOP"}}]}}]}]}`

func TestMetaSignature(t *testing.T) {
	t.Parallel()
	const right = "sha256=a6cfaf5db782c20bb02ed1a67f1bc1f8566eea2b7162a6a6b5ab03cd5804a012"
	for signature, want := range map[string]bool{right: true, right[7:]: false, "sha256=": false, "": false, "sha1=" + right[7:]: false, strings.ToUpper(right): false} {
		r := httptest.NewRequest(http.MethodPost, "/hooks/meta", nil)
		r.Header.Set("X-Hub-Signature-256", signature)
		if got := (&Meta{AppSecret: "app-secret"}).verify(r, []byte(metaStop)); got != want {
			t.Errorf("%q: %v, want %v", signature, got, want)
		}
		if (&Meta{AppSecret: "app-secret"}).verify(r, []byte(metaStop+" ")) || (&Meta{}).verify(r, []byte(metaStop)) {
			t.Errorf("%q fits another body, or no secret", signature)
		}
	}
}

func TestGreenAPIToken(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]bool{"Bearer green": true, "green": true, "Basic green": true, "Bearer greens": false, "Bearer ": false, "": false} {
		r := httptest.NewRequest(http.MethodPost, "/hooks/green-api", nil)
		if sent != "" {
			r.Header.Set("Authorization", sent)
		}
		if got := (&GreenAPI{Token: "green"}).verify(r); got != want {
			t.Errorf("%q: %v, want %v", sent, got, want)
		}
		if (&GreenAPI{}).verify(r) {
			t.Errorf("%q is taken without a secret", sent)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/hooks/green-api", nil)
	r.Header.Set("Authorization", "Basic Z3JlZW4=")
	if !(&GreenAPI{Token: "Basic Z3JlZW4="}).verify(r) {
		t.Error("a token that was configured with its scheme is refused")
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	w := newWords([]string{"Ruhe!", " "})
	for text, want := range map[string]verdict{
		"STOP": stop, "Stop promotions": stop, "İPTAL": stop, "ΔΙΑΚΟΠΉ": stop, "ΔΙΑΚΟΠΗ": stop, "Arrete": stop, "ODHLASIT": stop, "cancel": stop, " stop. ": stop, "»Stop«": stop, "ＳＴＯＰ": stop, "Stop 🛑": stop, "STOP\u200e": stop, "Stop  all!": stop, "opt-out": stop, "Opt Out": stop,
		"ARRÊT": stop, "СТОП": stop, "停止": stop, "ruhe": stop, "إيقاف": stop,
		"start": start, "UNSTOP": start,
		"": nothing, "   ": nothing, "...": nothing, "please stop by tomorrow": nothing, "stops": nothing, "nonstop": nothing, "Don't stop": nothing,
		strings.Repeat("stop ", 100): nothing,
	} {
		if got := w.of(&Message{Text: text}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for button, want := range map[string]verdict{"STOP": stop, "Unsubscribe": stop, "Stop promotions": stop, "cancel": nothing, "Quit": nothing, "start": start, "Termin absagen": nothing, strings.Repeat("stop", 100): nothing} {
		if got := w.of(&Message{Buttons: []string{"", button}}); got != want {
			t.Errorf("button %q: %v, want %v", button, got, want)
		}
	}
	if w.of(&Message{Text: "hello", OptOut: true}) != stop {
		t.Error("the provider's own word does not count")
	}
}

// TestMetaMessages reads what a message can look like.
func TestMetaMessages(t *testing.T) {
	t.Parallel()
	message := func(inner string) string {
		return `{"entry":[{"changes":[{"value":{"statuses":[{"id":"x","status":"read"}]}}]},{"changes":[{"value":{"messages":[{"from":"49","id":"other","text":{"body":"hello"}}]}},{"value":` + inner + `}]}]}`
	}
	for name, tt := range map[string]struct {
		value string
		want  consent.Reason
	}{
		"text":                 {`{"messages":[{"from":"15005550006","id":"1","text":{"body":" Stop!"}}]}`, consent.Withdrawn},
		"button":               {`{"messages":[{"from":"15005550006","id":"1","type":"button","button":{"text":"Stop","payload":"p1"}}]}`, consent.Withdrawn},
		"payload of a button":  {`{"messages":[{"from":"15005550006","id":"1","type":"button","button":{"text":"Keine mehr","payload":"STOP"}}]}`, consent.Withdrawn},
		"reply":                {`{"messages":[{"from":"15005550006","id":"1","interactive":{"button_reply":{"id":"b","title":"Unsubscribe"}}}]}`, consent.Withdrawn},
		"choice from a list":   {`{"messages":[{"from":"15005550006","id":"1","interactive":{"list_reply":{"id":"STOP","title":"Nein danke"}}}]}`, consent.Withdrawn},
		"stopped in the app":   {`{"user_preferences":[{"wa_id":"15005550006","category":"marketing_messages","value":"stop","timestamp":1795435200}]}`, consent.Withdrawn},
		"sending was refused":  {`{"statuses":[{"id":"2","status":"failed","recipient_id":"15005550006","errors":[{"code":131050}]}]}`, consent.Withdrawn},
		"another failure":      {`{"statuses":[{"id":"2","status":"failed","recipient_id":"15005550006","errors":[{"code":131026}]}]}`, consent.Live},
		"resumed in the app":   {`{"user_preferences":[{"wa_id":"15005550006","value":"resume"}]}`, consent.Live},
		"something else":       {`{"messages":[{"from":"15005550006","id":"1","text":{"body":"When do you open?"}}]}`, consent.Live},
		"beside what is odd":   {`{"statuses":[7,{"errors":[{"code":"131050"},{"code":{}}]}],"messages":[null,"x",{"from":7,"text":"y"},{"from":"15005550006","id":"1","timestamp":1795435200,"text":{"body":"STOP"}}]}`, consent.Withdrawn},
		"odd in itself":        {`{"messages":[{"from":"15005550006","id":7,"timestamp":{},"text":{"body":"STOP"},"button":"none"}]}`, consent.Withdrawn},
		"a code as a text":     {`{"statuses":[{"id":"2","recipient_id":"15005550006","errors":[{"code":"131050"}]}]}`, consent.Withdrawn},
		"a button to cancel":   {`{"messages":[{"from":"15005550006","id":"1","interactive":{"button_reply":{"id":"cancel","title":"Termin absagen"}}}]}`, consent.Live},
		"somebody else":        {`{"messages":[{"from":"15005550007","id":"1","text":{"body":"STOP"}}]}`, consent.Live},
		"who hides the number": {`{"messages":[{"id":"1","text":{"body":"STOP"}}]}`, consent.Live},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, nil)
			p.grant(t, "a.example")
			messages, err := p.o.Meta.read([]byte(message(tt.value)))
			if err == nil {
				err = p.take(t.Context(), "meta", messages)
			}
			if got := p.reason("a.example"); err != nil || got != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestGreenAPIMessages(t *testing.T) {
	t.Parallel()
	const from = `"senderData":{"chatId":"15005550006@c.us","sender":"15005550006@c.us"}`
	for name, tt := range map[string]struct {
		body string
		want consent.Reason
	}{
		"text":               {`{"typeWebhook":"incomingMessageReceived",` + from + `,"messageData":{"typeMessage":"textMessage","textMessageData":{"textMessage":"STOP"}}}`, consent.Withdrawn},
		"extended":           {`{"typeWebhook":"incomingMessageReceived",` + from + `,"messageData":{"extendedTextMessageData":{"text":"stop"}}}`, consent.Withdrawn},
		"button":             {`{"typeWebhook":"incomingMessageReceived",` + from + `,"messageData":{"templateButtonReplyMessage":{"selectedDisplayText":"Stop"}}}`, consent.Withdrawn},
		"from a hidden chat": {`{"typeWebhook":"incomingMessageReceived","timestamp":"1795435200","senderData":{"chatId":"99@lid","sender":"15005550006@c.us"},"messageData":{"textMessageData":{"textMessage":"STOP"}}}`, consent.Withdrawn},
		"from a list":        {`{"typeWebhook":"incomingMessageReceived",` + from + `,"messageData":{"listResponseMessage":{"title":"Stop"}}}`, consent.Withdrawn},
		"in a group":         {`{"typeWebhook":"incomingMessageReceived","senderData":{"chatId":"1203630@g.us","sender":"15005550006@c.us"},"messageData":{"textMessageData":{"textMessage":"STOP"}}}`, consent.Withdrawn},
		"quoted":             {`{"typeWebhook":"incomingMessageReceived",` + from + `,"messageData":{"extendedTextMessageData":{"text":"why?"},"quotedMessage":{"textMessage":"STOP"}}}`, consent.Live},
		"sent by the owner":  {`{"typeWebhook":"outgoingMessageReceived",` + from + `,"messageData":{"textMessageData":{"textMessage":"STOP"}}}`, consent.Live},
		"hidden number":      {`{"typeWebhook":"incomingMessageReceived","senderData":{"chatId":"99@lid","sender":"99@lid"},"messageData":{"textMessageData":{"textMessage":"STOP"}}}`, consent.Live},
		"of an unknown kind": {`{"typeWebhook":"incomingMessageReceived",` + from + `,"messageData":{"typeMessage":"locationMessage"}}`, consent.Live},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, nil)
			p.grant(t, "a.example")
			messages, err := p.o.GreenAPI.read([]byte(tt.body))
			if err == nil {
				err = p.take(t.Context(), "green-api", messages)
			}
			if got := p.reason("a.example"); err != nil || got != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestTwilioMessages(t *testing.T) {
	t.Parallel()
	v := Twilio{}
	for body, want := range map[string]Message{
		"MessageSid=SM1&From=whatsapp%3A%2B15005550006&Body=STOP": {ID: "SM1", Channel: consent.WhatsApp, From: "+15005550006", Text: "STOP", Buttons: []string{"", ""}},
		"MessageSid=SM2&From=%2B15005550006&Body=hi&ButtonText=B": {ID: "SM2", Channel: consent.SMS, From: "+15005550006", Buttons: []string{"B", ""}},
		"MessageSid=SM3&From=%2B15005550006&OptOutType=STOP":      {ID: "SM3", Channel: consent.SMS, From: "+15005550006", Buttons: []string{"", ""}, OptOut: true},
		"MessageSid=SM4&From=%2B15005550006&OptOutType=HELP":      {ID: "SM4", Channel: consent.SMS, From: "+15005550006", Buttons: []string{"", ""}},
	} {
		got := v.read([]byte(body))
		if len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
	if got := v.read([]byte("{}")); len(got) != 0 {
		t.Errorf("JSON is read as %+v", got)
	}
}
