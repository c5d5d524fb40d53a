package collector

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/collector/enrich"
	"sluice/collector/jsonreader"
	"sluice/consent"
)

// What the collector counts beside accepted and refused events. The key is the
// site's own: "event".
const (
	CountCut    consent.CountKind = "cut"    // strings that were longer than is kept
	CountMasked consent.CountKind = "masked" // e-mail addresses and tokens that were replaced
)

// Drop is one event that was not kept.
type Drop struct {
	Index  int            `json:"index"` // within the request
	Reason consent.Reason `json:"reason"`
	Detail string         `json:"detail,omitempty"` // what is wrong with an invalid one; holds no quotation mark
}

// outcome is what became of a request's events.
type outcome struct {
	accepted int
	dropped  []Drop // by index
	// explained are the events that were kept, for a request that asked; nil
	// where none did.
	explained []Explained
	changed   bool // what the token grants has partly changed since
}

// intake takes the events of one request from the gate to the spool. Drops of
// single events are part of the outcome; an error means that nothing was kept.
type intake struct {
	h        *Handler
	ctx      context.Context
	policy   *consent.Policy
	site     *SiteOptions
	header   http.Header
	ip       ClientIP
	received time.Time
	sent     jsonreader.Optional
	driven   bool // the script found its browser under a program's control
	test     bool // from a page on a test host
	byKey    bool // the site's own backend, proved by an API key: its address and headers are not the visitor's
	debug    bool // explain what was kept

	token     consent.Token
	cut       *consent.Cut
	noForward bool

	batch    Batch
	kept     []keeping // beside batch.Events
	out      outcome
	tidied   tidied
	day      *mac   // today's key
	shared   Event  // what all events of the request have in common
	visitor  string // of the cookie, else ""
	anyone   string // the visitor by hash of the day, where one was needed
	problem  string // with the event that is looked at
	refused  consent.Reason
	enriched bool
}

// reuse forgets a request and keeps the room for its events.
func (in *intake) reuse() {
	events, kept := in.batch.Events, in.kept
	clear(events)
	clear(kept)
	*in = intake{batch: Batch{Events: events[:0]}, kept: kept[:0]}
}

// keeping is what has to be undone where an event cannot be kept after all.
type keeping struct {
	index     int
	duplicate EventKey
	named     bool // the client gave an id
	session   sessionKey
	opened    *session // nil: the event joined one that was known
}

// accept decides about every event and keeps those that may be kept.
func (in *intake) accept(raw string, events []wireEvent) (out outcome, err error) {
	defer func() { in.account(len(events), err) }()
	token, reason := in.h.ledger.Authenticate(raw, in.policy)
	signalled := in.policy.Site.Signalled(in.header)
	if reason == consent.NoConsent && signalled {
		reason = consent.ByGPC
	}
	in.batch.Policy, in.batch.Received = in.policy, in.received
	in.tidied.rules = in.site.Rules
	if reason != consent.Live {
		for i := range events {
			in.drop(i, reason)
		}
		return in.finish()
	}
	in.token, in.cut = token, in.h.ledger.Index.Cut(token.Consent)
	in.out.changed = in.policy.Changed(token)
	// A yes given without the signal is no yes to others once it is there.
	in.noForward = signalled && !token.UnderGPC()
	for i := range events {
		if reason := in.take(i, &events[i]); reason != consent.Live {
			in.drop(i, reason)
		}
	}
	return in.finish()
}

// account tells the balance what was received and what of it was refused: here,
// by the spool's committer, or, with all that would have been kept, by its disk.
func (in *intake) account(received int, err error) {
	if in.h.balance == nil {
		return
	}
	refused := maps.Clone(in.batch.Refused)
	if refused == nil {
		refused = map[consent.Reason]int{}
	}
	for _, reason := range in.batch.Late {
		refused[reason]++
	}
	if err != nil {
		refused[Unavailable] = len(in.batch.Events) - len(in.batch.Late)
	}
	in.h.balance.Request(in.policy.Site.Domain, in.received, received, refused)
}

func (in *intake) drop(index int, reason consent.Reason) {
	in.out.dropped = append(in.out.dropped, Drop{Index: index, Reason: public(reason), Detail: in.problem})
	in.problem = ""
	if in.batch.Refused == nil {
		in.batch.Refused = map[consent.Reason]int{}
	}
	in.batch.Refused[reason]++
}

// take admits one event, or says why not. Nothing about the visitor is looked
// at before the gate.
func (in *intake) take(index int, w *wireEvent) consent.Reason {
	if in.site.HashRoutes && w.fragment == "" {
		w.readRoute()
	}
	s, problem := w.shape(&in.tidied)
	if problem != "" {
		in.problem = problem
		return Invalid
	}
	test, ours := in.policy.Site.Owns(s.address.Host)
	if !ours {
		in.problem = "url is not on a host of the site"
		return consent.WrongSite
	}
	at, ok := eventTime(in.received, w.ts, in.sent)
	if !ok {
		in.problem = "ts is older than 24 hours"
		return Invalid
	}
	permit, reason := Gate(in.policy, in.token, in.cut, at)
	if reason != consent.Live {
		return reason
	}
	var google []string // the properties that may be told
	if google = in.site.granted(in.policy, permit, in.cut); w.google != nil && !w.google.allowed(google) {
		return consent.NoConsent
	}
	if reason := in.excluded(w, &s); reason != consent.Live {
		return reason
	}
	if reason := in.enrich(); reason != consent.Live {
		return reason
	}
	keep := keeping{index: index, named: s.event.ID != ""}
	if keep.named {
		keep.duplicate = keyOf(in.policy.Site.Domain, in.token.Consent, s.event.ID)
		if !in.h.duplicates.reserve(keep.duplicate, in.received) {
			return Duplicate
		}
	}
	in.batch.Events = append(in.batch.Events, Admitted{})
	admitted := &in.batch.Events[len(in.batch.Events)-1]
	in.fill(&admitted.event, w, &s, permit.Time(), &keep)
	in.tellGoogle(&admitted.event, w, google)
	admitted.event.Test = test || in.test
	permit.admit(admitted)
	in.kept = append(in.kept, keep)
	return consent.Live
}

// enrich fills what all events of the request share, once, and says whether
// the site excludes their sender.
func (in *intake) enrich() consent.Reason {
	if in.enriched {
		return in.refused
	}
	in.enriched = true
	in.refused = in.look()
	return in.refused
}

func (in *intake) look() consent.Reason {
	if in.byKey {
		in.ip, in.header = ClientIP{}, http.Header{}
	}
	ip := in.ip.addr()
	if in.site.excludesIP(ip) {
		return of(Excluded, byAddress)
	}
	agent := enrich.ReadAgent(in.header)
	device := in.h.devices.Read(agent)
	if in.site.ExcludeBots {
		switch {
		case device.Bot != "":
			return of(Bot, string(device.Bot))
		case in.h.hosting.Holds(ip):
			return of(Bot, string(enrich.DataCentre))
		}
	}
	place := in.h.geo.Place(ip)
	if place.Country != "" && slices.Contains(in.site.ExcludeCountries, place.Country) {
		return of(Excluded, byCountry)
	}
	domain := in.policy.Site.Domain
	in.day = in.h.days.today()
	in.shared = Event{
		Site: domain, NoForward: in.noForward, IPHash: ipHash(in.day, domain, ip),
		Country: place.Country, Region: place.Region, City: place.City,
		Browser: device.Browser, BrowserVersion: device.BrowserVersion,
		OS: device.OS, OSVersion: device.OSVersion, Device: device.Class,
		Language: enrich.Language(in.header.Get("Accept-Language")),
	}
	in.visitor = visitorOf(in.header)
	return consent.Live
}

// fill puts one event together.
func (in *intake) fill(e *Event, w *wireEvent, s *shaped, at time.Time, keep *keeping) {
	*e = in.shared
	own := &s.event
	e.ID, e.Name, e.Title, e.Props, e.Revenue, e.Currency = own.ID, own.Name, own.Title, own.Props, own.Revenue, own.Currency
	e.Items, e.EngagementMS, e.ScreenWidth, e.ScreenHeight = own.Items, own.EngagementMS, own.ScreenWidth, own.ScreenHeight
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	page := in.site.Rules.Page(s.address)
	in.tidied.masked += page.Masked
	if page.Cut {
		in.tidied.cut++
	}
	e.Hostname, e.Path, e.Query = s.address.Host, page.Path, page.Query

	referrer := in.site.Rules.Referrer(w.referrer, in.owns)
	e.Referrer = referrer.URL
	in.tidied.masked += referrer.Masked
	arrival := enrich.ReadArrival(&page, referrer.From)
	came := Acquisition{Source: arrival.Source.Name, Channel: string(arrival.Channel), UTM: page.UTM}

	in.identify(e, w)
	given := w.session
	if !isSession(given) {
		if given = cookie(in.header, consent.SessionCookie); !isSession(given) {
			given = ""
		}
	}
	o := in.h.sessions.join(e.Site, e.Visitor, given, at, came)
	keep.session, keep.opened = o.key, o.opened
	e.Session, e.SessionStart, e.SessionFirst = o.id, o.start, o.opened != nil
	e.Source, e.Channel = o.came.Source, o.came.Channel
	u := o.came.UTM
	e.UTMSource, e.UTMMedium, e.UTMCampaign, e.UTMTerm, e.UTMContent = u.Source, u.Medium, u.Campaign, u.Term, u.Content
}

// tellGoogle sets under which client and session Google Analytics knows the
// visitor, where properties of it may be told. A client id is never derived
// from a hash of the day, which changes too often.
func (in *intake) tellGoogle(e *Event, w *wireEvent, properties []string) {
	if len(properties) == 0 {
		return
	}
	who := e.Visitor
	if in.visitor == "" && !isVisitor(w.visitor) {
		who = in.token.Consent.String()
	}
	e.GAClientID = googleClientID(in.h.clients, in.header, e.Site, who)
	e.GASessions = googleSessions(in.header, properties)
	if hit := w.google; hit != nil {
		e.NoAds = hit.noAds
		if in.site.relays(hit.property) {
			e.Gtag = hit.marks
		}
		if hit.client != "" {
			e.GAClientID = hit.client
		}
		if hit.session != "" {
			e.GASessions = hit.property + "=" + hit.session
		}
	}
}

// allowed reports whether a hit may be taken: the browser does not say no, and
// its property is one of those that may be told.
func (g *googleHit) allowed(properties []string) bool {
	return !g.denied && slices.Contains(properties, g.property)
}

// identify sets the event's visitor.
func (in *intake) identify(e *Event, w *wireEvent) {
	switch {
	case in.visitor != "":
		e.Visitor = strings.Clone(in.visitor)
	case isVisitor(w.visitor):
		e.Visitor = w.visitor
	default:
		if in.anyone == "" {
			in.anyone = in.visitorOfDay()
		}
		e.Visitor = in.anyone
	}
}

// visitorOfDay tells visitors without an identifier apart: by address and
// browser, which a backend does not have; by what they consented to there.
func (in *intake) visitorOfDay() string {
	domain := in.policy.Site.Domain
	if in.byKey {
		return visitorOfDay(in.day, domain, netip.Addr{}, in.token.Consent.String())
	}
	return visitorOfDay(in.day, domain, in.ip.addr(), in.header.Get("User-Agent"))
}

// owns reports whether a referrer is a page of the site itself.
func (in *intake) owns(host string) bool {
	_, ok := in.policy.Site.Owns(host)
	return ok
}

// finish keeps the batch and settles the outcome. Refusals alone are counted
// without the disk.
func (in *intake) finish() (outcome, error) {
	domain := in.policy.Site.Domain
	if len(in.batch.Events) == 0 {
		for reason, n := range in.batch.Refused {
			in.count(consent.CountRefusal, string(reason), n)
		}
		return in.out, nil
	}
	// What is on disk decides the answer, not whether somebody still waits for
	// it: a caller who left comes back with the same events.
	if err := in.h.appender.Append(context.WithoutCancel(in.ctx), &in.batch); err != nil {
		for _, k := range in.kept {
			in.undo(k)
		}
		return outcome{}, fmt.Errorf("keep %d events of %s: %w", len(in.batch.Events), domain, err)
	}
	for i, reason := range in.batch.Late {
		in.undo(in.kept[i])
		in.out.dropped = append(in.out.dropped, Drop{Index: in.kept[i].index, Reason: reason})
	}
	slices.SortFunc(in.out.dropped, func(a, b Drop) int { return a.Index - b.Index })
	in.out.accepted = len(in.batch.Events) - len(in.batch.Late)
	for i := range in.batch.Events {
		if _, late := in.batch.Late[i]; in.debug && !late {
			in.out.explained = append(in.out.explained, in.h.explain(in.kept[i].index, &in.batch.Events[i].event))
		}
	}
	in.count(CountCut, "event", in.tidied.cut)
	in.count(CountMasked, "event", in.tidied.masked)
	return in.out, nil
}

func (in *intake) undo(k keeping) {
	if k.named {
		in.h.duplicates.release(k.duplicate)
	}
	if k.opened != nil {
		in.h.sessions.forget(k.session, k.opened)
	}
}

func (in *intake) count(kind consent.CountKind, key string, n int) {
	if n == 0 {
		return
	}
	c := consent.NewCount(in.policy.Site.Domain, kind, key, in.received)
	c.N = uint64(n)
	in.h.counter.Count(c)
}
