package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/collector/spool"
	"sluice/consent"
)

// propertyEvents is how many events TestNothingWithoutConsent judges; `make
// property`, which CI runs too, asks for a million.
const propertyEvents = "SLUICE_PROPERTY_EVENTS"

// TestNothingWithoutConsent sends events to the real doors at random places
// among decisions, withdrawals, notices that change and change back, clean
// restarts, crashes, replays, forged tokens, clocks that are off and a clock
// that leaps, also between an event's gate and its commit, and while a request
// to Google is under way. A model that knows one rule judges each: a token
// covers an event if it granted the statistics as they are asked for now, it
// had been issued and its time had not run out when the event happened, and no
// later decision of the same consent left them out. Exactly those rows are
// stored, each once, and no byte goes to Google but of those that it was
// granted, and still is.
func TestNothingWithoutConsent(t *testing.T) {
	t.Parallel()
	events := 10_000
	if testing.Short() {
		events = 2_000
	}
	if asked := os.Getenv(propertyEvents); asked != "" {
		var err error
		if events, err = strconv.Atoi(asked); err != nil {
			t.Fatalf("%s: %v", propertyEvents, err)
		}
	}
	var mu sync.Mutex
	total, begun := walkTally{refused: map[consent.Reason]int{}}, time.Now()
	walks := (events + walkLength - 1) / walkLength
	t.Run("walks", func(t *testing.T) {
		for seed := range uint64(walks) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w := newWalk(t, seed)
				for w.judged < events/walks && !t.Failed() {
					w.mu.Lock()
					w.step()
					w.mu.Unlock()
				}
				w.finish()
				mu.Lock()
				defer mu.Unlock()
				total.add(&w.walkTally)
			})
		}
	})
	t.Logf("%d events judged in %v: %+v", total.judged, time.Since(begun).Round(time.Millisecond), total)
	for _, reason := range []consent.Reason{
		consent.NoConsent, consent.Expired, consent.Withdrawn, consent.StaleNotice, consent.BadToken, consent.WrongSite, "duplicate", "invalid",
	} {
		if total.refused[reason] == 0 {
			t.Errorf("nothing was refused as %s: the walk went nowhere", reason)
		}
	}
	if total.stored < total.judged/20 || total.forwarded < total.stored/20 || total.late == 0 || total.whileSending == 0 {
		t.Errorf("%+v: the walk went nowhere", total)
	}
}

// walkLength is how many events one machine and its model judge; then others
// take their place, from another seed.
const walkLength = 25_000

// walkTally counts what happened on a walk.
type walkTally struct {
	judged, stored, forwarded int // events
	late                      int // refused after the gate had let them through
	whileSending              int // decisions while a request was under way
	decisions, restarts       int
	refused                   map[consent.Reason]int
}

func (t *walkTally) add(o *walkTally) {
	t.judged += o.judged
	t.stored += o.stored
	t.forwarded += o.forwarded
	t.late += o.late
	t.whileSending += o.whileSending
	t.decisions += o.decisions
	t.restarts += o.restarts
	for reason, n := range o.refused {
		t.refused[reason] += n
	}
}

// step does one thing.
func (w *walk) step() {
	switch n := w.rand.IntN(1000); {
	case n < 250:
		w.decide()
	case n < 640:
		w.send(w.newRequest())
	case n < 700:
		w.replay()
	case n < 740:
		w.forge()
	case n < 760:
		w.deliver()
	case n < 761:
		if w.rand.IntN(2) == 0 { // a restart takes as long as a thousand events
			w.restart(w.rand.IntN(2) == 0)
		}
	case n < 764:
		w.m.state.journal.index.Sweep(w.clock())
	case n < 998:
		w.advance(time.Duration(w.rand.IntN(3000)) * time.Millisecond)
	default:
		w.advance(time.Duration(w.rand.IntN(40*24)) * time.Hour)
	}
}

// decide makes a random choice, with no token or with one given out of late,
// newest or not.
func (w *walk) decide() {
	w.decisions++
	notice := w.notice()
	if w.rand.IntN(10) == 0 { // a page that was loaded before the notice changed
		notice = fmt.Sprintf("%d-%d", w.rand.IntN(2), w.rand.IntN(2))
	}
	method, purposes := "custom", fmt.Sprintf(`{"analytics":%t,"preference":%t}`, w.rand.IntN(3) > 0, w.rand.IntN(2) == 0)
	if w.rand.IntN(6) == 0 {
		method, purposes = "withdraw", "{}"
	}
	services := ""
	if method == "custom" && w.rand.IntN(2) == 0 {
		services = fmt.Sprintf(`,"services":{"google-analytics":%t}`, w.rand.IntN(2) == 0)
	}
	token := ""
	if g := w.anyToken(); g != nil && w.rand.IntN(5) > 0 {
		token = g.signed
	}
	r := w.request("/_s/d", fmt.Sprintf(`{"site":"example.com","purposes":%s%s,"method":%q,"notice":%q,"token":%q}`, purposes, services, method, notice, token))
	gpc := w.rand.IntN(8) == 0
	if gpc {
		r.Header.Set("Sec-GPC", "1")
	}
	answer := w.serve(r)
	switch answer.Code {
	case http.StatusCreated:
		w.remember(answer.Body.Bytes(), gpc)
	case http.StatusConflict, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
	default:
		w.t.Errorf("decision: %d %s", answer.Code, answer.Body)
	}
}

// walkEvent is an event of a request, as the client says.
type walkEvent struct {
	id string
	ts *int64 // Unix ms of the client's clock
}

// walkRequest is one that can be sent again.
type walkRequest struct {
	token  *given // nil: nothing that counts
	signed string // what is sent in its place
	place  int    // where the token travels
	sent   *int64
	gpc    bool
	events []walkEvent
	first  time.Time // when it was first sent
}

// newRequest makes a request under some token. Its clock may be off by days.
func (w *walk) newRequest() *walkRequest {
	r := &walkRequest{token: w.anyToken(), place: w.rand.IntN(3), gpc: w.rand.IntN(12) == 0, first: w.clock()}
	if r.token != nil {
		r.signed = r.token.signed
	}
	now := w.clock().UnixMilli()
	if w.rand.IntN(2) == 0 {
		now += int64(w.rand.IntN(5)-2) * 86_400_000 * int64(w.rand.IntN(20)) / 7
		r.sent = &now
	}
	for range 1 + w.rand.IntN(12) {
		w.ids++
		e := walkEvent{id: "e" + strconv.Itoa(w.ids)}
		ages := []int64{0, 1, int64(w.rand.IntN(50_000)), int64(w.rand.IntN(300_000)), int64(w.rand.IntN(100_000_000)), -int64(w.rand.IntN(600_000))}
		if w.rand.IntN(3) > 0 {
			ts := now - ages[w.rand.IntN(len(ages))]
			e.ts = &ts
		}
		r.events = append(r.events, e)
	}
	return r
}

// replay sends an earlier request once more, as it was or under another token.
func (w *walk) replay() {
	if len(w.requests) == 0 {
		return
	}
	r := *w.requests[w.rand.IntN(len(w.requests))]
	if w.clock().Sub(r.first) > 20*time.Hour { // after 24 hours an id may come again
		return
	}
	if other := w.anyToken(); other != nil && w.rand.IntN(3) == 0 {
		r.token, r.signed = other, other.signed
	}
	w.send(&r)
}

// forge sends a request under a token that nobody gave out.
func (w *walk) forge() {
	r := w.newRequest()
	if r.token == nil {
		return
	}
	raw, err := base64.RawURLEncoding.DecodeString(r.signed)
	if err != nil {
		w.t.Error(err)
		return
	}
	switch w.rand.IntN(7) {
	case 0:
		raw[w.rand.IntN(len(raw))] ^= 1 << w.rand.IntN(8)
	case 1:
		raw = raw[:w.rand.IntN(len(raw))]
	case 2: // every purpose, nothing denied
		copy(raw[41:], []byte{0xff, 0xff, 0, 0, 0, 0})
	case 3:
		r.signed, raw = w.foreign, nil // of another site
	case 4:
		r.signed, raw = strings.ToUpper(r.signed), nil
	case 5:
		for i := range raw {
			raw[i] = byte(w.rand.Uint32())
		}
	case 6:
		r.signed, raw = "", nil
	}
	if raw != nil {
		r.signed = base64.RawURLEncoding.EncodeToString(raw)
	}
	r.token = nil
	w.send(r)
}

// send sends a request, and judges what became of each event.
func (w *walk) send(r *walkRequest) {
	req := w.request("/_s/e", r.body())
	switch {
	case r.signed == "":
	case r.place == 1:
		req.Header.Set(consent.TokenHeader, r.signed)
	case r.place == 2:
		req.AddCookie(&http.Cookie{Name: consent.ProofCookie, Value: r.signed})
	}
	if r.gpc {
		req.Header.Set("Sec-GPC", "1")
	}
	w.hook = w.rand.IntN(6) == 0
	w.hooked = r.token
	answer := w.serve(req)
	w.hook = false
	var got struct {
		Accepted int
		Dropped  []struct {
			Index  int
			Reason consent.Reason
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code != http.StatusAccepted {
		w.t.Errorf("events: %d %s", answer.Code, answer.Body)
		return
	}
	dropped := map[int]consent.Reason{}
	for _, d := range got.Dropped {
		dropped[d.Index] = d.Reason
		w.refused[d.Reason]++
	}
	if got.Accepted+len(dropped) != len(r.events) {
		w.t.Errorf("%d accepted, %d dropped, %d sent", got.Accepted, len(dropped), len(r.events))
	}
	for i := range r.events {
		w.judged++
		w.judge(r, &r.events[i], dropped[i])
	}
	if w.requests = append(w.requests, r); len(w.requests) > 50 {
		w.requests = w.requests[1:]
	}
}

// judge compares an answer with the model.
func (w *walk) judge(r *walkRequest, e *walkEvent, reason consent.Reason) {
	at, inTime := w.happened(r, e)
	want, why := false, "no token that counts"
	if r.token != nil {
		want, why = w.covers(r.token, at, statistics)
	}
	key := ""
	if r.token != nil {
		key = r.token.consent + " " + e.id
	}
	switch {
	case !inTime:
		want, why = false, "older than 24 hours"
	case want && w.rows[key]:
		want, why = false, "stored already"
	}
	if (reason == consent.Live) != want {
		w.t.Errorf("%s at %s, now %s: answered %q; the model says stored %t: %s", e.id, at.Format(time.StampMilli), w.clock().Format(time.StampMilli), reason, want, why)
	}
	if reason == consent.Live {
		w.rows[key] = true
		w.events[e.id] = append(w.events[e.id], row{r.token, at, r.gpc})
	}
	if reason == consent.Withdrawn && w.cutBetween[r.token] {
		w.late++
	}
}

// happened is when an event counts as having happened.
func (w *walk) happened(r *walkRequest, e *walkEvent) (at time.Time, ok bool) {
	now := w.clock()
	if e.ts == nil {
		return now, true
	}
	from := now.UnixMilli()
	if r.sent != nil {
		from = *r.sent
	}
	age := time.Duration(from-*e.ts) * time.Millisecond
	return now.Add(-max(age, 0)), age <= 24*time.Hour
}

func (r *walkRequest) body() string {
	var b strings.Builder
	b.WriteString(`{"site":"example.com",`)
	if r.place == 0 && r.signed != "" {
		fmt.Fprintf(&b, `"token":%q,`, r.signed)
	}
	if r.sent != nil {
		fmt.Fprintf(&b, `"sent":%d,`, *r.sent)
	}
	b.WriteString(`"events":[`)
	for i, e := range r.events {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%q,"name":"pageview","url":"https://example.com/%s"`, e.id, e.id)
		if e.ts != nil {
			fmt.Fprintf(&b, `,"ts":%d`, *e.ts)
		}
		b.WriteByte('}')
	}
	b.WriteString("]}")
	return b.String()
}

// finish forwards what waits, and compares what is stored with what was
// accepted.
func (w *walk) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deliver()
	stored := map[string]int{}
	err := w.m.state.journal.spool.Replay(1, func(r spool.Record) error {
		if ev, ok := eventOf(r); ok {
			stored[ev.Token.Consent.String()+" "+ev.ID]++
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	for key, n := range stored {
		if n != 1 || !w.rows[key] {
			w.t.Errorf("%s is stored %d times; accepted: %t", key, n, w.rows[key])
		}
	}
	if len(stored) != len(w.rows) {
		w.t.Errorf("%d rows stored, %d accepted", len(stored), len(w.rows))
	}
	w.stored = len(stored)
}
