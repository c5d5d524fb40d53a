package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/server/config"
)

// auth knows who may see what: people by session, programs by API key.
type auth struct {
	users     map[string]config.User          // by e-mail address, lower case
	hashes    map[string]*config.PasswordHash // of the same users
	keys      []apiKey
	passwords *passwords
	sessions  *sessions
	devices   *devices
	accounts  *throttle // guesses at one account, or from one known device
	networks  *throttle // guesses from one network
	secure    bool      // the dashboards are reached over https, whoever asks how
	log       *slog.Logger
}

type apiKey struct {
	name  string
	hash  [sha256.Size]byte
	sites []string
}

// newAuth takes the key that marks known devices.
func newAuth(c *config.Config, deviceKey []byte, now func() time.Time, log *slog.Logger) (*auth, error) {
	a := &auth{
		users: map[string]config.User{}, hashes: map[string]*config.PasswordHash{},
		passwords: newPasswords(), sessions: newSessions(now),
		devices:  &devices{deviceKey},
		accounts: newThrottle(accountFailures, now), networks: newThrottle(networkFailures, now),
		secure: strings.HasPrefix(c.Server.PublicURL, "https://"), log: log,
	}
	for i, u := range c.Users {
		hash, err := config.ParsePasswordHash(u.PasswordHash)
		if err != nil {
			return nil, fmt.Errorf("users[%d].password_hash %w", i, err)
		}
		email := strings.ToLower(u.Email)
		a.users[email], a.hashes[email] = u, &hash
	}
	for _, k := range c.APIKeys {
		digest, err := hex.DecodeString(strings.TrimPrefix(k.KeyHash.Reveal(), "sha256:"))
		if err != nil || len(digest) != sha256.Size {
			return nil, fmt.Errorf("api key %s: hash is not sha256 in hex", k.Name)
		}
		a.keys = append(a.keys, apiKey{k.Name, [sha256.Size]byte(digest), k.Sites})
	}
	return a, nil
}

// attempt is a login as it is tried.
type attempt struct {
	email, password string
	from            netip.Addr // zero: nobody says
	device          string     // value of the device cookie, "" without
}

// login checks a password and opens a session. Whether an address is known
// shows in nothing: not in the error, not in the time, not in the throttle.
// Errors: errWrongLogin, consent.ErrTooMany.
//
// Guesses of others keep nobody out who has been in before: a device that is
// known for the account has guesses of its own.
func (a *auth) login(ctx context.Context, t attempt) (reference string, err error) {
	email := strings.ToLower(strings.TrimSpace(t.email))
	account, network := email, networkOf(t.from)
	if a.devices.knows(t.device, email) {
		account, network = email+"\n"+t.device, ""
	}
	wait, undoAccount := a.accounts.begin(account)
	if wait > 0 {
		return "", &waitError{wait}
	}
	undoNetwork := func() {}
	if network != "" { // else it would be everybody's
		if wait, undoNetwork = a.networks.begin(network); wait > 0 {
			undoAccount()
			return "", &waitError{wait}
		}
	}
	ok, err := a.passwords.verify(ctx, a.hashes[email], t.password)
	if err != nil {
		undoAccount()
		undoNetwork()
		return "", err
	}
	if !ok {
		a.log.InfoContext(ctx, "login refused")
		return "", errWrongLogin
	}
	undoNetwork()
	a.accounts.succeeded(account)
	a.log.InfoContext(ctx, "login")
	return a.sessions.start(email), nil
}

// user returns who is logged in.
func (a *auth) user(r *http.Request) (config.User, bool) {
	c, err := r.Cookie(a.cookieName(r, sessionCookie))
	if err != nil {
		return config.User{}, false
	}
	email, ok := a.sessions.find(c.Value)
	if !ok {
		return config.User{}, false
	}
	u, ok := a.users[email]
	return u, ok
}

// end closes the session that a request carries.
func (a *auth) end(r *http.Request) {
	if c, err := r.Cookie(a.cookieName(r, sessionCookie)); err == nil {
		a.sessions.end(c.Value)
	}
}

// sees reports whether a user may see a site.
func sees(u config.User, site string) bool {
	return u.Role == "admin" || slices.Contains(u.Sites, site)
}

// The cookies of a login.
const (
	sessionCookie = "sluice_session" // a session's reference
	deviceCookie  = "sluice_device"  // see devices
)

// overHTTPS reports whether the browser came over https, as far as anybody says.
func (a *auth) overHTTPS(r *http.Request) bool {
	return a.secure || r.URL.Scheme == "https"
}

// cookieName has the prefix that ties a cookie to exactly this origin, where
// browsers accept it: over https (RFC 6265bis, 4.1.3.2).
func (a *auth) cookieName(r *http.Request, name string) string {
	if a.overHTTPS(r) {
		return "__Host-" + name
	}
	return name
}

// cookie answers a request with a cookie; value "" takes it back.
func (a *auth) cookie(r *http.Request, name, value string, age time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: a.cookieName(r, name), Value: value, Path: "/",
		Secure: a.overHTTPS(r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(age / time.Second),
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// key returns the API key that a request carries. Every key is compared, so
// that the time tells nothing.
func (a *auth) key(r *http.Request) (*apiKey, bool) {
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || sent == "" {
		return nil, false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(sent)))
	var found *apiKey
	for i := range a.keys {
		if subtle.ConstantTimeCompare(sum[:], a.keys[i].hash[:]) == 1 {
			found = &a.keys[i]
		}
	}
	return found, found != nil
}

// keyFor reports whether a request carries an API key of the site.
func (a *auth) keyFor(r *http.Request, site string) bool {
	k, ok := a.key(r)
	return ok && slices.Contains(k.sites, site)
}
