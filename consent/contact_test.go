package consent

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		channel Channel
		raw     string
		want    string // "" where it is none
	}{
		{WhatsApp, "+4915112345678", "+4915112345678"},
		{WhatsApp, "whatsapp:+4915112345678", "+4915112345678"},
		{WhatsApp, " +49 (0)151 / 123-456.78\u200e", "+4915112345678"},
		{SMS, "004915112345678", "+4915112345678"},
		{SMS, "+1 (415) 523‑8886", "+14155238886"},
		// WhatsApp's id and the number as people write it.
		{WhatsApp, "+5215512345678", "+525512345678"},
		{WhatsApp, "+525512345678", "+525512345678"},
		{WhatsApp, "+5491123456789", "+541123456789"},
		{WhatsApp, "+5511987654321", "+551187654321"},
		{WhatsApp, "+551187654321", "+551187654321"},
		{WhatsApp, "+551133334444", "+551133334444"}, // a landline
		{SMS, "015112345678", ""},
		{SMS, "+0491511234567", ""},
		{SMS, "+33612", ""},
		{SMS, "+491511234567890123", ""},
		{SMS, "+49151abc45678", ""},
		{SMS, "", ""},
		{SMS, "ada@example.com", ""},
		{Email, " Ada@Example.com ", "ada@example.com"},
		{Email, "Ada <ada@example.com>", ""},
		{Email, "ada@@example.com", ""},
		{Email, strings.Repeat("a", 250) + "@example.com", ""},
		{Email, "+4915112345678", ""},
	} {
		got, err := ParseAddress(tt.channel, tt.raw)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s %q: got %q, %v; want %q", tt.channel, tt.raw, got, err, tt.want)
		}
		if err != nil && tt.raw != "" && strings.Contains(err.Error(), tt.raw) {
			t.Errorf("the error repeats the address: %v", err)
		}
	}
}

// TestAddressKeys are different for each site and channel, and with each key.
func TestAddressKeys(t *testing.T) {
	t.Parallel()
	one, err := NewAddresses(testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewAddresses(testKey(2))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[AddressKey]bool{}
	for _, k := range []AddressKey{
		one.Key("a.example", WhatsApp, "+14155238886"), one.Key("b.example", WhatsApp, "+14155238886"),
		one.Key("a.example", SMS, "+14155238886"), one.Key("a.example", WhatsApp, "+14155238887"), two.Key("a.example", WhatsApp, "+14155238886"),
	} {
		if seen[k] {
			t.Errorf("%x stands for two", k)
		}
		seen[k] = true
		b, err := json.Marshal(k)
		var back AddressKey
		if err != nil || json.Unmarshal(b, &back) != nil || back != k {
			t.Errorf("%x comes back from %s as %x", k, b, back)
		}
	}
	for _, bad := range []string{`"00"`, `"` + strings.Repeat("0", 34) + `"`, `"` + strings.Repeat("z", 32) + `"`} {
		if err := json.Unmarshal([]byte(bad), new(AddressKey)); err == nil {
			t.Errorf("%s is read as a key", bad)
		}
	}
	if _, err := NewAddresses([]byte("short")); err == nil {
		t.Error("a key of five bytes is taken")
	}
}
