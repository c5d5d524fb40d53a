package consent

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// The cookies that Sluice sets beside ChoiceCookie and ProofCookie. SessionCookie
// is set by the script; the server only expires it.
const (
	VisitorCookie    = "sl_id"
	SessionCookie    = "sl_s"
	PreferenceCookie = "sl_pref"
)

// visitorMonths bounds sl_id from the first visit on, however often it is
// renewed: 13 months, the limit of CNIL délibération 2020-091 §51.
const visitorMonths = 13

// preferenceMonths bounds sl_pref.
const preferenceMonths = 6

// maxExpiry bounds the bytes of Set-Cookie lines that expire cookies: nginx
// answers 502 where the header of an upstream outgrows proxy_buffer_size,
// 4 KiB by default.
const maxExpiry = 2500

// jar collects the cookies of one answer.
type jar struct {
	site   *Site
	sent   map[string]string // by the request, the first of each name
	proofs int               // how many sl_proof there are among them
	host   string            // under which the browser knows this door; "" where unknown
	domain string            // attribute: "" keeps a cookie to its host
	before string            // attribute that it may have had before; "": none
	secure bool
	now    time.Time
	set    []*http.Cookie
}

// newJar prepares an answer to r. A test host keeps its cookies to itself:
// the site's domain is not its own. There Secure follows the page, since a
// preview need not have a certificate: Origin names its scheme, or URL.Scheme,
// as the proxy tells.
func (s *Site) newJar(r *http.Request, now time.Time) *jar {
	j := &jar{site: s, sent: map[string]string{}, host: s.doorHost(r), secure: s.Secure(), now: now}
	for _, c := range r.Cookies() {
		if c.Name == ProofCookie {
			j.proofs++
		}
		if _, again := j.sent[c.Name]; !again {
			j.sent[c.Name] = c.Value
		}
	}
	if _, own := s.Owns(r.Host); !own {
		if page := HostOf(r.Header.Get("Origin")); page != "" {
			j.host = page // a proxy in front has replaced the host
		}
	}
	if test, _ := s.Owns(j.host); test {
		j.secure = j.secure && (r.URL.Scheme == "https" || strings.HasPrefix(r.Header.Get("Origin"), "https://"))
	} else if sharable(s.Domain) {
		j.domain = s.Domain
	}
	if s.HostCookies {
		j.domain, j.before = "", j.domain
	}
	return j
}

// sharable reports whether a browser takes host as a Domain attribute:
// addresses and single labels it does not (RFC 6265, 5.1.3 and 5.3).
func sharable(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && strings.Contains(host, ".")
}

// write adds the cookies to an answer.
func (j *jar) write(h http.Header) {
	for _, c := range j.set {
		h.Add("Set-Cookie", c.String())
	}
}

// keep sets a cookie until a moment.
func (j *jar) keep(name, value, path string, httpOnly bool, until time.Time) {
	if _, sent := j.sent[name]; sent && j.before != "" {
		j.end(name, path, j.before)
	}
	j.set = append(j.set, &http.Cookie{
		Name: name, Value: value, Path: path, Domain: j.domain, HttpOnly: httpOnly,
		MaxAge: max(1, int(until.Sub(j.now)/time.Second)), Secure: j.secure, SameSite: http.SameSiteLaxMode,
	})
}

// proofPath is where the browser sends sl_proof: to the doors alone.
func (s *Site) proofPath() string {
	if s.RootDoors || s.BasePath == "" {
		return "/"
	}
	return s.BasePath
}

// otherProofPath is where sl_proof was, or will be, before or after a door
// outside BasePath was opened.
func (s *Site) otherProofPath() string {
	if s.proofPath() == "/" {
		return s.BasePath
	}
	return "/"
}

// decided sets what a decision leaves in the browser and expires what it no
// longer covers.
func (j *jar) decided(g *Grant) {
	r := &g.Receipt
	j.keep(ChoiceCookie, j.site.remembered(r).String(), "/", false, r.Expires)
	var gone []string
	if j.proofs > 1 && j.site.BasePath != "" {
		j.drop(ProofCookie, j.site.otherProofPath()) // it would be sent beside the new one
	}
	if g.Signed != "" {
		j.keep(ProofCookie, g.Signed, j.site.proofPath(), true, r.Expires)
	} else if _, sent := j.sent[ProofCookie]; sent || g.Cut != nil {
		j.drop(ProofCookie, j.site.proofPath()) // whatever becomes of the list: no script can do it
		gone = append(gone, ProofCookie)
	}
	if r.Services[Statistics] {
		value, until := renewVisitor(j.sent[VisitorCookie], j.now)
		if r.Expires.Before(until) {
			until = r.Expires
		}
		j.keep(VisitorCookie, value, "/", false, until)
	}
	j.expire(append(gone, j.uncovered(r)...))
}

// remembered is what the browser keeps of a decision.
func (s *Site) remembered(r *Receipt) Remembered {
	return Remembered{
		Notice: r.Notice, Purposes: r.GrantedPurposes(), Services: r.GrantedServices(), Signals: s.signals(r), Time: r.Time,
	}
}

// uncovered lists the cookies of this request that belong to something which
// the decision does not grant, and to nothing that it does.
func (j *jar) uncovered(r *Receipt) []string {
	var granted, refused []string
	declare := func(yes bool, names ...string) {
		if yes {
			granted = append(granted, names...)
		} else {
			refused = append(refused, names...)
		}
	}
	declare(true, ChoiceCookie, ProofCookie, KeptCookie)
	declare(r.Services[Statistics], VisitorCookie, SessionCookie)
	declare(r.Purposes[Preference], PreferenceCookie)
	for _, svc := range j.site.AllServices() {
		for _, c := range svc.Cookies {
			if c.Kind == "" { // storage keys are the script's to remove
				declare(svc.Purpose == Essential || r.Services[svc.Name], c.Name)
			}
		}
	}
	var out []string
	for name := range j.sent {
		if declares(refused, name) && !declares(granted, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// declares reports whether one of the declared names is the cookie's; "*" at
// the end of a name matches any rest.
func declares(declared []string, name string) bool {
	return slices.ContainsFunc(declared, func(d string) bool {
		if prefix, open := strings.CutSuffix(d, "*"); open {
			return prefix != "" && strings.HasPrefix(name, prefix)
		}
		return d == name
	})
}

// drop takes a cookie away from where keep sets it, and from where it did before.
func (j *jar) drop(name, path string) {
	j.end(name, path, j.domain)
	if j.before != "" {
		j.end(name, path, j.before)
	}
}

// end takes a cookie away from one place, and returns how many bytes that takes.
func (j *jar) end(name, path, domain string) (size int) {
	c := &http.Cookie{Name: name, Path: path, Domain: domain, MaxAge: -1, Secure: j.secure}
	j.set = append(j.set, c)
	return len(c.String())
}

// expire ends cookies wherever they may have been set: a request does not say
// which domain and path a cookie has. Those at "/" come first, where the scripts
// of services set theirs, since maxExpiry may cut the list.
func (j *jar) expire(names []string) {
	paths := []string{"/"}
	if j.site.BasePath != "" {
		paths = append(paths, j.site.BasePath)
	}
	size := 0
	for _, path := range paths {
		for _, name := range names {
			for _, domain := range j.domains() {
				if size += j.end(name, path, domain); size > maxExpiry {
					return
				}
			}
		}
	}
}

// domains lists the Domain attributes that a cookie of this request may have:
// none, the host's and those of its parents up to the registrable domain.
func (j *jar) domains() []string {
	out := []string{""}
	top, err := publicsuffix.EffectiveTLDPlusOne(j.host)
	if err != nil || !sharable(j.host) {
		return out
	}
	for host := j.host; ; {
		out = append(out, host)
		_, parent, more := strings.Cut(host, ".")
		if host == top || !more {
			return out
		}
		host = parent
	}
}

// visitorPattern is 1.<visitor>.<first visit, Unix seconds>.
var visitorPattern = regexp.MustCompile(`^1\.[A-Za-z0-9_-]{1,64}\.([1-9][0-9]{0,11})$`)

// renewVisitor returns the content of sl_id and how long it may be kept: the
// one that is there where it is valid, else a new one.
func renewVisitor(sent string, now time.Time) (value string, until time.Time) {
	if m := visitorPattern.FindStringSubmatch(sent); m != nil {
		seconds, err := strconv.ParseInt(m[1], 10, 64)
		first := time.Unix(seconds, 0).UTC()
		until = first.AddDate(0, visitorMonths, 0)
		if err == nil && !first.After(now) && until.After(now) {
			return sent, until
		}
	}
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	value = "1." + base64.RawURLEncoding.EncodeToString(id[:]) + "." + strconv.FormatInt(now.Unix(), 10)
	return value, now.UTC().AddDate(0, visitorMonths, 0)
}
