package collector

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/consent"
)

// ClientIP is a visitor's address. It lives from the socket to the exclusions,
// the geo look-up and the keyed hash, and no further: it prints as [redacted].
type ClientIP netip.Addr

const redacted = "[redacted]"

// LogValue implements slog.LogValuer.
func (ClientIP) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format implements fmt.Formatter, for every verb.
func (ClientIP) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) } // a formatter has nobody to tell

// MarshalText implements encoding.TextMarshaler.
func (ClientIP) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (ip ClientIP) addr() netip.Addr { return netip.Addr(ip).Unmap().WithZone("") }

// mac computes HMAC-SHA-256 over a label and parts, without garbage. It is
// safe for concurrent use.
type mac struct{ pool sync.Pool }

type macState struct {
	hash hash.Hash
	buf  []byte
}

func newMAC(key []byte) *mac {
	m := new(mac)
	m.pool.New = func() any { return &macState{hash: hmac.New(sha256.New, key)} }
	return m
}

// sum returns the MAC of the parts, each with its length before it.
func (m *mac) sum(parts ...string) (out [sha256.Size]byte) {
	s := m.pool.Get().(*macState)
	defer m.pool.Put(s)
	s.hash.Reset()
	for _, p := range parts {
		s.buf = binary.BigEndian.AppendUint32(s.buf, uint32(len(p)))
		s.buf = append(s.buf, p...)
	}
	s.hash.Write(s.buf)
	clear(s.buf) // it may hold an address
	s.buf = s.hash.Sum(s.buf[:0])
	copy(out[:], s.buf)
	s.buf = s.buf[:0]
	return out
}

// dayKeys holds the one key under which addresses are hashed: drawn at random,
// never written anywhere, replaced at 00:00 UTC. Once it has been replaced
// nobody can find an address by trying all of them, the operator included.
type dayKeys struct {
	now func() time.Time

	mu  sync.RWMutex
	day int64 // days since 1970
	mac *mac
}

// today returns today's key, and forgets any other. The clock is read under the
// lock: a request of yesterday's last moment must not draw a key of its own, and
// the next one today's again.
func (k *dayKeys) today() *mac {
	if m := k.drawn(); m != nil {
		return m
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if day := dayOf(k.now()); k.mac == nil || k.day != day {
		key := make([]byte, 32)
		rand.Read(key) // never fails (crypto/rand)
		k.day, k.mac = day, newMAC(key)
	}
	return k.mac
}

// drawn returns today's key if there is one already.
func (k *dayKeys) drawn() *mac {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.day != dayOf(k.now()) {
		return nil
	}
	return k.mac
}

func dayOf(at time.Time) int64 { return at.Unix() / (24 * 60 * 60) }

// digest is a keyed hash cut to 128 bits, as hex.
func digest(sum [sha256.Size]byte) string {
	var out [32]byte
	hex.Encode(out[:], sum[:16])
	return string(out[:])
}

// ipHash is what is kept of an address; "" without one.
func ipHash(m *mac, site string, ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	b := ip.As16()
	return digest(m.sum("ip", site, string(b[:])))
}

// visitorOfDay tells visitors without an identifier apart until midnight.
func visitorOfDay(m *mac, site string, ip netip.Addr, userAgent string) string {
	b := ip.As16()
	return digest(m.sum("visitor", site, string(b[:]), userAgent))
}

// googleCookie is where gtag.js keeps the client id.
const googleCookie = "_ga"

// cookie returns the value of the first cookie of that name; "" without one.
// It is http.Request.Cookie without building every cookie anew.
func cookie(h http.Header, name string) string {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && key == name {
				return strings.Trim(value, `"`)
			}
		}
	}
	return ""
}

// visitorOf reads the cookie sl_id, 1.<visitor>.<first visit>; "" where there
// is none or it is another version's.
func visitorOf(h http.Header) string {
	rest, ok := strings.CutPrefix(cookie(h, consent.VisitorCookie), "1.")
	visitor, first, found := strings.Cut(rest, ".")
	if !ok || !found || first == "" || !isDigits(first) || !isVisitor(visitor) {
		return ""
	}
	return visitor
}

// isVisitor reports whether s is [A-Za-z0-9_-]{1,64}.
func isVisitor(s string) bool { return s != "" && len(s) <= maxVisitor && isWord(s) }

func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// googleClientID is the client id under which Google Analytics knows the
// visitor: gtag's own where its cookie is there, so that both report one
// person, else derived from who: the visitor id, or the consent where the
// visitor is a hash of the day. Derived ids look like gtag's, two positive
// numbers, and cannot be led back without the key.
func googleClientID(m *mac, h http.Header, site, who string) string {
	if id, ok := clientIDOf(cookie(h, googleCookie)); ok {
		return id
	}
	sum := m.sum("ga-client-id", site, who)
	number := func(b []byte) uint64 { return uint64(binary.BigEndian.Uint32(b)&0x7fffffff) + 1 }
	out := strconv.AppendUint(make([]byte, 0, 21), number(sum[0:]), 10)
	return string(strconv.AppendUint(append(out, '.'), number(sum[4:]), 10))
}

// clientIDOf reads a _ga cookie, GA1.<depth>.<random>.<first seen>.
func clientIDOf(ga string) (id string, ok bool) {
	rest, found := strings.CutPrefix(ga, "GA1.")
	_, id, depth := strings.Cut(rest, ".")
	a, b, two := strings.Cut(id, ".")
	return id, found && depth && two && isPositive(a) && isPositive(b)
}

// googleSessions reads the sessions in which gtag.js has the visitor, from its
// cookies _ga_<ID> of the given measurement IDs, in the form of
// Event.GASessions.
func googleSessions(h http.Header, ids []string) string {
	var out []string
	for _, id := range ids {
		if session := sessionOf(cookie(h, googleCookie+"_"+strings.TrimPrefix(id, "G-"))); session != "" {
			out = append(out, id+"="+session)
		}
	}
	return strings.Join(out, " ")
}

// GoogleSession returns the session of one measurement ID out of an event's
// GASessions; "" where there is none.
func GoogleSession(sessions, id string) string {
	for pair := range strings.FieldsSeq(sessions) {
		if key, session, _ := strings.Cut(pair, "="); key == id {
			return session
		}
	}
	return ""
}

// sessionOf reads the session id out of a _ga_<ID> cookie: the third field of
// GS1.<depth>.<session>.…, or the part that begins with s of GS2.<depth>.<parts
// apart by $>, whose order is not fixed and whose other letters are ignored.
func sessionOf(ga string) string {
	version, rest, _ := strings.Cut(ga, ".")
	_, rest, _ = strings.Cut(rest, ".")
	switch version {
	case "GS1":
		if id, _, _ := strings.Cut(rest, "."); isPositive(id) {
			return id
		}
	case "GS2":
		for part := range strings.SplitSeq(rest, "$") {
			if id, ok := strings.CutPrefix(part, "s"); ok && isPositive(id) {
				return id
			}
		}
	}
	return ""
}

func isPositive(s string) bool {
	return s != "" && len(s) <= 20 && s[0] != '0' && isDigits(s)
}

// granted lists the measurement IDs of the services that the token covers.
func (o *SiteOptions) granted(policy *consent.Policy, p Permit, cut *consent.Cut) []string {
	var ids []string
	for _, g := range o.Google {
		use, ok := policy.ServiceUse(g.Service)
		if ok && policy.Live(p.token, cut, use, p.at) == consent.Live {
			ids = append(ids, g.MeasurementID)
		}
	}
	return ids
}

// relays reports whether hits of a property go on as gtag wrote them.
func (o *SiteOptions) relays(property string) bool {
	return slices.ContainsFunc(o.Google, func(g GoogleService) bool { return g.Relay && g.MeasurementID == property })
}
