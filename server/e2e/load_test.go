package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// book is what the world outside knows: what it was promised, and what it may
// therefore expect. An event is known by its path, which no withdrawal changes.
type book struct {
	mu       sync.Mutex
	kept     map[string]*grant // promised by a 202
	unsure   map[string]bool   // sent, and never answered
	late     map[string]bool   // sent after the answer to the withdrawal it depends on
	receipts map[string]bool   // ids of the receipts that were answered
	grants   []*grant

	events   atomic.Int64 // promised so far
	refused  atomic.Int64 // requests that were told to come back
	unsettle atomic.Int64 // answers that never came
}

// grant is one consent as its visitor knows it.
type grant struct {
	site, token string
	asked       bool      // a withdrawal was sent; it may be in force before it is answered
	withdrawn   time.Time // when its answer had arrived; zero: it did not
}

func newBook() *book {
	return &book{kept: map[string]*grant{}, unsure: map[string]bool{}, late: map[string]bool{}, receipts: map[string]bool{}}
}

// load is visitors at work, each after the other's fashion, until halt.
type load struct {
	t    *testing.T
	p    *process
	book *book
	halt chan struct{}
	pace *time.Ticker // one request of anybody at each tick
	wg   sync.WaitGroup
}

// startLoad sets visitors to work: visitor i belongs to sites[i%len(sites)].
// Together they send at most rate requests a second.
func startLoad(t *testing.T, p *process, visitors, rate int, sites ...string) *load {
	l := &load{t: t, p: p, book: newBook(), halt: make(chan struct{}), pace: time.NewTicker(time.Second / time.Duration(rate))}
	for i := range visitors {
		v := &visitor{load: l, n: i, site: sites[i%len(sites)], client: newClient(), rnd: rand.New(rand.NewPCG(uint64(i), 3))}
		l.wg.Go(v.live)
	}
	t.Cleanup(l.stop)
	return l
}

// stop lets each visitor finish what is under way.
func (l *load) stop() {
	select {
	case <-l.halt:
	default:
		close(l.halt)
	}
	l.wg.Wait()
	l.pace.Stop()
}

// awaitEvents waits until n more events were promised.
func (l *load) awaitEvents(n int64) {
	l.t.Helper()
	want := l.book.events.Load() + n
	l.p.within(fmt.Sprintf("%d more events are accepted", n), func() error {
		if got := l.book.events.Load(); got < want {
			return fmt.Errorf("%d are missing", want-got)
		}
		return nil
	})
}

// visitor grants, sends events, withdraws, and tries again under the old token.
type visitor struct {
	*load
	n      int
	site   string
	client *http.Client
	rnd    *rand.Rand

	now   *grant // nil: has to decide
	old   []*grant
	sent  int      // events so far, which names the next
	batch []string // paths that were sent and not answered
}

func (v *visitor) live() {
	for v.turn() {
		switch {
		case v.now == nil:
			v.decide()
		case len(v.batch) > 0: // as a page does whose request failed: the same events again
			v.send(v.batch)
		case v.rnd.IntN(60) == 0:
			v.withdraw()
		case len(v.old) > 0 && v.rnd.IntN(20) == 0:
			v.tryLate(v.old[v.rnd.IntN(len(v.old))])
		default:
			v.send(v.paths(1 + v.rnd.IntN(4)))
		}
	}
	v.book.mu.Lock()
	defer v.book.mu.Unlock()
	for _, path := range v.batch {
		v.book.unsure[path] = true
	}
}

// turn waits for this visitor's turn; false: the day is over.
func (v *visitor) turn() bool {
	select {
	case <-v.halt:
		return false
	case <-v.pace.C:
		return true
	}
}

func (v *visitor) paths(n int) []string {
	out := make([]string, n)
	for i := range out {
		v.sent++
		out[i] = fmt.Sprintf("/v%d/%d", v.n, v.sent)
	}
	return out
}

// answered reports whether the server answered with this status. Without an
// answer, and where the server says that it cannot keep anything now, nothing
// is known or nothing was kept, and the visitor comes back.
func (v *visitor) answered(what string, want, status int, body []byte, err error) bool {
	switch {
	case err != nil:
		v.book.unsettle.Add(1)
		return false
	case status == http.StatusServiceUnavailable:
		v.book.refused.Add(1)
		return false
	case status != want:
		v.t.Errorf("%s: status %d: %s", what, status, body)
		return false
	}
	return true
}

func (v *visitor) decide() {
	status, body, err := v.p.ask(v.client, http.MethodPost, "/_s/d", v.site,
		fmt.Sprintf(`{"site":%q,"purposes":{"analytics":true},"method":"accept_all","notice":"1"}`, v.site))
	if !v.answered("a grant", http.StatusCreated, status, body, err) {
		return
	}
	v.now = &grant{site: v.site, token: v.receipt(body)}
	v.book.mu.Lock()
	defer v.book.mu.Unlock()
	v.book.grants = append(v.book.grants, v.now)
}

// receipt notes the receipt of an answered decision and returns its token.
func (v *visitor) receipt(body []byte) (token string) {
	var out struct {
		Token   string
		Receipt struct {
			ID string `json:"receipt_id"`
		}
	}
	if err := json.Unmarshal(body, &out); err != nil || out.Receipt.ID == "" {
		v.t.Errorf("decision answered with %s: %v", body, err)
	}
	v.book.mu.Lock()
	defer v.book.mu.Unlock()
	v.book.receipts[out.Receipt.ID] = true
	return out.Token
}

// send sends events under the consent in force.
func (v *visitor) send(paths []string) {
	retried := len(v.batch) > 0
	dropped, ok := v.post(v.now.token, paths)
	if !ok {
		v.batch = paths
		return
	}
	v.batch = nil
	v.book.mu.Lock()
	defer v.book.mu.Unlock()
	for i, path := range paths {
		switch reason := dropped[i]; {
		case reason == "", reason == "duplicate" && retried:
			v.book.kept[path] = v.now
			v.book.events.Add(1)
		default:
			v.t.Errorf("event %s under a live consent was dropped: %s", path, reason)
		}
	}
}

// post returns why which events were dropped; false: no answer.
func (v *visitor) post(token string, paths []string) (dropped map[int]string, ok bool) {
	now := time.Now().UnixMilli()
	body := fmt.Appendf(nil, `{"site":%q,"token":%q,"sent":%d,"events":[`, v.site, token, now)
	for i, path := range paths {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"id":%q,"name":"pageview","url":"https://%s%s","ts":%d,"visitor":"v%d"}`, path, v.site, path, now, v.n)
	}
	status, answer, err := v.p.ask(v.client, http.MethodPost, "/_s/e", v.site, string(append(body, "]}"...)))
	if !v.answered("events", http.StatusAccepted, status, answer, err) {
		return nil, false
	}
	var out struct {
		Accepted int
		Dropped  []struct {
			Index  int
			Reason string
		}
	}
	if err := json.Unmarshal(answer, &out); err != nil || out.Accepted+len(out.Dropped) != len(paths) {
		v.t.Errorf("%d events answered with %s: %v", len(paths), answer, err)
	}
	dropped = map[int]string{}
	for _, d := range out.Dropped {
		dropped[d.Index] = d.Reason
	}
	return dropped, true
}

// withdraw takes the consent back, while another page of the same visitor is
// still sending. It asks until it is answered, and then tries its luck.
func (v *visitor) withdraw() {
	g, beside := v.now, v.paths(1)
	v.book.mu.Lock()
	g.asked = true
	v.book.mu.Unlock()
	var other sync.WaitGroup
	other.Go(func() {
		dropped, ok := v.post(g.token, beside)
		v.book.mu.Lock()
		defer v.book.mu.Unlock()
		switch {
		case !ok:
			v.book.unsure[beside[0]] = true
		case dropped[0] == "":
			v.book.kept[beside[0]] = g
			v.book.events.Add(1)
		case dropped[0] != "withdrawn":
			v.t.Errorf("event %s beside a withdrawal was dropped: %s", beside[0], dropped[0])
		default:
			v.book.late[beside[0]] = true
		}
	})
	defer other.Wait()
	for {
		status, body, err := v.p.ask(v.client, http.MethodPost, "/_s/d", v.site,
			fmt.Sprintf(`{"site":%q,"purposes":{},"method":"withdraw","notice":"1","token":%q}`, v.site, g.token))
		if v.answered("a withdrawal", http.StatusCreated, status, body, err) {
			v.receipt(body)
			break
		}
		if !v.turn() {
			return // never answered: nothing was promised
		}
	}
	v.book.mu.Lock()
	g.withdrawn = time.Now()
	v.book.mu.Unlock()
	v.now, v.old = nil, append(v.old, g)
	v.tryLate(g)
}

// tryLate sends an event under a token whose withdrawal was answered.
func (v *visitor) tryLate(g *grant) {
	paths := v.paths(1)
	v.book.mu.Lock()
	v.book.late[paths[0]] = true
	v.book.mu.Unlock()
	if dropped, ok := v.post(g.token, paths); ok && dropped[0] != "withdrawn" {
		v.t.Errorf("event %s came after the answer to its withdrawal: got %q, want it dropped as withdrawn", paths[0], dropped[0])
	}
}

// stillWithdrawn tries every withdrawn token once more.
func (l *load) stillWithdrawn() (tokens int) {
	l.t.Helper()
	v := &visitor{load: l, n: 1 << 20, client: newClient()}
	l.book.mu.Lock()
	grants := slices.DeleteFunc(slices.Clone(l.book.grants), func(g *grant) bool { return g.withdrawn.IsZero() })
	l.book.mu.Unlock()
	for _, g := range grants {
		v.site = g.site
		v.tryLate(g)
	}
	return len(grants)
}
