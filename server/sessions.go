package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

// How long a login lasts (ASVS 7.3.1, 7.3.2).
const (
	sessionIdle     = 8 * time.Hour
	sessionAbsolute = 7 * 24 * time.Hour
)

// sessions are the logins of the dashboards, in memory: a restart asks for the
// password again. What a browser holds is a random reference; what is kept
// here is its SHA-256, so that a dump of memory opens nothing.
type sessions struct {
	now func() time.Time

	mu   sync.Mutex
	byID map[[sha256.Size]byte]session
}

type session struct {
	email         string
	started, seen time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, byID: map[[sha256.Size]byte]session{}}
}

// start opens a session and returns its reference, 256 random bits.
func (s *sessions) start(email string) string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	reference := base64.RawURLEncoding.EncodeToString(b[:])
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, old := range s.byID {
		if old.over(now) {
			delete(s.byID, id)
		}
	}
	s.byID[sha256.Sum256([]byte(reference))] = session{email: email, started: now, seen: now}
	return reference
}

// find returns whose session a reference is, and keeps it from idling out.
func (s *sessions) find(reference string) (email string, ok bool) {
	id, now := sha256.Sum256([]byte(reference)), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byID[id]
	if !ok {
		return "", false
	}
	if found.over(now) {
		delete(s.byID, id)
		return "", false
	}
	found.seen = now
	s.byID[id] = found
	return found.email, true
}

// end closes a session.
func (s *sessions) end(reference string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, sha256.Sum256([]byte(reference)))
}

func (s session) over(now time.Time) bool {
	return now.Sub(s.seen) >= sessionIdle || now.Sub(s.started) >= sessionAbsolute
}
