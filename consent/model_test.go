package consent

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestNothingLiveThatWasTakenBack drives the ledger through random
// interleavings of decisions (with any token that was ever given out, newest
// or not), withdrawals, notices that change and change back, clean restarts,
// crashes, sweeps and a clock that stands still or leaps, and compares every
// token and use with a model that knows one rule: a token covers a use if it
// granted it as it is asked for now, its time has not run out, and no later
// decision of the same consent left it out.
func TestNothingLiveThatWasTakenBack(t *testing.T) {
	t.Parallel()
	steps := 1500
	if testing.Short() {
		steps = 200
	}
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range steps {
				w.step()
				w.compare()
			}
			if len(w.tokens) < steps/10 || w.seenLive == 0 || w.seenDead == 0 {
				t.Errorf("%d tokens, %d uses live, %d not: the walk went nowhere", len(w.tokens), w.seenLive, w.seenDead)
			}
		})
	}
}

// world is the ledger under test beside the model of it.
type world struct {
	t    *testing.T
	rand *rand.Rand
	now  time.Time

	// Each purpose has a variant of its recipients; the site is made of them.
	variants map[Purpose]int
	notices  []*Notice
	policy   *Policy
	ledger   *Ledger
	journal  *journal
	path     string
	saved    int // commitments that the saved index accounts for

	tokens             []modelToken
	consents           map[ID][]map[Use]bool // what each decision of a consent granted, in order
	seenLive, seenDead int
}

// modelToken is a token and what the model knows of it.
type modelToken struct {
	signed  string
	consent ID
	n       int // index of its decision within the consent's
	issued  time.Time
	grants  map[Use]int // use → variant of its purpose
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), now: noon,
		variants: map[Purpose]int{Analytics: 0, Media: 0},
		journal:  &journal{chain: NewChain(Head{ChainID: uuid.New()})},
		path:     filepath.Join(t.TempDir(), "consent.idx"), consents: map[ID][]map[Use]bool{},
	}
	w.ledger = &Ledger{Keys: testKeys(t, 1), Index: NewIndex(), Recorder: w.journal, Now: func() time.Time { return w.now }}
	w.configure()
	w.save()
	return w
}

// configure makes the site of the variants its current notice.
func (w *world) configure() {
	site := shop()
	site.Notice.Version = fmt.Sprint(w.variants)
	site.Services[0].Provider = fmt.Sprint("hotjar ", w.variants[Analytics])
	site.Services[1].Provider = fmt.Sprint("chat ", w.variants[Media])
	if w.variants[Media] == 2 { // the purpose is given up
		site.Services = slices.Delete(site.Services, 1, 2)
	}
	history, _, err := Remember(w.notices, testNotice(w.t, site), w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.notices = history
	w.policy = NewPolicy(site, history[len(history)-1], history)
	w.ledger.Sites = NewSites(w.policy)
}

func (w *world) step() {
	switch n := w.rand.IntN(100); {
	case n < 55:
		w.decide()
	case n < 65:
		w.variants[Analytics] = w.rand.IntN(2)
		w.configure()
	case n < 72:
		w.variants[Media] = w.rand.IntN(3)
		w.configure()
	case n < 77:
		w.save()
		w.restart()
	case n < 82:
		w.restart() // a crash: the index is older than the journal
	case n < 85:
		w.ledger.Index.Sweep(w.now)
	case n < 99:
		w.now = w.now.Add(time.Duration(w.rand.IntN(3000)) * time.Millisecond)
	default:
		w.now = w.now.Add(time.Duration(w.rand.IntN(100)) * 24 * time.Hour)
	}
}

func (w *world) save() {
	if err := w.ledger.Index.Save(w.path, Position{}); err != nil {
		w.t.Fatal(err)
	}
	w.saved = len(w.journal.commitments)
}

// restart loads the saved index and brings it up to date from the journal, as
// the server does from the spool.
func (w *world) restart() {
	index, _, err := LoadIndex(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range w.journal.commitments[w.saved:] {
		if c.Withdrawal != nil {
			index.Apply(c.Withdrawal.ConsentID, &c.Withdrawal.Cut)
		}
		index.Seen(*c.Receipt)
	}
	w.ledger.Index = index
}

// decide makes a random choice with no token, or one of those given out of
// late.
func (w *world) decide() {
	in := Choice{Method: API, Notice: w.policy.Current.Version, Purposes: map[string]bool{}, Services: map[string]bool{}}
	for _, p := range w.policy.Current.Purposes {
		in.Purposes[string(p.Name)] = w.rand.IntN(3) > 0
	}
	for _, s := range w.policy.Current.Services {
		if w.rand.IntN(3) == 0 {
			in.Services[s.Name] = w.rand.IntN(2) == 0
		}
	}
	if w.rand.IntN(6) == 0 {
		in.Method, in.Purposes = Withdraw, nil
	}
	if w.rand.IntN(8) == 0 { // an old page is still open
		in.Notice = w.notices[w.rand.IntN(len(w.notices))].Version
	}
	previous := ""
	if n := len(w.tokens); n > 0 && w.rand.IntN(4) > 0 {
		previous = w.tokens[max(0, n-1-w.rand.IntN(6))].signed
	}
	g, err := w.ledger.Decide(w.t.Context(), w.policy, in, previous, Signals{}, "")
	if errors.Is(err, ErrStaleNotice) || errors.Is(err, ErrTooMany) || errors.As(err, new(*FieldError)) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.remember(g)
}

// remember tells the model what was decided, by the receipt alone.
func (w *world) remember(g Grant) {
	r := g.Receipt
	if r.ConsentID == (ID{}) {
		return
	}
	grants, variants := map[Use]bool{}, map[Use]int{}
	note := func(use Use) {
		grants[use] = true
		variants[use] = w.variantUnder(r.NoticeHash, use.Purpose)
	}
	for p, yes := range r.Purposes {
		if yes {
			note(Use{Purpose: p})
		}
	}
	for _, s := range w.noticeOf(r.NoticeHash).Services {
		if r.Services[s.Name] {
			note(Use{Purpose: s.Purpose, Service: s.Name})
		}
	}
	w.consents[r.ConsentID] = append(w.consents[r.ConsentID], grants)
	if g.Signed != "" {
		w.tokens = append(w.tokens, modelToken{
			signed: g.Signed, consent: r.ConsentID, n: len(w.consents[r.ConsentID]) - 1,
			issued: g.Token.IssuedAt(), grants: variants,
		})
	}
}

func (w *world) noticeOf(hash string) *Notice {
	for _, n := range w.notices {
		if n.Hash == hash {
			return n
		}
	}
	w.t.Fatalf("a receipt names notice %s, which was never served", hash)
	return nil
}

// variantUnder reads a purpose's variant out of a notice's version, which
// configure wrote there.
func (w *world) variantUnder(hash string, p Purpose) int {
	var analytics, media int
	if _, err := fmt.Sscanf(w.noticeOf(hash).Version, "map[analytics:%d media:%d]", &analytics, &media); err != nil {
		w.t.Fatal(err)
	}
	return map[Purpose]int{Analytics: analytics, Media: media}[p]
}

// compare asks the ledger and the model about every use of the tokens given
// out last, which later decisions may have cut.
func (w *world) compare() {
	uses := []Use{
		{Analytics, ""}, StatisticsUse, {Analytics, "hotjar"}, {Preference, ""}, {Media, ""}, {Media, "chat"}, {"research", ""},
	}
	for _, m := range w.tokens[max(0, len(w.tokens)-40):] {
		token, err := w.ledger.Keys.Parse(m.signed, "example.com")
		if err != nil {
			w.t.Fatal(err)
		}
		for _, use := range uses {
			want, why := w.live(m, use)
			got := w.ledger.Live(w.policy, token, use)
			if (got == Live) != want {
				w.t.Fatalf("token %d of consent %s, issued %s, now %s: %v is %s; the model says live %t: %s",
					m.n, m.consent, m.issued.Format(time.TimeOnly), w.now.Format(time.TimeOnly), use, verdict(got), want, why)
			}
			if want {
				w.seenLive++
			} else {
				w.seenDead++
			}
		}
	}
}

// live is the model.
func (w *world) live(m modelToken, use Use) (live bool, why string) {
	variant, granted := m.grants[use]
	switch now := w.variants[use.Purpose]; { // a token counts from when it was handed out, however far its issue runs ahead
	case !granted:
		return false, "never granted"
	case variant != now:
		return false, "asked for otherwise now"
	case !w.now.Before(m.issued.Add(w.policy.Site.Lifetime())):
		return false, "over"
	}
	for i, later := range w.consents[m.consent][m.n+1:] {
		if !later[use] {
			return false, fmt.Sprintf("left out by decision %d", m.n+1+i)
		}
		if use.Service != "" && !later[Use{Purpose: use.Purpose}] {
			return false, "its purpose was left out"
		}
	}
	return true, "granted, and never left out"
}
