package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
)

// key and secret are an example of ours.
var (
	key    = []byte("0123456789abcdef0123456789abcdef")
	secret = collector.Secret("whsec_" + base64.StdEncoding.EncodeToString(key))
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

func receiver(t *testing.T) *Destination {
	t.Helper()
	d, err := New(Options{URL: "https://hooks.example/sluice?key=k", Secret: secret, Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func purchase() *collector.Event {
	return &collector.Event{
		ID: "e1", Site: "example.com", Time: noon, Name: "purchase", Visitor: "v-1", Session: "s", SessionStart: 1795435140,
		Hostname: "example.com", Path: "/thanks", Query: "utm_source=mail", Title: "Thanks", Country: "DE", Region: "DE-BE", City: "Berlin",
		Browser: "Firefox", BrowserVersion: "145.0", OS: "Linux", Device: "Desktop", UTMSource: "mail", IPHash: "feedface", GAClientID: "1.2",
		Props:   []collector.Prop{{Key: "plan", Value: "pro"}, {Key: "seats", Value: 2.0}, {Key: "trial", Value: false}},
		Revenue: "9.90", Currency: "EUR", Items: `[{"item_id":"1"}]`,
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	d := receiver(t)
	p, err := d.Pack([]*collector.Event{purchase()}, collector.AdConsent{}, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"events","timestamp":"2026-11-23T12:00:00Z","data":{"site":"example.com","events":[{"id":"e1","name":"purchase","time":"2026-11-23T12:00:00Z",` +
		`"url":"https://example.com/thanks?utm_source=mail","title":"Thanks","visitor":"` + d.pseudonym(purchase()) + `","session_start":1795435140,` +
		`"utm_source":"mail","country":"DE","device":"Desktop","browser":"Firefox","os":"Linux","props":{"plan":"pro","seats":2,"trial":false},` +
		`"revenue":{"amount":"9.90","currency":"EUR"},"items":[{"item_id":"1"}]}]}}`
	if diff := cmp.Diff(want, string(p.Body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, hidden := range []string{"feedface", "Berlin", "DE-BE", "145.0", `"v-1"`, "1.2"} {
		if strings.Contains(string(p.Body), hidden) {
			t.Errorf("the receiver is told %s", hidden)
		}
	}
}

// TestSignature verifies as a receiver would, from the headers alone.
func TestSignature(t *testing.T) {
	t.Parallel()
	d := receiver(t)
	first, err := d.Pack([]*collector.Event{purchase()}, collector.AdConsent{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Pack([]*collector.Event{purchase()}, collector.AdConsent{}, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []collector.Parcel{first, again} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(p.Header.Get("webhook-id") + "." + p.Header.Get("webhook-timestamp") + "."))
		mac.Write(p.Body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); p.Header.Get("webhook-signature") != want {
			t.Errorf("signature = %s, want %s", p.Header.Get("webhook-signature"), want)
		}
	}
	if first.Header.Get("webhook-id") != again.Header.Get("webhook-id") || string(first.Body) != string(again.Body) {
		t.Error("a repeated request has another id or body")
	}
	if first.Header.Get("webhook-timestamp") != "1795435200" || again.Header.Get("webhook-timestamp") != "1795438800" {
		t.Error("the timestamp is not the attempt's")
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		secret collector.Secret
		ok     bool
	}{
		{secret, true},
		{collector.Secret("whsec_" + encode(make([]byte, 24))), true},
		{collector.Secret("whsec_" + encode(make([]byte, 23))), false},
		{collector.Secret("whsec_" + encode(make([]byte, 65))), false},
		{collector.Secret(encode(key)), false}, {"whsec_%%%", false}, {"", false},
	} {
		if _, err := New(Options{URL: "https://h.example/", Secret: tt.secret}); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrSecret) {
			t.Errorf("%q: %v", string(tt.secret), err)
		}
	}
}

// TestManyEvents takes 25 a request, in one valid JSON value.
func TestManyEvents(t *testing.T) {
	t.Parallel()
	d := receiver(t)
	var load []*collector.Event
	for d.Fits(load, purchase()) {
		load = append(load, purchase())
	}
	p, err := d.Pack(load, collector.AdConsent{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(p.Body, &m); err != nil || len(m.Data.Events) != 25 {
		t.Errorf("%d events, %v; want 25", len(m.Data.Events), err)
	}
}
