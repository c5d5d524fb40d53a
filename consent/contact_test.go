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
		// The zero that is dialled within a country, and where it belongs to the number.
		{SMS, "+49 0151 12345678", "+4915112345678"},
		{SMS, "+44 (0)7911 123456", "+447911123456"},
		{SMS, "+39 06 12345678", "+390612345678"},
		{SMS, "+39 (0)6 12345678", "+390612345678"},
		{SMS, "+225 07 12 34 56 78", "+2250712345678"},
		{WhatsApp, "+55 (011) 98765-4321", "+551187654321"},
		{WhatsApp, "+52 044 55 1234 5678", "+525512345678"},
		{WhatsApp, "+54 11 15 2345 6789", "+541123456789"},
		{WhatsApp, "+54 9 11 2345 6789", "+541123456789"},
		{WhatsApp, "+7 912 345 67 89", "+79123456789"},
		{SMS, "+33612", ""},
		{SMS, "+491511234567890123", ""},
		{SMS, "+49151abc45678", ""},
		{SMS, "", ""},
		{SMS, "ada@example.com", ""},
		{Email, " Ada@Example.com ", "ada@example.com"},
		{Email, "ada@Bücher.example", "ada@xn--bcher-kva.example"},
		{Email, "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
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
