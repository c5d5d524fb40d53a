package consent

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Recorder keeps what the ledger decided. Record returns once all of it is on
// disk, in one frame; a receipt gets its place in the chain on the way, and the
// index meets a contact.
type Recorder interface {
	Record(ctx context.Context, c Commitment) error
}

// Commitment is what one decision leaves behind. Nil parts are left out. Where it
// takes something back, a Recorder that could not keep it tries again by itself.
type Commitment struct {
	Receipt    *Receipt
	Withdrawal *Withdrawal
	Tombstone  *Tombstone
	Contact    *Contact
	Counts     []Count
}

// Ledger turns choices into receipts and tokens. It is safe for concurrent
// use.
type Ledger struct {
	Sites    *Sites
	Keys     *Keys
	Index    *Index
	Recorder Recorder
	Now      func() time.Time

	// mu orders decisions that continue a consent: reading what was cut,
	// drawing the issue time and applying the new cut are one step.
	mu sync.Mutex

	// contacts orders decisions about channels, until each is on disk.
	contacts sync.Mutex
}

// Grant is a decision with its token signed.
type Grant struct {
	Decision
	Signed string // "" where nothing is granted
}

// Decide records a choice and returns what the browser gets. previous is the
// raw token that came with the request ("" for none); one that is not valid
// counts as none. A withdrawal is in force before the call returns, also when
// it returns ErrUnavailable.
func (l *Ledger) Decide(ctx context.Context, policy *Policy, in Choice, previous string, signals Signals, country string) (Grant, error) {
	c := Circumstances{Signals: signals, Country: country, Now: l.Now()}
	if in.Shown != "" {
		shown, err := l.Keys.ParseShown(in.Shown, policy.Site.Domain)
		if err != nil {
			bad := &FieldError{}
			bad.Add("shown", "is not what this server served; send it back unchanged or leave it out")
			return Grant{}, bad
		}
		c.Shown = &shown
	}
	if t, err := l.Keys.Parse(previous, policy.Site.Domain); err == nil {
		c.Previous = &t
	}
	d, err := l.decide(policy, in, c)
	if err != nil {
		return Grant{}, fmt.Errorf("decide for %s: %w", policy.Site.Domain, err)
	}
	err = l.Recorder.Record(ctx, Commitment{Receipt: &d.Receipt, Withdrawal: d.Withdrawal, Counts: d.counts(c.Now)})
	if err != nil {
		return Grant{}, fmt.Errorf("record decision for %s: %w", policy.Site.Domain, err)
	}
	g := Grant{Decision: d}
	if d.Token != nil {
		g.Signed = l.Keys.Sign(*d.Token, policy.Site.Domain)
	}
	return g, nil
}

func (l *Ledger) decide(policy *Policy, in Choice, c Circumstances) (Decision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Previous != nil {
		c.Cut = l.Index.Cut(c.Previous.Consent)
	}
	d, err := policy.Decide(in, c)
	if err == nil && d.Cut != nil {
		l.Index.Apply(d.Receipt.ConsentID, d.Cut)
	}
	return d, err
}

// counts are the anonymous counters of a decision.
func (d *Decision) counts(now time.Time) []Count {
	r := &d.Receipt
	count := func(kind CountKind, key string) Count {
		c := NewCount(r.Site, kind, key, now)
		c.Notice, c.Language, c.Country = r.Notice, r.Language, r.Country
		return c
	}
	out := []Count{count(CountDecision, string(r.Method))}
	for _, p := range r.GrantedPurposes() {
		out = append(out, count(CountGrant, p))
	}
	return out
}

// Erase asks for the erasure of everything collected under the consent of t.
func (l *Ledger) Erase(ctx context.Context, policy *Policy, t Token) error {
	now := l.Now()
	err := l.Recorder.Record(ctx, Commitment{Tombstone: &Tombstone{
		Site: policy.Site.Domain, ConsentID: t.Consent, Time: now.UTC(), Expires: now.Add(policy.longest()).UTC(),
	}})
	if err != nil {
		return fmt.Errorf("record erasure for %s: %w", policy.Site.Domain, err)
	}
	return nil
}

// Live answers whether the holder of t may be used for use now.
func (l *Ledger) Live(policy *Policy, t Token, use Use) Reason {
	return policy.LiveNow(t, l.Index.Cut(t.Consent), use, l.Now())
}

// Authenticate reads a raw token for a site. The reason is NoConsent for an
// empty one, WrongSite for one of another site of this server, else BadToken.
func (l *Ledger) Authenticate(raw string, policy *Policy) (Token, Reason) {
	if raw == "" {
		return Token{}, NoConsent
	}
	t, err := l.Keys.Parse(raw, policy.Site.Domain)
	if err == nil {
		return t, Live
	}
	for _, other := range l.Sites.All() {
		if other == policy {
			continue
		}
		if _, err := l.Keys.Parse(raw, other.Site.Domain); err == nil {
			return Token{}, WrongSite
		}
	}
	return Token{}, BadToken
}

// The names under which a token travels.
const (
	TokenHeader = "Sluice-Token"
	ProofCookie = "sl_proof"
)

// RawToken returns the token that counts for a request to a site: the body's,
// else the header's, else the cookie's. The first one present decides, bad or
// not. Of several cookies, as where a path has changed, it is the one of this
// site's that was issued last.
func (l *Ledger) RawToken(r *http.Request, body string, policy *Policy) string {
	if body != "" {
		return body
	}
	if h := r.Header.Get(TokenHeader); h != "" {
		return h
	}
	cookies := r.CookiesNamed(ProofCookie)
	switch len(cookies) {
	case 0:
		return ""
	case 1:
		return cookies[0].Value
	}
	raw, last := "", Token{}
	for _, c := range cookies {
		if t, reason := l.Authenticate(c.Value, policy); reason == Live && t.Issued >= last.Issued {
			raw, last = c.Value, t
		}
	}
	return cmp.Or(raw, cookies[0].Value)
}
