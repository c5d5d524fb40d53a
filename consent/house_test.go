package consent

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// noon is when tests begin.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// testKey returns the n-th key of the tests.
func testKey(n byte) []byte { return slices.Repeat([]byte{n}, 32) }

func testKeys(t testing.TB, numbers ...byte) *Keys {
	t.Helper()
	var keys [][]byte
	for _, n := range numbers {
		keys = append(keys, testKey(n))
	}
	k, err := NewKeys(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// shop is a site with a service of each kind: its own statistics, a recipient
// elsewhere under analytics, media, an essential one, and a purpose of its own.
func shop() *Site {
	return &Site{
		Domain: "example.com", PublicURL: "https://example.com/_s", BasePath: "/_s",
		TestHosts: []string{"localhost", "*.preview.example.dev"}, TimeZone: time.UTC,
		Controller: Controller{Name: "Example GmbH", Contact: "privacy@example.com"},
		Notice:     NoticeInfo{Version: "2025-07", Updated: "2025-07-01", PolicyURL: "https://example.com/privacy"},
		Purposes:   []PurposeText{{Name: "research", Title: "Research", Description: "Surveys."}},
		Services: []Service{
			{
				Name: "hotjar", Title: "Hotjar", Purpose: Analytics, Provider: "Hotjar Ltd", Country: "MT", External: true,
				Cookies: []Cookie{{Name: "_hj*", Lasts: "365 days"}, {Name: "shared", Lasts: "session"}},
			},
			{Name: "chat", Purpose: Media, Provider: "Chat Ltd", Country: "US", Transfer: "dpf", External: true,
				Cookies: []Cookie{{Name: "chat_id", Lasts: "180 days"}, {Name: "shared", Lasts: "session"}}},
			{Name: "stripe", Purpose: Essential, Provider: "Stripe", Cookies: []Cookie{{Name: "__stripe_mid", Lasts: "1 year"}}},
		},
		ConsentDays: 180, OnWithdrawal: Anonymise, HonourGPC: true, Layout: "bar",
	}
}

func testWords(p Purpose) (title, description string) {
	return "The " + string(p), "About " + string(p)
}

func testNotice(t testing.TB, s *Site) *Notice {
	t.Helper()
	n, err := NewNotice(s, testWords)
	if err != nil {
		t.Fatal(err)
	}
	n.Since = noon
	return n
}

// testPolicy is the policy of a site as it stands, after the notices of the
// site as it was.
func testPolicy(t testing.TB, now *Site, before ...*Site) *Policy {
	t.Helper()
	var earlier []*Notice
	for _, s := range before {
		earlier = append(earlier, testNotice(t, s))
	}
	return NewPolicy(now, testNotice(t, now), earlier)
}

// given returns a token under a notice that grants these purposes but for the
// denied services.
func given(n *Notice, at time.Time, purposes []Purpose, denied ...string) Token {
	in := Choice{Purposes: map[string]bool{}, Services: map[string]bool{}}
	for _, p := range purposes {
		in.Purposes[string(p)] = true
	}
	for _, s := range denied {
		in.Services[s] = false
	}
	t := grant(n, in, false, false)
	t.Consent, t.Receipt, t.Issued = uuid.New(), uuid.New(), uint32(at.Unix())
	return t
}

// journal is a Recorder and Counter that remembers.
type journal struct {
	mu          sync.Mutex
	chain       *Chain
	index       *Index
	commitments []Commitment
	counts      []Count
	err         error // of the next Record
}

func (j *journal) Record(_ context.Context, c Commitment) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	if c.Receipt != nil {
		if _, err := j.chain.Link(c.Receipt); err != nil {
			return err
		}
		j.chain.Settled(nil)
	}
	if c.Contact != nil {
		j.index.Meet(*c.Contact)
	}
	j.commitments = append(j.commitments, c)
	return nil
}

func (j *journal) Count(c Count) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts = append(j.counts, c)
}

func (j *journal) last(t testing.TB) Commitment {
	t.Helper()
	if len(j.commitments) == 0 {
		t.Fatal("nothing was recorded")
	}
	return j.commitments[len(j.commitments)-1]
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is a ledger with its surroundings.
type house struct {
	*Ledger
	policy  *Policy
	journal *journal
	clock   *clock
}

func newHouse(t testing.TB, sites ...*Site) *house {
	t.Helper()
	if len(sites) == 0 {
		sites = []*Site{shop()}
	}
	var policies []*Policy
	for _, s := range sites {
		policies = append(policies, testPolicy(t, s))
	}
	h := &house{policy: policies[0], journal: &journal{chain: NewChain(Head{ChainID: uuid.New()})}, clock: &clock{now: noon}}
	h.Ledger = &Ledger{
		Sites: NewSites(policies...), Keys: testKeys(t, 1), Index: NewIndex(), Recorder: h.journal, Now: h.clock.Now,
	}
	h.journal.index = h.Index
	return h
}

// decide makes a choice on the house's first site.
func (h *house) decide(t testing.TB, method Method, previous string, purposes ...Purpose) Grant {
	t.Helper()
	in := Choice{Site: "example.com", Method: method, Notice: h.policy.Current.Version, Purposes: map[string]bool{}}
	for _, p := range purposes {
		in.Purposes[string(p)] = true
	}
	g, err := h.Decide(t.Context(), h.policy, in, previous, Signals{}, "DE")
	if err != nil {
		t.Fatalf("decide %s: %v", method, err)
	}
	return g
}

// token reads what Decide signed.
func (h *house) token(t testing.TB, signed string) Token {
	t.Helper()
	token, err := h.Keys.Parse(signed, "example.com")
	if err != nil {
		t.Fatalf("parse token: %v", err)
	}
	return token
}

// joined is for messages.
func joined[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return strings.Join(out, "+")
}
