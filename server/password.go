package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"sluice/server/config"
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

// verify reports whether password matches h, which is nil for a user that
// nobody knows. That takes as long as a wrong password.
func (p *passwords) verify(ctx context.Context, h *config.PasswordHash, password string) (bool, error) {
	known := h != nil
	if !known {
		h = &decoy
	}
	if len(password) > maxPassword {
		password = password[:maxPassword]
		known = false
	}
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return false, fmt.Errorf("wait for a slot to verify a password: %w", err)
	}
	defer p.slots.Release(1)
	same := subtle.ConstantTimeCompare(derive(*h, password), h.Key) == 1
	return same && known, nil
}

// decoy stands in for an unknown user's hash.
var decoy = config.PasswordHash{
	MemoryKiB: argonMemoryKiB, Time: argonTime, Threads: argonThreads,
	Salt: make([]byte, argonSaltBytes), Key: make([]byte, argonKeyBytes),
}

func derive(h config.PasswordHash, password string) []byte {
	return argon2.IDKey([]byte(password), h.Salt, h.Time, h.MemoryKiB, h.Threads, uint32(len(h.Key)))
}

// HashPassword returns the argon2id hash that users[].password_hash takes.
func HashPassword(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fmt.Errorf("a password has %d to %d bytes; this one has %d", minPassword, maxPassword, len(password))
	}
	h := decoy
	h.Salt = make([]byte, argonSaltBytes)
	rand.Read(h.Salt) // never fails (crypto/rand)
	h.Key = derive(h, password)
	return h.String(), nil
}
