package forward

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/consent"
)

// schedulesWanted is how many random schedules to play: SLUICE_SCHEDULES, else
// few.
func schedulesWanted(t *testing.T, usual, short int) int {
	if n, err := strconv.Atoi(os.Getenv("SLUICE_SCHEDULES")); err == nil {
		return n
	}
	if testing.Short() {
		return short
	}
	return usual
}

// TestQueuedSchedules plays random schedules of grants, withdrawals, erasures,
// expiry, changes of the notice, restarts and failures of the endpoint, of some
// events alone too, under a fake clock, against a sink with its queue behind a
// real spool. In each:
//
//   - no request begins for a consent whose withdrawal has returned, that has
//     expired, or under a notice that was superseded, or for an event whose
//     erasure has returned;
//   - every event that was meant for the recipient ends exactly once, so that
//     acknowledged + cancelled + dead = admitted;
//   - what was acknowledged was sent, and no purchase counts twice;
//   - what a person did is sent in order.
func TestQueuedSchedules(t *testing.T) {
	t.Parallel()
	for seed := range schedulesWanted(t, 60, 15) {
		synctest.Test(t, func(t *testing.T) { queuedSchedule(t, uint64(seed)) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// drama is what a schedule knows of its consents.
type drama struct {
	*queued
	rnd       *rand.Rand
	withdrawn map[consent.ID]time.Time // when a withdrawal had returned
	erased    map[string]time.Time     // event → when its erasure had returned
	until     map[consent.ID]time.Time // when it expires
	notice    time.Time                // when the notice was superseded; zero: never
	begun     map[string][]time.Time   // event → first bytes of requests with it
	of        map[string]consent.Token
	meant     map[string]bool
	did       map[string][]string // person → what they did, in order
}

func queuedSchedule(t *testing.T, seed uint64) {
	d := &drama{
		queued: newQueued(t), rnd: rand.New(rand.NewPCG(seed, 7)), withdrawn: map[consent.ID]time.Time{}, erased: map[string]time.Time{}, until: map[consent.ID]time.Time{},
		begun: map[string][]time.Time{}, of: map[string]consent.Token{}, meant: map[string]bool{}, did: map[string][]string{},
	}
	d.onWrite = func(b []byte) {
		for _, m := range eventPath.FindAllSubmatch(b, -1) {
			d.begun[string(m[1])] = append(d.begun[string(m[1])], time.Now())
		}
	}
	faults := []standin.Fault{
		{}, {}, {Kind: standin.Refuse}, {Kind: standin.Reset, Times: 2}, {Kind: standin.Answer, Status: 500}, {Kind: standin.Answer, Status: 400, Times: 1},
		{Kind: standin.Answer, Status: 503, RetryAfter: time.Minute}, {Kind: standin.Slow, Delay: 2 * time.Second}, {Kind: standin.Slow, Delay: 20 * time.Second},
	}
	var tokens []consent.Token
	for step := range 4 + d.rnd.IntN(12) {
		switch d.rnd.IntN(9) {
		case 0, 1, 2:
			if len(tokens) == 0 || d.rnd.IntN(2) == 0 {
				tokens = append(tokens, d.grant())
			}
			d.happen(tokens[d.rnd.IntN(len(tokens))], step)
		case 3:
			if len(tokens) > 0 {
				token := tokens[d.rnd.IntN(len(tokens))]
				d.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
				if d.withdrawn[token.Consent].IsZero() {
					d.withdrawn[token.Consent] = time.Now()
				}
			}
		case 4, 5:
			d.google.Fail(faults[d.rnd.IntN(len(faults))])
			if d.rnd.IntN(2) == 0 { // of every tenth event, whatever becomes of the others
				sick := fmt.Sprintf("/e%d", d.rnd.IntN(10))
				d.sick.Store(&sick)
			}
		case 6:
			d.end()
			if d.notice.IsZero() && d.rnd.IntN(4) == 0 {
				d.supersede() // a server learns of it at a start
				d.notice = time.Now()
			}
			d.start()
		case 7:
			if len(tokens) > 0 {
				d.erase(tokens[d.rnd.IntN(len(tokens))])
			}
		}
		time.Sleep(time.Duration(d.rnd.Int64N(int64(40 * time.Second))))
	}
	d.google.Fail(standin.Fault{})
	d.sick.Store(nil)
	time.Sleep(26 * time.Hour)
	d.check()
}

// grant issues a token; every third is about to expire.
func (d *drama) grant() consent.Token {
	token := d.token(analytics | uint16(d.rnd.IntN(2))*marketing)
	lifetime := d.policy.Site.Lifetime()
	if d.rnd.IntN(3) == 0 {
		token.Issued = uint32(time.Now().Add(time.Duration(d.rnd.Int64N(int64(5*time.Minute)))).Add(-lifetime).Unix()) + 1
	}
	if d.rnd.IntN(6) == 0 {
		token.Denied = googleBit
	}
	token.Notice = d.policy.Current.Fingerprint
	d.until[token.Consent] = token.IssuedAt().Add(lifetime)
	return token
}

// happen admits some events under a token, where the gate lets them.
func (d *drama) happen(token consent.Token, step int) {
	for i := range 1 + d.rnd.IntN(4) {
		if _, reason := collector.Gate(d.policy, token, d.index.Cut(token.Consent), time.Now()); reason != consent.Live {
			return
		}
		id := fmt.Sprintf("e%d", step*10+i)
		ev := d.event(id, func(ev *collector.Event) {
			ev.GAClientID = fmt.Sprintf("1.%d", 1+d.rnd.IntN(3))
			ev.NoForward = d.rnd.IntN(10) == 0
			if d.rnd.IntN(3) == 0 {
				ev.Name = "purchase"
			}
		})
		d.did[ev.GAClientID] = append(d.did[ev.GAClientID], id)
		d.of[id], d.meant[id] = token, !ev.NoForward && token.Denied == 0
		r := d.record(token, ev)
		if err := d.spool.Append(d.t.Context(), entry{r.Kind, r.Data}); err != nil {
			d.t.Fatal(err)
		}
	}
}

// erase has everything erased that has happened so far under a token.
func (d *drama) erase(token consent.Token) {
	d.bury(token, d.spool, d.seq)
	for id, of := range d.of {
		if of.Consent == token.Consent && d.erased[id].IsZero() {
			d.erased[id] = time.Now()
		}
	}
}

func (d *drama) check() {
	t := d.t
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, times := range d.begun {
		token, last := d.of[id], times[len(times)-1]
		if end := d.withdrawn[token.Consent]; !end.IsZero() && last.After(end) {
			t.Errorf("%s: a request began %s after the withdrawal had returned", id, last.Sub(end))
		}
		if end := d.erased[id]; !end.IsZero() && last.After(end) {
			t.Errorf("%s: a request began %s after the erasure had returned", id, last.Sub(end))
		}
		if last.After(d.until[token.Consent]) {
			t.Errorf("%s: a request began after the consent had expired", id)
		}
		if !d.notice.IsZero() && last.After(d.notice) && token.IssuedAt().Before(d.notice) && token.Notice != d.policy.Current.Fingerprint {
			t.Errorf("%s: a request began under a superseded notice", id)
		}
		if !d.meant[id] {
			t.Errorf("%s was sent and was not meant for the recipient", id)
		}
	}
	ended, taken := map[string]int{}, map[string]time.Time{}
	for _, f := range d.recorded {
		ended[f.EventID]++
		if f.State == collector.Acknowledged {
			taken[f.EventID] = f.Time
		}
		if f.State == collector.Acknowledged && len(d.begun[f.EventID]) == 0 {
			t.Errorf("%s: acknowledged, and no request was seen", f.EventID)
		}
	}
	for id := range d.of {
		want := 0
		if d.meant[id] {
			want = 1
		}
		if ended[id] != want {
			t.Errorf("%s has %d outcomes, want %d", id, ended[id], want)
		}
	}
	for person, ids := range d.did {
		last := time.Time{}
		for _, id := range ids {
			if at := taken[id]; !at.IsZero() && at.Before(last) {
				t.Errorf("%s: %s was taken before what came before it", person, id)
			} else if !at.IsZero() {
				last = at
			}
		}
	}
	if waiting, _ := d.sink.Waiting(); waiting != 0 {
		t.Errorf("%d wait still", waiting)
	}
	for page, n := range d.google.Purchases() {
		if n > 1 {
			t.Errorf("the purchase on %s counts %d times", page, n)
		}
	}
}
