package consent

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Choice is a decision on the wire (POST /_s/d, at most 8 KiB of JSON). A
// purpose left out is false; a service left out follows its purpose and can
// only lower it.
type Choice struct {
	Site     string          `json:"site"`
	Purposes map[string]bool `json:"purposes"`
	Services map[string]bool `json:"services"`
	Method   Method          `json:"method"`
	Notice   string          `json:"notice"` // version
	Language string          `json:"lang"`
	Shown    string          `json:"shown"` // as served with the banner
	Token    string          `json:"token"`
	// Outside says that the page had loaded a tag of Google's without asking
	// before this decision: a warning to the operator, and no part of a receipt.
	Outside bool `json:"outside"`
}

// Circumstances are what a decision depends on beside the visitor's words.
type Circumstances struct {
	Previous *Token // the valid token that came with it, nil without
	Cut      *Cut   // of Previous's consent
	Shown    *Shown // verified, nil without
	Signals  Signals
	Country  string // of the visitor, "" where unknown
	Now      time.Time
}

// Decision is what follows from a choice.
type Decision struct {
	Receipt    Receipt
	Token      *Token      // nil where nothing is granted
	Withdrawal *Withdrawal // nil where nothing is taken back
	Cut        *Cut        // to be applied at once; nil for a consent of its own
}

// maxAhead bounds how far issue times may run ahead of the clock when one
// consent is changed more than once a second.
const maxAhead = 30 * time.Second

// maxWords bounds the strings of a choice that end up in a receipt, in bytes.
const maxWords = 64

// languageTag has the shape of a language tag (BCP 47). Languages are counted,
// so that free text would let anybody grow the counters.
var languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$`)

// grants reports whether the choice says yes to anything but Essential.
func (in *Choice) grants() bool {
	for name, yes := range in.Purposes {
		if yes && Purpose(name) != Essential {
			return true
		}
	}
	return false
}

// Decide applies the rules of section 4 of the contract to a choice. Errors:
// *FieldError, ErrStaleNotice, ErrTooMany.
func (p *Policy) Decide(in Choice, c Circumstances) (Decision, error) {
	if err := p.check(in); err != nil {
		return Decision{}, err
	}
	previous := c.continued(p, in)
	notice, err := p.noticeFor(in, previous, c.Cut, c.Shown)
	if err != nil {
		return Decision{}, err
	}
	token := grant(notice, in, c.Signals.GPC || p.Site.honours(c.Signals), p.Site.honours(c.Signals))
	token.Receipt = uuid.New()
	granted := token.Purposes&^gpcBit != 0
	token.Issued = issueTime(c.Now, previous, c.Cut)
	if granted && token.IssuedAt().After(c.Now.Add(maxAhead)) {
		return Decision{}, ErrTooMany // a full withdrawal is never too many
	}
	switch {
	case previous != nil:
		token.Consent = previous.Consent
	case granted:
		token.Consent = uuid.New()
	}
	d := Decision{Receipt: p.receipt(in, c, notice, token)}
	if granted {
		d.Token = &token
	}
	if previous != nil {
		d.Cut, d.Withdrawal = p.takeBack(notice, token, granted, c.Now)
	}
	return d, nil
}

// continued returns the token whose consent the choice continues, nil where it
// begins anew. A grant revives no consent that was withdrawn; a withdrawal that
// is repeated withdraws again: the first may have been answered 503, and be in
// force without being on disk.
func (c *Circumstances) continued(p *Policy, in Choice) *Token {
	t := c.Previous
	if t == nil || !c.Now.Before(p.Expires(*t)) || c.Cut.dead(*t) && in.grants() {
		return nil
	}
	return t
}

// check reports every field of a choice that no state could make right.
func (p *Policy) check(in Choice) error {
	var bad FieldError
	if !slices.Contains(Methods, in.Method) {
		bad.Add("method", "%q is not one of %v", in.Method, Methods)
	}
	if in.Notice == "" {
		bad.Add("notice", "is missing: send the version of the notice that was shown")
	}
	if len(in.Notice) > maxWords {
		bad.Add("notice", "is longer than %d bytes", maxWords)
	}
	if in.Language != "" && !languageTag.MatchString(in.Language) {
		bad.Add("lang", "is not a language tag: write de or pt-BR, or leave it out")
	}
	refuses := in.Method == Withdraw || in.Method == RejectAll
	for name, yes := range in.Purposes {
		purpose := Purpose(name)
		switch {
		case purpose != Essential && !p.names(func(n *Notice) bool { return n.purposeBit(purpose) >= 0 }):
			bad.Add("purposes."+name, "this site has no such purpose; it has %v", p.Current.purposeNames())
		case refuses && yes && purpose != Essential:
			bad.Add("purposes."+name, "cannot be true with method %q", in.Method)
		}
	}
	for name := range in.Services {
		if !p.names(func(n *Notice) bool { return n.serviceBit(name) >= 0 }) && !p.essentialService(name) {
			bad.Add("services."+name, "this site has no such service")
		}
	}
	slices.SortFunc(bad.Fields, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	return bad.OrNil()
}

// names reports whether any notice that this site has served satisfies has.
func (p *Policy) names(has func(*Notice) bool) bool {
	for _, n := range p.past {
		if has(n) {
			return true
		}
	}
	return false
}

func (p *Policy) essentialService(name string) bool {
	return slices.ContainsFunc(p.Site.Services, func(s Service) bool { return s.Name == name && s.Purpose == Essential })
}

// noticeFor returns the notice that a decision is given under: the current one
// where that was shown. A decision that only lowers consent is accepted under
// any notice and stays under the one of its token.
func (p *Policy) noticeFor(in Choice, previous *Token, cut *Cut, shown *Shown) (*Notice, error) {
	current := in.Notice == p.Current.Version && (shown == nil || shown.Notice == p.Current.Fingerprint)
	if current {
		return p.Current, nil
	}
	if previous == nil {
		if in.grants() {
			return nil, ErrStaleNotice
		}
		return p.Current, nil
	}
	old := p.past[previous.Notice]
	if old == nil || !subset(old, in, *previous, cut) {
		return nil, ErrStaleNotice
	}
	return old, nil
}

// subset reports whether in grants nothing but what previous still does: what has
// been cut since was taken back, whichever token is sent.
func subset(n *Notice, in Choice, previous Token, cut *Cut) bool {
	purposes, services := n.Granted(previous)
	purposes = slices.DeleteFunc(purposes, func(p Purpose) bool { return cut.Covers(previous, Use{Purpose: p}) })
	services = slices.DeleteFunc(services, func(name string) bool {
		return cut.Covers(previous, Use{Purpose: n.Services[n.serviceBit(name)].Purpose, Service: name})
	})
	for name, yes := range in.Purposes {
		if yes && Purpose(name) != Essential && !slices.Contains(purposes, Purpose(name)) {
			return false
		}
	}
	token := grant(n, in, false, false)
	_, wants := n.Granted(token)
	for _, s := range wants {
		if !slices.Contains(services, s) {
			return false
		}
	}
	return true
}

// grant sets a token's bits. Under an honoured signal, recipients outside the
// controller stay off until they are switched on singly.
func grant(n *Notice, in Choice, signal, honoured bool) Token {
	t := Token{Notice: n.Fingerprint}
	for i, p := range n.Purposes {
		if in.Purposes[string(p.Name)] {
			t.Purposes |= 1 << i
		}
	}
	for i, s := range n.Services {
		yes, said := in.Services[s.Name]
		if said && !yes || honoured && s.External && !yes {
			t.Denied |= 1 << i
		}
	}
	if signal {
		t.Purposes |= gpcBit
	}
	return t
}

// issueTime is now in seconds, but later than any token of the same consent.
func issueTime(now time.Time, previous *Token, cut *Cut) uint32 {
	issued := uint32(now.Unix())
	if previous != nil {
		issued = max(issued, previous.Issued+1)
	}
	if previous != nil && cut != nil {
		issued = max(issued, cut.Latest+1)
	}
	return issued
}

// takeBack builds the cut of a decision that continues a consent. Where it
// does not grant the site's own statistics, what was collected is anonymised
// or erased: the token that came with it need not be the newest one, so what
// that one granted says nothing about what was collected.
func (p *Policy) takeBack(n *Notice, token Token, granted bool, now time.Time) (*Cut, *Withdrawal) {
	expires := uint32(token.IssuedAt().Add(p.longest()).Unix())
	purposes, services := n.Granted(token)
	cut := p.lowers(purposes, services, token.Issued, expires)
	if !granted {
		cut = &Cut{Latest: token.Issued, All: Forever, Expires: expires}
	}
	if cut.empty() {
		return cut, nil
	}
	w := &Withdrawal{Site: p.Site.Domain, ConsentID: token.Consent, ReceiptID: token.Receipt, Time: now.UTC(), Cut: *cut}
	if !slices.Contains(services, Statistics) {
		w.Events = p.Site.OnWithdrawal
	}
	return cut, w
}

func (p *Policy) receipt(in Choice, c Circumstances, n *Notice, t Token) Receipt {
	purposes, services := n.Granted(t)
	r := Receipt{
		Schema: ReceiptSchema, ReceiptID: t.Receipt, ConsentID: t.Consent,
		Site: p.Site.Domain, Time: c.Now.UTC(), Expires: p.Expires(t),
		Controller: p.Site.Controller, PolicyURL: p.Site.Notice.PolicyURL,
		Notice: n.Version, NoticeHash: n.Hash, Language: in.Language, Method: in.Method,
		LegalBasis: "consent", GPC: c.Signals.GPC, Country: c.Country,
		Purposes: map[Purpose]bool{}, Services: map[string]bool{},
	}
	if t.Consent != (ID{}) {
		r.Issued = t.IssuedAt()
	}
	if c.Shown != nil {
		r.ShownHash, r.Language, r.Variant = c.Shown.Hash(), c.Shown.Language, c.Shown.Variant
	}
	for _, q := range n.Purposes {
		r.Purposes[q.Name] = slices.Contains(purposes, q.Name)
	}
	for _, s := range n.Services {
		r.Services[s.Name] = slices.Contains(services, s.Name)
		if s.External && r.Services[s.Name] {
			r.Recipients = append(r.Recipients, s.Name)
		}
	}
	return r
}

func (n *Notice) purposeNames() []Purpose {
	out := make([]Purpose, len(n.Purposes))
	for i, p := range n.Purposes {
		out[i] = p.Name
	}
	return out
}
