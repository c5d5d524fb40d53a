package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
)

// Parameters of new hashes: the floor that OWASP's Password Storage Cheat
// Sheet sets for argon2id. The parameters stand in each hash, so they can rise
// later without a migration.
const (
	argonMemoryKiB = 19 << 10
	argonTime      = 2
	argonThreads   = 1
	argonSaltBytes = 16
	argonKeyBytes  = 32
)

// Length of a password, in bytes (ASVS 6.2.1, 6.2.9).
const (
	minPassword = 12
	maxPassword = 256
)

// passwords verifies logins. At most two run at once: each takes the memory
// that its hash says, and 64 of them in parallel would take more than a
// gigabyte.
type passwords struct{ slots *semaphore.Weighted }

func newPasswords() *passwords { return &passwords{slots: semaphore.NewWeighted(2)} }

// verify reports whether password matches hash. A wrong password and an
// unreadable hash take the same time.
func (p *passwords) verify(ctx context.Context, hash, password string) (bool, error) {
	h, err := parseHash(hash)
	known := err == nil
	if !known {
		h = decoy
	}
	if len(password) > maxPassword {
		password = password[:maxPassword]
		known = false
	}
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return false, fmt.Errorf("wait for a slot to verify a password: %w", err)
	}
	defer p.slots.Release(1)
	same := subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
	return same && known, nil
}

// phc is a password hash in PHC string format:
// $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY.
type phc struct {
	memoryKiB, time uint32
	threads         uint8
	salt, key       []byte
}

// decoy stands in for an unknown user's hash.
var decoy = phc{
	memoryKiB: argonMemoryKiB, time: argonTime, threads: argonThreads,
	salt: make([]byte, argonSaltBytes), key: make([]byte, argonKeyBytes),
}

func (h phc) derive(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memoryKiB, h.threads, uint32(len(h.key)))
}

func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memoryKiB, h.time, h.threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

var errNotArgon = errors.New("not an argon2id hash")

// parseHash reads a PHC string. Its bounds keep a hash in the configuration
// from taking the machine's memory.
func parseHash(s string) (phc, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errNotArgon
	}
	var h phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memoryKiB, &h.time, &h.threads); err != nil {
		return phc{}, fmt.Errorf("%w: parameters %q", errNotArgon, parts[3])
	}
	if h.memoryKiB < 8<<10 || h.memoryKiB > 256<<10 || h.time < 1 || h.time > 16 || h.threads < 1 || h.threads > 16 {
		return phc{}, fmt.Errorf("%w: parameters %q are out of bounds", errNotArgon, parts[3])
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(h.salt) < 8 {
		return phc{}, fmt.Errorf("%w: salt", errNotArgon)
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return phc{}, fmt.Errorf("%w: key", errNotArgon)
	}
	return h, nil
}

// HashPassword returns the argon2id hash that users[].password_hash takes.
func HashPassword(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fmt.Errorf("a password has %d to %d bytes; this one has %d", minPassword, maxPassword, len(password))
	}
	h := phc{memoryKiB: argonMemoryKiB, time: argonTime, threads: argonThreads, salt: make([]byte, argonSaltBytes)}
	rand.Read(h.salt) // never fails (crypto/rand)
	h.key = argon2.IDKey([]byte(password), h.salt, h.time, h.memoryKiB, h.threads, argonKeyBytes)
	return h.String(), nil
}
