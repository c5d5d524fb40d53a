package consent

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var fullToken = Token{
	Consent: uuid.MustParse("11111111-2222-4333-8444-555555555555"), Receipt: uuid.MustParse("66666666-7777-4888-8999-aaaaaaaaaaaa"),
	Notice: 0xdeadbeef, Purposes: 0x8003, Denied: 0x80000001, Issued: 1_763_934_343,
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, 1)
	for name, want := range map[string]Token{"full": fullToken, "zero": {}} {
		raw := keys.Sign(want, "example.com")
		if len(raw) != 111 || TokenLength != 111 {
			t.Errorf("%s: token of %d characters, TokenLength %d; want 111, the contract's figure", name, len(raw), TokenLength)
		}
		got, err := keys.Parse(raw, "example.com")
		if err != nil || got != want {
			t.Errorf("%s: %v, %s", name, err, cmp.Diff(want, got))
		}
	}
}

// TestTokenLayout pins the bytes, worked out by another program: browsers hold
// tokens for months.
func TestTokenLayout(t *testing.T) {
	t.Parallel()
	const want = "AXLNboQRERERIiJDM4REVVVVVVVVZmZmZnd3SIiJmaqqqqqqqt6tvu-AA4AAAAFpI4CHQs9B5AikdezHoCwJq3QRjOfX8NnvAJfFTKOyGOwIz0w"
	if got := testKeys(t, 1).Sign(fullToken, "example.com"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, 1)
	raw := keys.Sign(fullToken, "example.com")
	decoded, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		t.Fatal(err)
	}
	version := append([]byte{2}, decoded[1:]...)
	for name, tc := range map[string]struct {
		keys *Keys
		raw  string
		site string
	}{
		"empty":                  {keys, "", "example.com"},
		"another key":            {testKeys(t, 2), raw, "example.com"},
		"another site":           {keys, raw, "example.org"},
		"a subdomain's name":     {keys, raw, "www.example.com"},
		"no site":                {keys, raw, ""},
		"a character short":      {keys, raw[:len(raw)-1], "example.com"},
		"a character more":       {keys, raw + "A", "example.com"},
		"padded":                 {keys, raw + "=", "example.com"},
		"standard alphabet":      {keys, strings.NewReplacer("-", "+", "_", "/").Replace(raw), "example.com"},
		"a line break within":    {keys, raw[:50] + "\n" + raw[51:], "example.com"},
		"a later version":        {keys, base64.RawURLEncoding.EncodeToString(version), "example.com"},
		"not a token":            {keys, strings.Repeat("A", TokenLength), "example.com"},
		"spare bits of the last": {keys, raw[:len(raw)-1] + string(nextInAlphabet(raw[len(raw)-1])), "example.com"},
	} {
		if got, err := tc.keys.Parse(tc.raw, tc.site); !errors.Is(err, ErrBadToken) || got != (Token{}) {
			t.Errorf("%s: got %v, %v; want ErrBadToken", name, got, err)
		}
	}
	for n := range decoded {
		for bit := range 8 {
			flipped := append([]byte{}, decoded...)
			flipped[n] ^= 1 << bit
			if _, err := keys.Parse(base64.RawURLEncoding.EncodeToString(flipped), "example.com"); !errors.Is(err, ErrBadToken) {
				t.Fatalf("bit %d of byte %d flipped: token accepted", bit, n)
			}
		}
		if _, err := keys.Parse(base64.RawURLEncoding.EncodeToString(decoded[:n]), "example.com"); !errors.Is(err, ErrBadToken) {
			t.Fatalf("truncated to %d bytes: token accepted", n)
		}
	}
}

// nextInAlphabet is the character whose first bits are the same.
func nextInAlphabet(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

func TestTokenKeysRotate(t *testing.T) {
	t.Parallel()
	raw := testKeys(t, 1).Sign(fullToken, "example.com")
	both := testKeys(t, 2, 1)
	if _, err := both.Parse(raw, "example.com"); err != nil {
		t.Errorf("token of the second key: %v", err)
	}
	if raw := both.Sign(fullToken, "example.com"); raw != testKeys(t, 2).Sign(fullToken, "example.com") {
		t.Error("the first key does not sign")
	}
	if !both.Holds(testKeys(t, 1).SigningID()) || both.Holds(testKeys(t, 3).SigningID()) {
		t.Error("Holds does not tell held keys from others")
	}
}

func TestNewKeysRefused(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{
		"none": {}, "too short": {make([]byte, 31)}, "one too long": {make([]byte, 32), make([]byte, 33)},
	} {
		if _, err := NewKeys(keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzParseToken looks for bytes that pass for a token without being one: what
// is accepted has to be what the key signs, in its one spelling.
func FuzzParseToken(f *testing.F) {
	keys := testKeys(f, 1)
	f.Add(keys.Sign(fullToken, "example.com"), "example.com")
	f.Add(keys.Sign(Token{}, "example.com"), "example.org")
	f.Add(strings.Repeat("A", TokenLength), "")
	f.Fuzz(func(t *testing.T, raw, site string) {
		token, err := keys.Parse(raw, site)
		if err == nil && keys.Sign(token, site) != raw {
			t.Errorf("%q of %q is accepted, but not what the key signs", raw, site)
		}
		if err != nil && !errors.Is(err, ErrBadToken) {
			t.Errorf("%q: %v, want ErrBadToken", raw, err)
		}
	})
}

func TestShown(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, 1)
	want := Shown{Notice: 7, Content: [16]byte{1, 2, 3}, Language: "de", Variant: "box"}
	raw := keys.SignShown(want, "example.com")
	got, err := keys.ParseShown(raw, "example.com")
	if err != nil || got != want {
		t.Fatalf("%v, %s", err, cmp.Diff(want, got))
	}
	if _, err := keys.ParseShown(raw, "example.org"); !errors.Is(err, ErrBadShown) {
		t.Errorf("of another site: %v, want ErrBadShown", err)
	}
	decoded, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		t.Fatal(err)
	}
	for n := range decoded {
		flipped := append([]byte{}, decoded...)
		flipped[n] ^= 1
		if _, err := keys.ParseShown(base64.RawURLEncoding.EncodeToString(flipped), "example.com"); !errors.Is(err, ErrBadShown) {
			t.Errorf("byte %d changed: accepted", n)
		}
		if _, err := keys.ParseShown(base64.RawURLEncoding.EncodeToString(decoded[:n]), "example.com"); !errors.Is(err, ErrBadShown) {
			t.Errorf("truncated to %d bytes: accepted", n)
		}
	}
}
