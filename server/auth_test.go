package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/consent"
	"sluice/server/config"
)

func TestPasswords(t *testing.T) {
	t.Parallel()
	hash, err := HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	p := newPasswords()
	tests := []struct {
		name, hash, password string
		want                 bool
	}{
		{"right", hash, "correct horse battery", true},
		{"wrong", hash, "correct horse batterx", false},
		{"empty", hash, "", false},
		{"endless", hash, "correct horse battery" + strings.Repeat("x", 1<<16), false},
		{"no such user", "", "correct horse battery", false},
		{"the decoy's own key", decoy.String(), "", false},
		// Known answer, made with the reference implementation's command line:
		// echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1
		{"reference implementation", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h *config.PasswordHash
			if tt.hash != "" {
				parsed, err := config.ParsePasswordHash(config.Secret(tt.hash))
				if err != nil {
					t.Fatal(err)
				}
				h = &parsed
			}
			got, err := p.verify(t.Context(), h, tt.password)
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	if _, err := HashPassword("short"); err == nil {
		t.Error("a password of five bytes was hashed")
	}
}

// TestHashOfAUser that cannot be read keeps the server from starting: else
// every login would be told that the password is wrong.
func TestHashOfAUser(t *testing.T) {
	t.Parallel()
	c := &config.Config{Users: []config.User{{Email: "ada@example.com", PasswordHash: "$argon2id$v=19$m=4096,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"}}}
	_, err := newAuth(c, nil, time.Now, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "users[0].password_hash has parameters out of bounds") {
		t.Errorf("got %v", err)
	}
}

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestSessions(t *testing.T) {
	t.Parallel()
	c := &clock{time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)}
	s := newSessions(c.now)
	ref := s.start("ada@example.com")
	if email, ok := s.find(ref); !ok || email != "ada@example.com" {
		t.Fatalf("got %q, %v", email, ok)
	}
	if _, ok := s.find("x" + ref); ok {
		t.Error("a guess found a session")
	}
	for range 20 { // 20 × 7 h 59 min: never idle, but 6.6 days
		c.at = c.at.Add(sessionIdle - time.Minute)
		if _, ok := s.find(ref); !ok {
			t.Fatalf("session ended at %v though it was in use", c.at)
		}
	}
	c.at = c.at.Add(sessionIdle - time.Minute)
	c.at = c.at.Add(sessionIdle - time.Minute)
	if _, ok := s.find(ref); ok {
		t.Error("session outlived its idle time")
	}
	ref = s.start("ada@example.com")
	for range 22 {
		c.at = c.at.Add(sessionIdle - time.Minute)
		s.find(ref)
	}
	if _, ok := s.find(ref); ok {
		t.Error("session outlived seven days")
	}
	ref = s.start("ada@example.com")
	s.end(ref)
	if _, ok := s.find(ref); ok {
		t.Error("session outlived its end")
	}
}

// TestThrottleLeavesTwentyGuessesADay tries as often as it may.
func TestThrottleLeavesTwentyGuessesADay(t *testing.T) {
	t.Parallel()
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	th := newThrottle(accountFailures, c.now)
	end, tries := c.at.Add(24*time.Hour), 0
	for c.at.Before(end) {
		if w, _ := th.begin("ada@example.com"); w > 0 {
			c.at = c.at.Add(w)
			continue
		}
		tries++
	}
	if tries < accountFailures || tries > 20 {
		t.Errorf("got %d guesses in a day, want %d to 20", tries, accountFailures)
	}
	if w, _ := th.begin("bob@example.com"); w != 0 {
		t.Errorf("another account waits %v", w)
	}
	th.succeeded("ada@example.com")
	if w, _ := th.begin("ada@example.com"); w != 0 {
		t.Errorf("after the right password the account waits %v", w)
	}
}

// TestGuessesSideBySide are no more than guesses in turn.
func TestGuessesSideBySide(t *testing.T) {
	t.Parallel()
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	a, err := newAuth(&config.Config{Users: []config.User{{Email: "ada@example.com", PasswordHash: config.Secret(hash)}}}, nil, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	login := func(password, from string) error {
		_, err := a.login(t.Context(), attempt{email: "Ada@example.com", password: password, from: netip.MustParseAddr(from)})
		return err
	}
	var guessed, told atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			var wait *waitError
			switch err := login("wrong password", fmt.Sprintf("192.0.%d.1", i)); {
			case errors.Is(err, errWrongLogin):
				guessed.Add(1)
			case errors.As(err, &wait):
				told.Add(1)
			}
		})
	}
	all.Wait()
	if guessed.Load() != accountFailures || told.Load() != 40-accountFailures {
		t.Errorf("%d were looked at, %d told to wait; want %d of 40 looked at", guessed.Load(), told.Load(), accountFailures)
	}
	c.at = c.at.Add(firstWait)
	for range 2 * networkFailures { // an office, whose passwords are right
		if err := login("correct horse", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGuessesOfOthers keep nobody out who has been in before, and one colleague's
// not the others; a device that is not the account's helps nobody.
func TestGuessesOfOthers(t *testing.T) {
	t.Parallel()
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	users := []config.User{{Email: "ada@example.com", PasswordHash: config.Secret(hash)}, {Email: "bob@example.com", PasswordHash: config.Secret(hash)}}
	a, err := newAuth(&config.Config{Users: users}, []byte("key"), c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	office := netip.MustParseAddr("192.0.2.1")
	try := func(email, password, device string, from netip.Addr) error {
		_, err := a.login(t.Context(), attempt{email: email, password: password, from: from, device: device})
		return err
	}
	mine := a.devices.mark("ada@example.com")
	for range accountFailures {
		if err := try("ada@example.com", "a guess", a.devices.mark("bob@example.com"), office); !errors.Is(err, errWrongLogin) {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, email, device string
		want                error
	}{
		{"no device", "ada@example.com", "", consent.ErrTooMany},
		{"another's device", "ada@example.com", a.devices.mark("bob@example.com"), consent.ErrTooMany},
		{"an invented device", "ada@example.com", mine[:len(mine)-1] + "_", consent.ErrTooMany},
		{"a device without its MAC", "ada@example.com", mine[:22], consent.ErrTooMany},
		{"the account's device", "ada@example.com", mine, nil},
		{"a colleague in the same network", "bob@example.com", "", nil},
	} {
		if err := try(tt.email, "correct horse", tt.device, office); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	for range accountFailures {
		_ = try("ada@example.com", "a guess", mine, office)
	}
	if err := try("ada@example.com", "correct horse", mine, office); !errors.Is(err, consent.ErrTooMany) {
		t.Errorf("guesses from a known device: got %v, want ErrTooMany", err)
	}
	for i := range 2 * networkFailures { // a unix socket whose proxy names nobody
		if err := try(fmt.Sprintf("%d@example.com", i), "a guess", "", netip.Addr{}); !errors.Is(err, errWrongLogin) {
			t.Fatalf("guess %d from an unknown network: got %v", i, err)
		}
	}
}

// TestLoginThatEndsEarly counts for nothing.
func TestLoginThatEndsEarly(t *testing.T) {
	t.Parallel()
	a, err := newAuth(&config.Config{}, nil, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 2 * accountFailures {
		if _, err := a.login(gone, attempt{email: "ada@example.com", password: "wrong password", from: netip.MustParseAddr("192.0.2.1")}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if n := len(a.accounts.byKey) + len(a.networks.byKey); n > 0 {
		t.Errorf("%d keys have failed", n)
	}
}

func TestThrottleIsBounded(t *testing.T) {
	t.Parallel()
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	th := newThrottle(networkFailures, c.now)
	addr := netip.MustParseAddr("2001:db8::1")
	for range maxThrottled + 100 {
		c.at = c.at.Add(time.Millisecond)
		th.begin(networkOf(addr))
		a16 := addr.As16()
		for i := 7; i >= 0; i-- { // the next /64
			a16[i]++
			if a16[i] != 0 {
				break
			}
		}
		addr = netip.AddrFrom16(a16)
	}
	if got := len(th.byKey); got > maxThrottled {
		t.Errorf("table holds %d keys, want at most %d", got, maxThrottled)
	}
}
