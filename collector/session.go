package collector

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/collector/enrich"
)

// IdleTimeout ends a session: a visitor's next event later than this opens a
// new one. 30 minutes, the GA4 default, so both reports count alike.
const IdleTimeout = 30 * time.Minute

// maxSessions bounds each of the two generations of sessions that are kept, at
// about 200 bytes each. Beyond it the older generation is forgotten early.
const maxSessions = 50_000

// maxWays bounds how many ways of coming to the site are kept to be shared.
const maxWays = 1000

// Acquisition is how a visitor came to the site. A session has one, that of
// its first event, and all its events carry it.
type Acquisition struct {
	Source, Channel string
	UTM             enrich.UTM
}

// clone returns a without strings that share a request's memory.
func (a Acquisition) clone() Acquisition {
	for _, s := range []*string{&a.Source, &a.Channel, &a.UTM.Source, &a.UTM.Medium, &a.UTM.Campaign, &a.UTM.Term, &a.UTM.Content} {
		*s = strings.Clone(*s)
	}
	return a
}

// SessionState is a session that may still go on, for [Handler.Restore]. A zero
// Acquisition is unknown: the next event's own takes its place.
type SessionState struct {
	Site, Visitor, Session string
	Start, Last            time.Time
	Acquisition            Acquisition
}

// session is a visit that is known here.
type session struct {
	id    string
	start int64 // Unix s
	last  int64 // Unix ns
	came  *Acquisition
	// before is the visitor's visit before this one, for events of it that come
	// late; it has none itself.
	before *session
}

// sessionKey finds a session: by its own name where the client sent one, else
// by its visitor.
type sessionKey struct {
	site, name string
	byVisitor  bool
}

// sessions remembers the visits that may still go on, in two generations: one
// that was heard of moves to the young one, and sweep drops the old one after
// IdleTimeout. It is safe for concurrent use.
type sessions struct {
	mu         sync.Mutex
	young, old map[sessionKey]*session
	turned     time.Time
	ways       map[Acquisition]*Acquisition // most visitors come in few ways, and share them
}

func newSessions() *sessions {
	return &sessions{young: map[sessionKey]*session{}, ways: map[Acquisition]*Acquisition{}}
}

// way returns a copy of came that sessions share.
func (s *sessions) way(came Acquisition) *Acquisition {
	if way, ok := s.ways[came]; ok {
		return way
	}
	if len(s.ways) >= maxWays {
		clear(s.ways)
	}
	own := came.clone()
	s.ways[own] = &own
	return &own
}

// opening is what join tells about an event's session.
type opening struct {
	key    sessionKey
	id     string
	start  int64
	opened *session // by this event, the first of the session seen here; nil: by another
	came   Acquisition
}

// join assigns an event at the moment at to its session: the one that the
// client named, or where given is "" the visitor's current one or a new one.
// came is how this event's page was reached.
func (s *sessions) join(site, visitor, given string, at time.Time, came Acquisition) opening {
	key := sessionKey{site: site, name: given}
	if given == "" {
		key = sessionKey{site: site, name: visitor, byVisitor: true}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.find(key)
	for v := known; v != nil; v = v.before {
		if key.byVisitor && !v.covers(at) {
			continue
		}
		v.last = max(v.last, at.UnixNano())
		if *v.came == (Acquisition{}) { // restored without it
			v.came = s.way(came)
		}
		return opening{key: key, id: v.id, start: v.start, came: *v.came}
	}
	// The key outlives the request: it must not hold on to a whole header.
	key.name = strings.Clone(key.name)
	v := newSession(key, at, s.way(came))
	// An event that comes hours late does not end the visit that goes on.
	switch {
	case known == nil:
		s.put(key, v)
	case at.UnixNano() > known.last:
		known.before, v.before = nil, known
		s.put(key, v)
	default:
		known.before = v
	}
	return opening{key: key, id: v.id, start: v.start, opened: v, came: *v.came}
}

// covers reports whether an event at the moment at belongs to the session.
func (v *session) covers(at time.Time) bool {
	return at.UnixNano()-v.last <= int64(IdleTimeout) && time.Unix(v.start, 0).Sub(at) <= IdleTimeout
}

// find returns a session and keeps it young.
func (s *sessions) find(key sessionKey) *session {
	if v, ok := s.young[key]; ok {
		return v
	}
	v, ok := s.old[key]
	if !ok {
		return nil
	}
	s.put(key, v)
	return v
}

func (s *sessions) put(key sessionKey, v *session) {
	if len(s.young) >= maxSessions {
		s.old, s.young = s.young, make(map[sessionKey]*session, maxSessions)
	}
	s.young[key] = v
}

func newSession(key sessionKey, at time.Time, came *Acquisition) *session {
	v := &session{id: key.name, start: startOf(key.name, at), last: at.UnixNano(), came: came}
	if key.byVisitor {
		v.start = at.Unix()
		v.id = strconv.FormatInt(v.start, 10) + "." + rand.Text()[:12]
	}
	return v
}

// forget takes back a session whose first event could not be kept, so that the
// next one is the first again. Another visit of the same visitor goes on.
func (s *sessions) forget(key sessionKey, v *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, generation := range []map[sessionKey]*session{s.young, s.old} {
		switch known := generation[key]; {
		case known == nil:
		case known != v:
			if known.before == v {
				known.before = nil
			}
		case v.before != nil:
			generation[key] = v.before
		default:
			delete(generation, key)
		}
	}
}

// sweep ends a generation when IdleTimeout has passed since the last.
func (s *sessions) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.turned) > IdleTimeout {
		s.old, s.young, s.turned = s.young, map[sessionKey]*session{}, now
	}
}

// restore takes up a session that began before this server did, unless an
// event has opened it anew by now. Whether the client named it is not known:
// it is found both ways.
func (s *sessions) restore(state SessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &session{id: state.Session, start: state.Start.Unix(), last: state.Last.UnixNano(), came: s.way(state.Acquisition)}
	for _, key := range []sessionKey{{site: state.Site, name: state.Session}, {site: state.Site, name: state.Visitor, byVisitor: true}} {
		if s.find(key) == nil {
			s.put(key, v)
		}
	}
}

// startOf reads the start out of a session's name, <start>.<random>. Where the
// client's clock is off by more than a day it is the event's time.
func startOf(name string, at time.Time) int64 {
	seconds, _, _ := strings.Cut(name, ".")
	start, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || start > at.Add(time.Minute).Unix() || start < at.Add(-maxAge).Unix() {
		return at.Unix()
	}
	return start
}

// isSession reports whether s can be a session's name: sl_s, or any word of
// another client.
func isSession(s string) bool {
	return s != "" && len(s) <= maxSession && isWord(strings.ReplaceAll(s, ".", ""))
}
