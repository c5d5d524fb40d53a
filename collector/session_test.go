package collector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

func TestSessionWindow(t *testing.T) {
	t.Parallel()
	type hit struct {
		after   time.Duration // since the one before
		visitor string
		session string // sent by the client
		first   bool   // want
		same    int    // index of a hit with the same session, or its own
	}
	tests := []struct {
		name string
		hits []hit
	}{
		{"one visit", []hit{{0, "a", "", true, 0}, {29 * time.Minute, "a", "", false, 0}, {30 * time.Minute, "a", "", false, 0}}},
		{"idle for more than 30 minutes", []hit{{0, "a", "", true, 0}, {30*time.Minute + time.Second, "a", "", true, 1}}},
		{"two visitors", []hit{{0, "a", "", true, 0}, {0, "b", "", true, 1}, {0, "a", "", false, 0}}},
		{"the client's own", []hit{{0, "a", "1795435200.x", true, 0}, {2 * time.Hour, "a", "1795435200.x", true, 0}, {time.Minute, "a", "1795435200.x", false, 0}}},
		{"an event hours late", []hit{{0, "a", "", true, 0}, {-2 * time.Hour, "a", "", true, 1}, {2*time.Hour + time.Minute, "a", "", false, 0}}},
		{"late for the visit before", []hit{{0, "a", "", true, 0}, {40 * time.Minute, "a", "", true, 1}, {-35 * time.Minute, "a", "", false, 0}, {36 * time.Minute, "a", "", false, 1}}},
		{"two late ones of a visit that nobody saw", []hit{{0, "a", "", true, 0}, {-2 * time.Hour, "a", "", true, 1}, {5 * time.Minute, "a", "", false, 1}, {116 * time.Minute, "a", "", false, 0}}},
		{"a day with a hit every 20 minutes", func() (hits []hit) {
			for i := range 72 {
				hits = append(hits, hit{20 * time.Minute, "a", "", i == 0, 0})
			}
			return hits
		}()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, at := newSessions(), noon
			s.sweep(at)
			var got []opening
			for i, hit := range tt.hits {
				for now := at; now.Before(at.Add(hit.after)); now = now.Add(time.Minute) {
					s.sweep(now) // as Run does
				}
				at = at.Add(hit.after)
				o := s.join("example.com", hit.visitor, hit.session, at, Acquisition{})
				got = append(got, o)
				if first := o.opened != nil; first != hit.first {
					t.Errorf("hit %d: first = %v, want %v", i, first, hit.first)
				}
				if want := got[hit.same]; o.id != want.id || o.start != want.start {
					t.Errorf("hit %d is in session %s from %d, want that of hit %d: %s from %d", i, o.id, o.start, hit.same, want.id, want.start)
				}
				for j, other := range got[:i] {
					if other.id == o.id && tt.hits[j].same != hit.same {
						t.Errorf("hits %d and %d share a session", i, j)
					}
				}
			}
		})
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSessions()
	for i := range 3 * maxSessions {
		s.join("example.com", fmt.Sprint(i), "", noon, Acquisition{})
	}
	if n := len(s.young) + len(s.old); n > 2*maxSessions {
		t.Errorf("%d sessions are kept, want at most %d", n, 2*maxSessions)
	}
}

func TestStartOf(t *testing.T) {
	t.Parallel()
	now := noon.Unix()
	for name, want := range map[string]int64{
		fmt.Sprintf("%d.x", now-60):      now - 60,
		fmt.Sprintf("%d.x", now-23*3600): now - 23*3600,
		fmt.Sprintf("%d.x", now-25*3600): now, // a clock that is off
		fmt.Sprintf("%d.x", now+3600):    now,
		"99999999999999999999.x":         now,
		"abc":                            now,
		fmt.Sprintf("-%d.x", now):        now,
	} {
		if got := startOf(name, noon); got != want {
			t.Errorf("startOf(%q) = %d, want %d", name, got, want)
		}
	}
}

// All events of a visit carry how it began.
func TestSessionCarriesItsAcquisition(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.sign(h.grant())
	visit := with("Cookie", "sl_id=1.ada.1700000000; sl_s=1795435200.abc")
	h.post(envelopeOf(token, `{"name":"pageview","url":"https://example.com/?utm_campaign=may&utm_source=news&utm_medium=email"}`), visit)
	h.post(envelopeOf(token, `{"name":"pageview","url":"https://example.com/b","referrer":"https://example.com/"}`), visit)
	for i, e := range h.disk.events {
		got := []string{e.Source, e.Channel, e.UTMCampaign, e.UTMSource, e.UTMMedium, e.Session}
		if diff := cmp.Diff([]string{"news", "Email", "may", "news", "email", "1795435200.abc"}, got); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
		if e.SessionFirst != (i == 0) {
			t.Errorf("event %d: first = %v", i, e.SessionFirst)
		}
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.sign(h.grant())
	came := Acquisition{Source: "Google", Channel: "Organic Search"}
	h.handler.Restore([]SessionState{{
		Site: "example.com", Visitor: "ada", Session: "1795434000.abc", Start: noon.Add(-20 * time.Minute), Last: noon.Add(-10 * time.Minute), Acquisition: came,
	}})
	h.post(envelopeOf(token, `{"name":"x","url":"https://example.com/","visitor":"ada"}`))
	h.handler.Restore([]SessionState{{Site: "example.com", Visitor: "ada", Session: "1795430000.old", Start: noon.Add(-2 * time.Hour), Last: noon}})
	h.disk.events = nil
	h.post(envelopeOf(token, `{"name":"x","url":"https://example.com/","visitor":"ada"}`))
	got := h.only()
	if got.SessionFirst || got.Session != "1795434000.abc" || got.SessionStart != 1795434000 || got.Source != "Google" {
		t.Errorf("the visit did not go on: %q from %d, first %v, source %q", got.Session, got.SessionStart, got.SessionFirst, got.Source)
	}
}

// A restored visit of unknown origin takes the next event's own.
func TestRestoreWithoutAcquisition(t *testing.T) {
	t.Parallel()
	s := newSessions()
	s.restore(SessionState{Site: "example.com", Visitor: "ada", Session: "1.x", Start: noon, Last: noon})
	direct := Acquisition{Channel: "Direct"}
	for i, came := range []Acquisition{direct, {Source: "Google", Channel: "Organic Search"}} {
		if got := s.join("example.com", "ada", "", noon, came).came; got != direct {
			t.Errorf("event %d came by %v, want %v", i, got, direct)
		}
	}
}

// What could not be kept did not happen: the next try is the first again.
func TestFailedAppendLeavesNoTrace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := envelopeOf(h.sign(h.grant()), `{"id":"1","name":"x","url":"https://example.com/"}`)
	h.disk.err = consent.ErrUnavailable
	if _, err := h.request(body); !errors.Is(err, consent.ErrUnavailable) {
		t.Fatalf("error %v, want %v", err, consent.ErrUnavailable)
	}
	h.disk.err = nil
	if got := h.post(body); got.Accepted != 1 {
		t.Errorf("the second try is dropped as %s, want kept", got.reasons())
	}
	if !h.only().SessionFirst {
		t.Error("the second try is not the first of its session")
	}
}

// TestSessionsOutOfOrder draws visits of several visitors, each from several
// tabs, whose events arrive late and out of order, with restarts in the middle
// that know no more than what is stored: events are in one session if they are
// of one visit.
func TestSessionsOutOfOrder(t *testing.T) {
	t.Parallel()
	const (
		late     = 5 * time.Minute  // that an event may be on its way
		pause    = 20 * time.Minute // within a visit, at most
		apart    = IdleTimeout + 2*late + time.Minute
		visitors = 5
	)
	type event struct {
		visitor     string
		visit       int
		at, arrives time.Time
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 11))
		var events []event
		for i := range visitors {
			at := noon.Add(time.Duration(r.IntN(60)) * time.Minute)
			for visit := range 4 {
				for range 1 + r.IntN(12) {
					events = append(events, event{fmt.Sprint("v", i), visit, at, at.Add(time.Duration(r.Int64N(int64(late))))})
					at = at.Add(time.Duration(r.Int64N(int64(pause))))
				}
				at = at.Add(apart + time.Duration(r.Int64N(int64(time.Hour))))
			}
		}
		slices.SortStableFunc(events, func(a, b event) int { return a.arrives.Compare(b.arrives) })
		s := newSessions()
		s.sweep(noon)
		of := map[string]string{} // session → visit
		in := map[string]string{} // visit → session
		stored := map[string]SessionState{}
		for i, e := range events {
			if r.IntN(15) == 0 { // a restart
				s = newSessions()
				for _, state := range stored {
					if e.arrives.Sub(state.Last) < IdleTimeout {
						s.restore(state)
					}
				}
			}
			s.sweep(e.arrives)
			o := s.join("example.com", e.visitor, "", e.at, Acquisition{})
			visit := fmt.Sprint(e.visitor, " ", e.visit)
			if known, ok := of[o.id]; ok && known != visit {
				t.Fatalf("seed %d, event %d: session %s has events of visits %s and %s", seed, i, o.id, known, visit)
			}
			if known, ok := in[visit]; ok && known != o.id {
				t.Fatalf("seed %d, event %d: visit %s is in sessions %s and %s", seed, i, visit, known, o.id)
			}
			of[o.id], in[visit] = visit, o.id
			state := stored[e.visitor]
			if state.Session != o.id {
				state = SessionState{Site: "example.com", Visitor: e.visitor, Session: o.id, Start: time.Unix(o.start, 0)}
			}
			if e.at.After(state.Last) {
				state.Last = e.at
			}
			stored[e.visitor] = state
		}
	}
}

// TestForgottenSession: an event that could not be kept takes its own visit back,
// and no other of the same visitor.
func TestForgottenSession(t *testing.T) {
	t.Parallel()
	join := func(s *sessions, at time.Time) opening {
		return s.join("example.com", "ada", "", at, Acquisition{})
	}
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		s := newSessions()
		lost := join(s, noon)
		s.forget(lost.key, lost.opened)
		if next := join(s, noon); next.opened == nil || next.id == lost.id {
			t.Errorf("the next event is in %s, first %v; want a session of its own", next.id, next.opened != nil)
		}
	})
	t.Run("of earlier, come late", func(t *testing.T) {
		t.Parallel()
		s := newSessions()
		current := join(s, noon)
		lost := join(s, noon.Add(-3*time.Hour))
		s.forget(lost.key, lost.opened)
		if next := join(s, noon.Add(time.Minute)); next.id != current.id {
			t.Errorf("the visit that goes on is %s, want %s", next.id, current.id)
		}
		if again := join(s, noon.Add(-3*time.Hour)); again.opened == nil {
			t.Error("the second try is not the first of its session")
		}
	})
	t.Run("of later", func(t *testing.T) {
		t.Parallel()
		s := newSessions()
		before := join(s, noon)
		lost := join(s, noon.Add(2*IdleTimeout))
		s.forget(lost.key, lost.opened)
		if late := join(s, noon.Add(time.Minute)); late.id != before.id {
			t.Errorf("an event of the visit before is in %s, want %s", late.id, before.id)
		}
	})
}

// TestSkewedClocks sends from two tabs of which one's clock is a week ahead and
// the other's three hours behind: their events are of one visit, at the time at
// which they happened.
func TestSkewedClocks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	granted := h.grant()
	granted.Issued -= 60 // nothing counts as from before
	token := h.sign(granted)
	for i, skew := range []time.Duration{7 * 24 * time.Hour, -3 * time.Hour, 7 * 24 * time.Hour} {
		sent := noon.Add(skew)
		body := fmt.Sprintf(`{"site":"example.com","token":%q,"sent":%d,"events":[{"name":"x","url":"https://example.com/","visitor":"ada","ts":%d}]}`,
			token, sent.UnixMilli(), sent.Add(-time.Duration(3-i)*time.Second).UnixMilli())
		if got := h.post(body); got.Accepted != 1 {
			t.Fatalf("event %d is dropped as %s", i, got.reasons())
		}
	}
	for i, e := range h.disk.events {
		if want := noon.Add(-time.Duration(3-i) * time.Second); !e.Time.Equal(want) || e.Session != h.disk.events[0].Session {
			t.Errorf("event %d is of %s in session %s, want %s in %s", i, e.Time, e.Session, want, h.disk.events[0].Session)
		}
	}
}
