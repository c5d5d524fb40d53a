package consent

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLedgerContinuesConsent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.decide(t, AcceptAll, "", Analytics, Preference)
	h.clock.Add(time.Hour)
	second := h.decide(t, Custom, first.Signed, Preference)
	if got, want := second.Receipt.ConsentID, first.Receipt.ConsentID; got != want {
		t.Errorf("consent id %s, want %s continued", got, want)
	}
	if second.Receipt.ReceiptID == first.Receipt.ReceiptID {
		t.Error("the receipt id is not new")
	}
	w := h.journal.last(t).Withdrawal
	if w == nil || w.Events != Anonymise || w.ReceiptID != second.Receipt.ReceiptID {
		t.Errorf("withdrawal %+v", w)
	}
	earlier, later := h.token(t, first.Signed), h.token(t, second.Signed)
	for _, tc := range []struct {
		token Token
		use   Use
		want  Reason
	}{
		{earlier, StatisticsUse, Withdrawn}, {later, StatisticsUse, NoConsent},
		{earlier, Use{Purpose: Preference}, Live}, {later, Use{Purpose: Preference}, Live},
	} {
		if got := h.Live(h.policy, tc.token, tc.use); got != tc.want {
			t.Errorf("token of %d, %v: %s, want %s", tc.token.Issued, tc.use, verdict(got), verdict(tc.want))
		}
	}

	third := h.decide(t, Custom, second.Signed, Analytics, Preference)
	if got := h.Live(h.policy, earlier, StatisticsUse); got != Withdrawn {
		t.Errorf("granted again: the first token is %s, want withdrawn for ever", verdict(got))
	}
	if h.clock.Add(time.Second); h.Live(h.policy, h.token(t, third.Signed), StatisticsUse) != Live {
		t.Error("granted again: the new token is not live")
	}
}

func TestLedgerWithdrawal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	grant := h.decide(t, AcceptAll, "", Analytics)
	h.clock.Add(time.Minute)
	gone := h.decide(t, Withdraw, grant.Signed)
	if gone.Signed != "" || gone.Token != nil {
		t.Error("a withdrawal hands out a token")
	}
	if gone.Receipt.ConsentID != grant.Receipt.ConsentID {
		t.Error("the withdrawal's receipt does not name the consent")
	}
	token := h.token(t, grant.Signed)
	if got := h.Live(h.policy, token, StatisticsUse); got != Withdrawn {
		t.Errorf("after the withdrawal: %s", verdict(got))
	}
	again := h.decide(t, AcceptAll, grant.Signed, Analytics)
	if again.Receipt.ConsentID == grant.Receipt.ConsentID {
		t.Error("a grant after a withdrawal continues the withdrawn consent")
	}
	if got := h.Live(h.policy, token, StatisticsUse); got != Withdrawn {
		t.Errorf("granted anew: the old token is %s", verdict(got))
	}
	if got := h.Live(h.policy, h.token(t, again.Signed), StatisticsUse); got != Live {
		t.Errorf("granted anew: the new token is %s", verdict(got))
	}
}

// TestCutOutlivesLateEvents: an event may arrive a day after it happened, when
// the token that it comes with has run out. What was taken back from that token
// still is then.
func TestCutOutlivesLateEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.decide(t, AcceptAll, "", Analytics)
	h.decide(t, Withdraw, g.Signed)
	expires := h.policy.Expires(*g.Token)
	late := func() Reason {
		h.Index.Sweep(h.clock.Now())
		return h.policy.Live(*g.Token, h.Index.Cut(g.Token.Consent), StatisticsUse, expires.Add(-time.Hour))
	}
	h.clock.Add(expires.Sub(h.clock.Now()) + MaxEventAge - time.Hour)
	if got := late(); got != Withdrawn {
		t.Errorf("an event of the last hour, 23 hours late: %s, want withdrawn", verdict(got))
	}
	h.clock.Add(2 * time.Hour)
	if late(); h.Index.Cut(g.Token.Consent) != nil {
		t.Error("the cut is kept for longer than any event of its time may come")
	}
}

func TestLedgerRefusalLeavesNoID(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.decide(t, RejectAll, "")
	c := h.journal.last(t)
	if g.Signed != "" || (g.Receipt.ConsentID != ID{}) || c.Withdrawal != nil {
		t.Errorf("token %q, consent id %s, withdrawal %v; want none", g.Signed, g.Receipt.ConsentID, c.Withdrawal)
	}
	if c.Receipt == nil || c.Receipt.N != 1 || c.Receipt.Method != RejectAll {
		t.Errorf("the ledger holds %+v, want the refusal", c.Receipt)
	}
	body, err := c.Receipt.Canonical()
	if err != nil || strings.Contains(string(body), "consent_id") {
		t.Errorf("%s, %v: want no consent id at all", body, err)
	}
}

func TestLedgerIssueTimes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.decide(t, AcceptAll, "", Analytics)
	last := g.Token.Issued
	for range int(maxAhead / time.Second) {
		g = h.decide(t, Custom, g.Signed, Analytics)
		if g.Token.Issued <= last {
			t.Fatalf("issued at %d after %d: want later", g.Token.Issued, last)
		}
		last = g.Token.Issued
		if reason := h.Live(h.policy, *g.Token, Use{Purpose: Analytics}); reason != Live {
			t.Fatalf("handed out, issued %d s ahead: %q, want live at once", int64(last)-h.Now().Unix(), reason)
		}
	}
	early := *g.Token
	early.Issued += uint32(maxAhead / time.Second)
	if reason := h.Live(h.policy, early, Use{Purpose: Analytics}); reason != NoConsent {
		t.Errorf("issued further ahead than any: %q, want %q", reason, NoConsent)
	}
	in := Choice{Method: Custom, Notice: "2025-07", Purposes: yes("analytics")}
	if _, err := h.Decide(t.Context(), h.policy, in, g.Signed, Signals{}, ""); !errors.Is(err, ErrTooMany) {
		t.Errorf("more than %s ahead of the clock: %v, want ErrTooMany", maxAhead, err)
	}
	gone := h.decide(t, Withdraw, g.Signed)
	if gone.Cut.All != Forever {
		t.Error("a withdrawal is too many")
	}
}

// A token that is not the newest of its consent still gets an issue time later
// than the newest one, or what it lowers would not cut that one.
func TestLedgerOlderTokenDecides(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.decide(t, AcceptAll, "", Analytics, Preference)
	second := h.decide(t, Custom, first.Signed, Analytics, Preference)
	third := h.decide(t, Custom, first.Signed, Preference)
	if third.Token.Issued <= second.Token.Issued {
		t.Errorf("issued at %d, want later than %d", third.Token.Issued, second.Token.Issued)
	}
	h.clock.Add(time.Minute)
	if got := h.Live(h.policy, h.token(t, second.Signed), StatisticsUse); got != Withdrawn {
		t.Errorf("the newest token's analytics: %s, want withdrawn", verdict(got))
	}
	if w := h.journal.last(t).Withdrawal; w.Events != Anonymise {
		t.Errorf("collected events: %q, want anonymised", w.Events)
	}
}

func TestLedgerDiskFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.decide(t, AcceptAll, "", Analytics)
	h.clock.Add(time.Minute)
	h.journal.err = ErrUnavailable
	_, err := h.Decide(t.Context(), h.policy, Choice{Method: Withdraw, Notice: "2025-07"}, g.Signed, Signals{}, "")
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if got := h.Live(h.policy, h.token(t, g.Signed), StatisticsUse); got != Withdrawn {
		t.Errorf("a withdrawal that could not be kept: %s, want in force", verdict(got))
	}
	h.journal.err = nil
	h.journal.commitments = nil
	grant := Choice{Method: AcceptAll, Notice: "2025-07", Purposes: yes("analytics")}
	h.journal.err = ErrUnavailable
	if g, err := h.Decide(t.Context(), h.policy, grant, "", Signals{}, ""); err == nil || g.Signed != "" {
		t.Errorf("a grant that could not be kept: token %q, %v", g.Signed, err)
	}
}

func TestLedgerShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	shown := Shown{Notice: h.policy.Current.Fingerprint, Content: [16]byte{0xab}, Language: "de", Variant: "box"}
	in := Choice{Method: AcceptAll, Notice: "2025-07", Language: "en", Purposes: yes("analytics"), Shown: h.Keys.SignShown(shown, "example.com")}
	g, err := h.Decide(t.Context(), h.policy, in, "", Signals{}, "")
	if err != nil {
		t.Fatal(err)
	}
	r := g.Receipt
	if r.ShownHash != "ab000000000000000000000000000000" || r.Language != "de" || r.Variant != "box" {
		t.Errorf("receipt says %s, %s, %s", r.ShownHash, r.Language, r.Variant)
	}
	in.Shown = in.Shown[:len(in.Shown)-2]
	if _, err := h.Decide(t.Context(), h.policy, in, "", Signals{}, ""); !errors.As(err, new(*FieldError)) {
		t.Errorf("a forged shown: %v, want a *FieldError", err)
	}
}

func TestLedgerCounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.decide(t, Custom, "", Analytics, Media)
	at := Count{Site: "example.com", Hour: noon, Notice: "2025-07", Country: "DE", N: 1}
	var want []Count
	for _, key := range [][2]string{{"decision", "custom"}, {"grant", "analytics"}, {"grant", "media"}} {
		c := at
		c.Kind, c.Key = CountKind(key[0]), key[1]
		want = append(want, c)
	}
	if diff := cmp.Diff(want, h.journal.last(t).Counts); diff != "" {
		t.Error(diff)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	other := shop()
	other.Domain = "example.org"
	h := newHouse(t, shop(), other)
	g := h.decide(t, AcceptAll, "", Analytics)
	for name, tc := range map[string]struct {
		raw    string
		policy *Policy
		want   Reason
	}{
		"its own":         {g.Signed, h.policy, Live},
		"none":            {"", h.policy, NoConsent},
		"of another site": {h.Keys.Sign(*g.Token, "example.org"), h.policy, WrongSite},
		"of nobody here":  {testKeys(t, 9).Sign(*g.Token, "example.com"), h.policy, BadToken},
		"unreadable":      {"hello", h.policy, BadToken},
	} {
		token, got := h.Authenticate(tc.raw, tc.policy)
		if got != tc.want || (got == Live) != (token == *g.Token) {
			t.Errorf("%s: %s, want %s", name, verdict(got), verdict(tc.want))
		}
	}
}

// TestTheCookieThatCounts: of several sl_proof it is this site's, and the last
// issued, wherever it stands.
func TestTheCookieThatCounts(t *testing.T) {
	t.Parallel()
	other := shop()
	other.Domain = "example.org"
	h := newHouse(t, shop(), other)
	g := h.decide(t, AcceptAll, "", Analytics)
	later := *g.Token
	later.Issued++
	old, last := g.Signed, h.Keys.Sign(later, "example.com")
	foreign := h.Keys.Sign(later, "example.org")
	for _, tc := range []struct {
		cookies []string
		want    string
	}{
		{nil, ""},
		{[]string{foreign}, foreign},
		{[]string{foreign, old}, old},
		{[]string{old, foreign}, old},
		{[]string{last, old, "hello"}, last},
		{[]string{old, "hello", last}, last},
		{[]string{"hello", foreign}, "hello"},
	} {
		r := httptest.NewRequest("POST", "/_s/e", nil)
		for _, c := range tc.cookies {
			r.AddCookie(&http.Cookie{Name: ProofCookie, Value: c})
		}
		if got := h.RawToken(r, "", h.policy); got != tc.want {
			t.Errorf("%q: %q counts, want %q", tc.cookies, got, tc.want)
		}
	}
}

func TestDecisionAfterExpiry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.decide(t, AcceptAll, "", Analytics)
	h.clock.Add(h.policy.Site.Lifetime())
	second := h.decide(t, AcceptAll, first.Signed, Analytics)
	if second.Receipt.ConsentID == first.Receipt.ConsentID {
		t.Error("an expired consent is continued")
	}
}
