package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// PasswordHash is an argon2id hash. As text it has the PHC string format:
// $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY.
type PasswordHash struct {
	MemoryKiB, Time uint32
	Threads         uint8
	Salt, Key       []byte
}

func (h PasswordHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$%s$%s$%s", argon2.Version, h.parameters(), b64.EncodeToString(h.Salt), b64.EncodeToString(h.Key))
}

func (h PasswordHash) parameters() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", h.MemoryKiB, h.Time, h.Threads)
}

var errNotArgon = errors.New("is not an argon2id hash")

// ParsePasswordHash reads users[].password_hash. Its bounds keep a hash in the
// configuration from taking the machine's memory. Its errors repeat neither
// salt nor key.
func ParsePasswordHash(s Secret) (PasswordHash, error) {
	var h PasswordHash
	parts := strings.Split(s.Reveal(), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errNotArgon
	}
	_, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.MemoryKiB, &h.Time, &h.Threads)
	if err != nil || parts[3] != h.parameters() {
		return h, fmt.Errorf("%w: its parameters are not such as m=19456,t=2,p=1", errNotArgon)
	}
	if h.MemoryKiB < 8<<10 || h.MemoryKiB > 256<<10 || h.Time < 1 || h.Time > 16 || h.Threads < 1 || h.Threads > 16 {
		return h, fmt.Errorf("has parameters out of bounds, %s: m is 8192 to 262144, t and p are 1 to 16", parts[3])
	}
	if h.Salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(h.Salt) < 8 {
		return h, fmt.Errorf("%w: its salt is not base64 of 8 bytes and more", errNotArgon)
	}
	if h.Key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.Key) < 16 || len(h.Key) > 64 {
		return h, fmt.Errorf("%w: its key is not base64 of 16 to 64 bytes", errNotArgon)
	}
	return h, nil
}
