package consent

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestGPC(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values []string
		want   bool
	}{
		"one": {[]string{"1"}, true}, "none": {nil, false}, "zero": {[]string{"0"}, false}, "true": {[]string{"true"}, false},
		"twice, one is 1": {[]string{"0", "1"}, true}, "a list": {[]string{"1, 1"}, false}, "01": {[]string{"01"}, false},
	} {
		h := http.Header{}
		for _, v := range tc.values {
			h.Add("Sec-GPC", v)
		}
		if got := GPC(h); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

// TestBrowserSignals: each signal counts where the configuration says so, and answers
// that depend on one say it.
func TestBrowserSignals(t *testing.T) {
	t.Parallel()
	gpc, dnt, both := http.Header{"Sec-Gpc": {"1"}}, http.Header{"Dnt": {"1"}}, http.Header{"Sec-Gpc": {"1"}, "Dnt": {"1"}}
	for _, tc := range []struct {
		gpc, dnt     bool // honoured
		byGPC, byDNT bool // what each amounts to
		vary         string
	}{
		{true, false, true, false, "Sec-GPC"},
		{false, true, false, true, "Sec-GPC, DNT"},
		{true, true, true, true, "Sec-GPC, DNT"},
		{false, false, false, false, "Sec-GPC"},
	} {
		s := shop()
		s.HonourGPC, s.HonourDNT = tc.gpc, tc.dnt
		for name, c := range map[string]struct {
			sent http.Header
			want bool
		}{
			"GPC": {gpc, tc.byGPC}, "DNT": {dnt, tc.byDNT}, "both": {both, tc.byGPC || tc.byDNT},
			"neither": {http.Header{}, false}, "DNT of 0": {http.Header{"Dnt": {"0"}}, false},
		} {
			if got := s.Signalled(c.sent); got != c.want {
				t.Errorf("honouring GPC %t, DNT %t: %s: %t, want %t", tc.gpc, tc.dnt, name, got, c.want)
			}
		}
		h := http.Header{}
		s.Vary(h)
		if got := strings.Join(h["Vary"], ", "); got != tc.vary {
			t.Errorf("honouring GPC %t, DNT %t: Vary %q, want %q", tc.gpc, tc.dnt, got, tc.vary)
		}
	}
}

// TestGrantUnderSignal: an explicit grant wins over a signal that the site
// honours, for what stays with the controller at once, for others where they
// are switched on singly; the receipt names Global Privacy Control alone.
func TestGrantUnderSignal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		sent        Signals
		honoursDNT  bool
		under, says bool // the token was given under a signal; the receipt says gpc
	}{
		{"GPC", Signals{GPC: true}, false, true, true},
		{"DNT, honoured", Signals{DNT: true}, true, true, false},
		{"DNT, ignored", Signals{DNT: true}, false, false, false},
		{"both, DNT ignored", Signals{GPC: true, DNT: true}, false, true, true},
		{"none", Signals{}, true, false, false},
	} {
		s := shop()
		s.HonourDNT = tc.honoursDNT
		h := newHouse(t, s)
		in := Choice{Site: "example.com", Method: Custom, Notice: "2025-07", Purposes: map[string]bool{"analytics": true, "media": true}, Services: map[string]bool{"chat": true}}
		g, err := h.Decide(t.Context(), h.policy, in, "", tc.sent, "")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"chat", Statistics}
		if !tc.under {
			want = []string{"chat", "hotjar", Statistics}
		}
		got := g.Receipt.GrantedServices()
		slices.Sort(got)
		if !slices.Equal(got, want) || g.Token.UnderGPC() != tc.under || g.Receipt.GPC != tc.says {
			t.Errorf("%s: %v, token under a signal %t, receipt says gpc %t; want %v, %t, %t", tc.name, got, g.Token.UnderGPC(), g.Receipt.GPC, want, tc.under, tc.says)
		}
	}
}
