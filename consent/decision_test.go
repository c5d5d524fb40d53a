package consent

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// yes and no spell the maps of a choice.
func yes(names ...string) map[string]bool { return answers(true, names) }

func no(names ...string) map[string]bool { return answers(false, names) }

func answers(answer bool, names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = answer
	}
	return out
}

func TestDecideGrants(t *testing.T) {
	t.Parallel()
	policy := testPolicy(t, shop())
	ignores := shop()
	ignores.HonourGPC = false
	for _, tc := range []struct {
		name     string
		in       Choice
		site     *Site // nil: shop
		gpc      bool
		purposes []string
		services []string
	}{
		{"everything", Choice{Method: AcceptAll, Purposes: yes("analytics", "preference", "media", "research")}, nil, false,
			[]string{"analytics", "media", "preference", "research"}, []string{"chat", "hotjar", "statistics"}},
		{"left out is false", Choice{Method: Custom, Purposes: yes("media")}, nil, false, []string{"media"}, []string{"chat"}},
		{"essential is ignored", Choice{Method: Custom, Purposes: yes("essential")}, nil, false, nil, nil},
		{"essential false is ignored", Choice{Method: Custom, Purposes: no("essential")}, nil, false, nil, nil},
		{"no purposes at all", Choice{Method: RejectAll}, nil, false, nil, nil},
		{"a service denied", Choice{Method: Custom, Purposes: yes("analytics"), Services: no("hotjar")}, nil, false,
			[]string{"analytics"}, []string{"statistics"}},
		{"a service cannot raise its purpose", Choice{Method: Custom, Services: yes("hotjar")}, nil, false, nil, nil},
		{"nor where the purpose is refused", Choice{Method: Custom, Purposes: no("analytics"), Services: yes("hotjar")}, nil, false, nil, nil},
		{"an essential service may be named", Choice{Method: Custom, Services: no("stripe")}, nil, false, nil, nil},
		{"under the signal: recipients elsewhere stay off", Choice{Method: AcceptAll, Purposes: yes("analytics", "media")}, nil, true,
			[]string{"analytics", "media"}, []string{"statistics"}},
		{"under the signal: switched on singly", Choice{Method: Custom, Purposes: yes("analytics", "media"), Services: yes("hotjar")}, nil, true,
			[]string{"analytics", "media"}, []string{"hotjar", "statistics"}},
		{"under a signal that is ignored", Choice{Method: AcceptAll, Purposes: yes("analytics")}, ignores, true,
			[]string{"analytics"}, []string{"hotjar", "statistics"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			policy := policy
			if tc.site != nil {
				policy = testPolicy(t, tc.site)
			}
			tc.in.Notice = policy.Current.Version
			d, err := policy.Decide(tc.in, Circumstances{Now: noon, Signals: Signals{GPC: tc.gpc}, Country: "DE"})
			if err != nil {
				t.Fatal(err)
			}
			r := d.Receipt
			if diff := cmp.Diff(tc.purposes, orNil(r.GrantedPurposes())) + cmp.Diff(tc.services, orNil(r.GrantedServices())); diff != "" {
				t.Error(diff)
			}
			if granted := len(tc.purposes) > 0; (d.Token != nil) != granted || (r.ConsentID != ID{}) != granted {
				t.Errorf("token %v, consent id %s; granted: %t", d.Token, r.ConsentID, granted)
			}
			if d.Token != nil && d.Token.UnderGPC() != tc.gpc || r.GPC != tc.gpc {
				t.Errorf("signal: token %t, receipt %t, want %t", d.Token.UnderGPC(), r.GPC, tc.gpc)
			}
			if d.Cut != nil || d.Withdrawal != nil {
				t.Error("a first decision takes something back")
			}
		})
	}
}

func orNil(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

func TestDecideRefused(t *testing.T) {
	t.Parallel()
	policy := testPolicy(t, shop())
	long := strings.Repeat("x", maxWords+1)
	for name, tc := range map[string]struct {
		in     Choice
		fields []string
	}{
		"no method":                 {Choice{Notice: "2025-07"}, []string{"method"}},
		"unknown method":            {Choice{Method: "implied", Notice: "2025-07"}, []string{"method"}},
		"no notice":                 {Choice{Method: Custom}, []string{"notice"}},
		"notice too long":           {Choice{Method: Custom, Notice: long}, []string{"notice"}},
		"language that is none":     {Choice{Method: Custom, Notice: "2025-07", Language: "<b>"}, []string{"lang"}},
		"language too long":         {Choice{Method: Custom, Notice: "2025-07", Language: long}, []string{"lang"}},
		"unknown purpose":           {Choice{Method: Custom, Notice: "2025-07", Purposes: yes("profiling")}, []string{"purposes.profiling"}},
		"unknown purpose, refused":  {Choice{Method: Custom, Notice: "2025-07", Purposes: no("profiling")}, []string{"purposes.profiling"}},
		"unknown service":           {Choice{Method: Custom, Notice: "2025-07", Services: no("spyware")}, []string{"services.spyware"}},
		"withdraw that grants":      {Choice{Method: Withdraw, Notice: "2025-07", Purposes: yes("analytics")}, []string{"purposes.analytics"}},
		"reject_all that grants":    {Choice{Method: RejectAll, Notice: "2025-07", Purposes: yes("media", "analytics")}, []string{"purposes.analytics", "purposes.media"}},
		"everything at once":        {Choice{Method: "x", Purposes: yes("p"), Services: yes("s")}, []string{"method", "notice", "purposes.p", "services.s"}},
		"withdraw, essential: fine": {Choice{Method: Withdraw, Notice: "2025-07", Purposes: yes("essential")}, nil},
	} {
		_, err := policy.Decide(tc.in, Circumstances{Now: noon})
		var got []string
		if bad := new(FieldError); errors.As(err, &bad) {
			for _, f := range bad.Fields {
				got = append(got, f.Name)
			}
		} else if err != nil {
			t.Errorf("%s: %v, want a *FieldError", name, err)
		}
		if diff := cmp.Diff(tc.fields, got); diff != "" {
			t.Errorf("%s: fields named: %s", name, diff)
		}
	}
}

func TestDecideNotice(t *testing.T) {
	t.Parallel()
	before, now := shop(), shop()
	now.Notice.Version = "2026-01"
	now.Services[0].Provider = "Contentsquare"
	policy := testPolicy(t, now, before)
	old, current := testNotice(t, before), policy.Current
	token := given(old, noon, []Purpose{Analytics, Preference})
	narrow := given(old, noon, []Purpose{Analytics}, "hotjar")
	foreign := token
	foreign.Notice++
	shownOld := &Shown{Notice: old.Fingerprint}
	shownNow := &Shown{Notice: current.Fingerprint}
	for _, tc := range []struct {
		name  string
		in    Choice
		token *Token
		shown *Shown
		under *Notice // nil: ErrStaleNotice
	}{
		{"a grant under the current one", Choice{Notice: "2026-01", Purposes: yes("analytics")}, nil, nil, current},
		{"a grant under the current one, as shown", Choice{Notice: "2026-01", Purposes: yes("analytics")}, nil, shownNow, current},
		{"the version is right, what was shown is not", Choice{Notice: "2026-01", Purposes: yes("analytics")}, nil, shownOld, nil},
		{"a grant under an old one", Choice{Notice: "2025-07", Purposes: yes("analytics")}, nil, nil, nil},
		{"a grant under one that never was", Choice{Notice: "1999", Purposes: yes("media")}, nil, nil, nil},
		{"a refusal under an old one", Choice{Notice: "2025-07", Purposes: no("analytics")}, nil, nil, current},
		{"a refusal under one that never was", Choice{Notice: "1999"}, nil, nil, current},
		{"a withdrawal under an old one", Choice{Notice: "2025-07", Method: Withdraw}, &token, nil, old},
		{"a withdrawal under one that never was", Choice{Notice: "1999", Method: Withdraw}, &token, nil, old},
		{"lowering a purpose under an old one", Choice{Notice: "2025-07", Purposes: yes("analytics")}, &token, nil, old},
		{"lowering a service under an old one", Choice{Notice: "2025-07", Purposes: yes("analytics", "preference"), Services: no("hotjar")}, &token, nil, old},
		{"the same again under an old one", Choice{Notice: "2025-07", Purposes: yes("analytics", "preference")}, &token, nil, old},
		{"raising a purpose under an old one", Choice{Notice: "2025-07", Purposes: yes("analytics", "media")}, &token, nil, nil},
		{"raising a service under an old one", Choice{Notice: "2025-07", Purposes: yes("analytics")}, &narrow, nil, nil},
		{"continuing under the current one", Choice{Notice: "2026-01", Purposes: yes("analytics", "media")}, &token, nil, current},
		{"a grant with the token of a notice that nobody knows", Choice{Notice: "2025-07", Purposes: yes("analytics")}, &foreign, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.in.Method == "" {
				tc.in.Method = Custom
			}
			d, err := policy.Decide(tc.in, Circumstances{Now: noon.Add(time.Hour), Previous: tc.token, Shown: tc.shown})
			if tc.under == nil {
				if !errors.Is(err, ErrStaleNotice) {
					t.Errorf("got %v, want ErrStaleNotice", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.Receipt.NoticeHash != tc.under.Hash || d.Receipt.Notice != tc.under.Version {
				t.Errorf("recorded under notice %s, want %s", d.Receipt.Notice, tc.under.Version)
			}
		})
	}
}

// A visitor can always withdraw everything, also with a token whose notice
// this server has forgotten.
func TestWithdrawUnderForgottenNotice(t *testing.T) {
	t.Parallel()
	policy := testPolicy(t, shop())
	token := given(policy.Current, noon, []Purpose{Analytics})
	token.Notice++
	d, err := policy.Decide(Choice{Method: Withdraw, Notice: policy.Current.Version}, Circumstances{Now: noon, Previous: &token})
	if err != nil {
		t.Fatal(err)
	}
	if d.Cut == nil || d.Cut.All != Forever || d.Withdrawal == nil || d.Withdrawal.Events != Anonymise {
		t.Errorf("cut %+v, withdrawal %+v", d.Cut, d.Withdrawal)
	}
}

func TestCutMerge(t *testing.T) {
	t.Parallel()
	a := &Cut{Latest: 5, All: 3, Expires: 9, Purposes: map[Purpose]uint32{Analytics: 5}}
	b := &Cut{Latest: 4, Expires: 11, Purposes: map[Purpose]uint32{Analytics: 2, Media: 4}, Services: map[string]uint32{"chat": 4}}
	before := maps.Clone(a.Purposes)
	want := &Cut{Latest: 5, All: 3, Expires: 11, Purposes: map[Purpose]uint32{Analytics: 5, Media: 4}, Services: map[string]uint32{"chat": 4}}
	for _, got := range []*Cut{a.merge(b), b.merge(a)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if !maps.Equal(before, a.Purposes) {
		t.Error("merging changes a cut that others may be reading")
	}
	if a.merge(nil) != a || (*Cut)(nil).merge(a) != a {
		t.Error("the nil cut adds something")
	}
}

func TestMethodsAreTheContract(t *testing.T) {
	t.Parallel()
	want := []Method{"accept_all", "reject_all", "custom", "withdraw", "gpc", "form", "once", "api"}
	if !slices.Equal(Methods, want) {
		t.Errorf("got %v, want %v", Methods, want)
	}
}

// TestWithdrawalIsRepeated: whoever withdraws again is answered with the
// withdrawal of the same consent, since the first may not be on disk; a grant
// after it begins a consent of its own.
func TestWithdrawalIsRepeated(t *testing.T) {
	t.Parallel()
	policy := testPolicy(t, shop())
	current := policy.Current
	token := given(current, noon, []Purpose{Analytics})
	c := Circumstances{Now: noon.Add(time.Hour), Previous: &token, Cut: &Cut{Latest: token.Issued + 1, All: Forever, Expires: token.Issued + 9e6}}
	again, err := policy.Decide(Choice{Notice: current.Version, Method: Withdraw}, c)
	if err != nil {
		t.Fatal(err)
	}
	if again.Withdrawal == nil || again.Withdrawal.ConsentID != token.Consent || again.Receipt.ConsentID != token.Consent || again.Token != nil {
		t.Errorf("withdrawn again: %+v, want the withdrawal of consent %s", again, token.Consent)
	}
	anew, err := policy.Decide(Choice{Notice: current.Version, Method: Custom, Purposes: map[string]bool{"analytics": true}}, c)
	if err != nil {
		t.Fatal(err)
	}
	if anew.Token == nil || anew.Token.Consent == token.Consent || anew.Withdrawal != nil {
		t.Errorf("granted after a withdrawal: %+v, want a consent of its own", anew)
	}
}

// TestOldNoticeAfterACut: under an old notice a token that was lowered since gives
// back nothing of what was taken.
func TestOldNoticeAfterACut(t *testing.T) {
	t.Parallel()
	before, now := shop(), shop()
	now.Notice.Version = "2026-01"
	policy := testPolicy(t, now, before)
	token := given(testNotice(t, before), noon, []Purpose{Analytics, Preference})
	later := token.Issued + 1
	for name, tc := range map[string]struct {
		cut  Cut
		in   Choice
		fine bool
	}{
		"what was cut":             {Cut{Purposes: map[Purpose]uint32{Preference: later}}, Choice{Purposes: yes("analytics", "preference")}, false},
		"what is left":             {Cut{Purposes: map[Purpose]uint32{Preference: later}}, Choice{Purposes: yes("analytics")}, true},
		"a service that was cut":   {Cut{Services: map[string]uint32{"hotjar": later}}, Choice{Purposes: yes("analytics")}, false},
		"without that service":     {Cut{Services: map[string]uint32{"hotjar": later}}, Choice{Purposes: yes("analytics"), Services: no("hotjar")}, true},
		"its purpose was cut":      {Cut{Purposes: map[Purpose]uint32{Analytics: later}}, Choice{Purposes: yes("analytics")}, false},
		"everything was":           {Cut{All: later}, Choice{Purposes: yes("preference")}, false},
		"cut before the token":     {Cut{Purposes: map[Purpose]uint32{Preference: token.Issued}}, Choice{Purposes: yes("preference")}, true},
		"nothing, after all of it": {Cut{All: later}, Choice{}, true},
	} {
		in := tc.in
		in.Notice, in.Method = "2025-07", Custom
		_, err := policy.Decide(in, Circumstances{Previous: &token, Cut: &tc.cut, Now: noon.Add(time.Minute)})
		if (err == nil) != tc.fine || err != nil && !errors.Is(err, ErrStaleNotice) {
			t.Errorf("%s: got %v, want it taken: %v", name, err, tc.fine)
		}
	}
}
