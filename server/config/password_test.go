package config

import (
	"strings"
	"testing"
)

func TestParsePasswordHash(t *testing.T) {
	t.Parallel()
	const good = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if h, err := ParsePasswordHash(good); err != nil || h.String() != good {
		t.Fatalf("got %v, %v", h, err)
	}
	for bad, want := range map[string]string{
		"":                       "is not an argon2id hash",
		"x":                      "is not an argon2id hash",
		"$2a$10$abcdefghijklmno": "is not an argon2id hash",
		strings.Replace(good, "argon2id", "argon2i", 1): "is not an argon2id hash",
		strings.Replace(good, "v=19", "v=16", 1):        "is not an argon2id hash",
		strings.Replace(good, "m=65536", "m=4096", 1):   "out of bounds, m=4096,t=2,p=1: m is 8192 to 262144",
		strings.Replace(good, "65536", "1048576", 1):    "out of bounds",
		strings.Replace(good, "65536", "4294967296", 1): "its parameters",
		strings.Replace(good, "t=2", "t=17", 1):         "out of bounds",
		strings.Replace(good, "p=1", "p=1,x=2", 1):      "its parameters",
		strings.Replace(good, "c29tZXNhbHQ", "!", 1):    "its salt",
		strings.Replace(good, "c29tZXNhbHQ", "c29t", 1): "its salt",
		good[:len(good)-30]:                             "its key",
	} {
		if _, err := ParsePasswordHash(Secret(bad)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", bad, err, want)
		}
	}
}
