package consent

import "time"

// Reason says why something was refused; the empty Reason means that nothing
// stands against it. The words are part of the public contract.
type Reason string

// Reasons that follow from consent. The collector adds its own.
const (
	Live        Reason = ""
	NoConsent   Reason = "no_consent"   // no token, or one that does not grant this
	Expired     Reason = "expired"      // older than the site's consent_days
	Withdrawn   Reason = "withdrawn"    // cut by a later decision or withdrawal
	StaleNotice Reason = "stale_notice" // what was agreed to has changed since
	BadToken    Reason = "bad_token"    // unreadable or not signed here
	WrongSite   Reason = "wrong_site"   // a token, or an address, of another site
	ByGPC       Reason = "gpc"          // Global Privacy Control says no
)

// Use is what somebody is about to do with data.
type Use struct {
	Purpose Purpose
	Service string // "" asks for the purpose alone, which a purpose without services is
}

// Policy decides for one site. It holds the site's current notice and the ones
// that live tokens may refer to. It is immutable and safe for concurrent use.
type Policy struct {
	Site    *Site
	Current *Notice
	past    map[uint32]*Notice // by fingerprint, Current included
	latest  map[Purpose]string // hash of each purpose now
}

// NewPolicy joins a site with its current notice and the earlier ones.
func NewPolicy(site *Site, current *Notice, earlier []*Notice) *Policy {
	p := &Policy{Site: site, Current: current, past: map[uint32]*Notice{}, latest: map[Purpose]string{}}
	for _, n := range earlier {
		if n.Site == site.Domain {
			p.past[n.Fingerprint] = n
		}
	}
	p.past[current.Fingerprint] = current
	for _, q := range current.Purposes {
		p.latest[q.Name] = q.Hash
	}
	return p
}

// Live answers whether token t covers use at the moment at, given what has
// been cut from its consent since (nil: nothing). It is the heart of Sluice;
// its table of cases is live_test.go.
func (p *Policy) Live(t Token, cut *Cut, use Use, at time.Time) Reason {
	if use.Purpose == Essential {
		return Live
	}
	notice := p.past[t.Notice]
	if notice == nil {
		return StaleNotice
	}
	issued := t.IssuedAt()
	if at.Before(issued) {
		return NoConsent
	}
	if !at.Before(issued.Add(p.lifetime(notice))) {
		return Expired
	}
	if cut.Covers(t, use) {
		return Withdrawn
	}
	bit := notice.purposeBit(use.Purpose)
	if bit < 0 {
		return p.unasked(use)
	}
	if t.Purposes&(1<<bit) == 0 {
		return NoConsent
	}
	if notice.Purposes[bit].Hash != p.latest[use.Purpose] {
		return StaleNotice
	}
	if use.Service == "" {
		return Live
	}
	// The purpose's hash covers its services: an unchanged purpose has the
	// service in this notice, or not at all.
	service := notice.serviceBit(use.Service)
	if service < 0 || notice.Services[service].Purpose != use.Purpose || t.Denied&(1<<service) != 0 {
		return NoConsent
	}
	return Live
}

// Granted reports whether a visitor's decision was a yes to use, whatever has
// become of it and of what is asked since. Where the notice that they decided
// on is not known here, nothing contradicts.
func (p *Policy) Granted(t Token, use Use) bool {
	notice := p.past[t.Notice]
	if notice == nil {
		return true
	}
	bit := notice.purposeBit(use.Purpose)
	if bit < 0 || t.Purposes&(1<<bit) == 0 {
		return false
	}
	service := notice.serviceBit(use.Service)
	return use.Service == "" ||
		service >= 0 && notice.Services[service].Purpose == use.Purpose && t.Denied&(1<<service) == 0
}

// LiveNow is Live at the present moment. A consent that is changed more than
// once a second gets tokens whose issue runs ahead of the clock (issueTime);
// each of them counts from when it was handed out.
func (p *Policy) LiveNow(t Token, cut *Cut, use Use, now time.Time) Reason {
	if issued := t.IssuedAt(); now.Before(issued) && !now.Add(maxAhead).Before(issued) {
		now = issued
	}
	return p.Live(t, cut, use, now)
}

// lifetime is how long a choice under notice n holds: what the visitor was
// told then, or less where the site says less now. Raising consent_days
// prolongs no consent that was given before.
func (p *Policy) lifetime(n *Notice) time.Duration {
	if n == nil || n.Days == 0 {
		return p.Site.Lifetime()
	}
	return min(p.Site.Lifetime(), days(n.Days))
}

// MaxEventAge is how late an event may arrive; it counts by when it happened.
const MaxEventAge = 24 * time.Hour

// longest is how long what is cut has to be remembered: as long as any token
// that could be presented may hold, whatever becomes of consent_days, and
// MaxEventAge more. Without that, an event which claims to have happened
// shortly before its token ran out would find the cut forgotten.
func (p *Policy) longest() time.Duration {
	longest := p.Site.Lifetime()
	for _, n := range p.past {
		longest = max(longest, days(n.Days))
	}
	return longest + MaxEventAge
}

// Expires is when a token stops to count.
func (p *Policy) Expires(t Token) time.Time {
	return t.IssuedAt().Add(p.lifetime(p.past[t.Notice]))
}

// unasked is the verdict on a purpose that the token's notice did not name.
func (p *Policy) unasked(use Use) Reason {
	if _, known := p.latest[use.Purpose]; known {
		return StaleNotice
	}
	return NoConsent
}

// Notice returns the notice with this fingerprint, current or earlier; nil
// where this server never served it.
func (p *Policy) Notice(fingerprint uint32) *Notice { return p.past[fingerprint] }

// ServiceUse returns the use of a service of the current notice.
func (p *Policy) ServiceUse(name string) (Use, bool) {
	if i := p.Current.serviceBit(name); i >= 0 {
		return Use{Purpose: p.Current.Services[i].Purpose, Service: name}, true
	}
	return Use{}, false
}

// StatisticsUse is the use that stored events rest on.
var StatisticsUse = Use{Purpose: Analytics, Service: Statistics}
