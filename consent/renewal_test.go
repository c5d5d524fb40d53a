package consent

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRenew is what a visitor who decided before is asked after the site has
// changed: only what was granted, or never asked, and is not the same any more.
func TestRenew(t *testing.T) {
	t.Parallel()
	before := shop()
	maps2 := Service{Name: "maps", Title: "Maps", Purpose: Media, Provider: "Maps Ltd", External: true}
	pixel := Service{Name: "pixel", Title: "Pixel", Purpose: Marketing, Provider: "Pixel Ltd", External: true}
	with := func(services ...Service) *Site {
		s := shop()
		s.Services = append(s.Services, services...)
		return s
	}
	old := testNotice(t, before)
	everything := []Purpose{Analytics, Preference, Media, "research"}
	choice := func(pending string, purposes, services string) string {
		return "1" + pending + ":2025-07:" + purposes + ":" + services + ":1795435200"
	}
	all := choice("", "analytics+media+preference+research", "chat+hotjar+statistics")
	// The third purpose is media, or the new one: asked 00100.
	cases := []struct {
		name   string
		now    *Site
		token  Token
		choice string
		signal string
		want   string            // body; "" means 204
		set    map[string]string // cookies of the answer; "" is expired
		count  string            // key of a counted view; "-" none
	}{
		{"nothing changed", shop(), given(old, noon, everything), all, "", "", nil, "-"},
		{"a recipient came to a granted purpose", with(maps2), given(old, noon, everything), all, "", "banner of example.com in en, asked 00100",
			map[string]string{ChoiceCookie: choice("?", "analytics+preference+research", "hotjar+statistics")}, ViewRenewed},
		{"asked on the page before, and not answered", with(maps2), given(old, noon, everything),
			choice("?", "analytics+preference+research", "hotjar+statistics"), "", "banner of example.com in en, asked 00100", nil, ViewRenewed},
		{"a recipient came to a refused purpose", with(maps2), given(old, noon, []Purpose{Analytics}),
			choice("", "analytics", "hotjar+statistics"), "", "", nil, "-"},
		{"a purpose is new", with(pixel), given(old, noon, []Purpose{Analytics}), choice("", "analytics", "hotjar+statistics"), "",
			"banner of example.com in en, asked 00100", map[string]string{ChoiceCookie: choice("?", "analytics", "hotjar+statistics")}, ViewRenewed},
		{"all that was granted changed", with(maps2), given(old, noon, []Purpose{Media}), choice("", "media", "chat"), "",
			"banner of example.com in en, asked 00100", map[string]string{ChoiceCookie: choice("?", "", "")}, ViewRenewed},
		{"under Global Privacy Control nothing is asked, and what changed stands no more", with(maps2), given(old, noon, everything), all, "1", "",
			map[string]string{ChoiceCookie: choice("?", "analytics+preference+research", "hotjar+statistics")}, "-"},
		{"expired", with(maps2), given(old, noon.Add(-181*24*time.Hour), everything), all, "", "banner of example.com in en",
			map[string]string{ChoiceCookie: "", ProofCookie: ""}, ""},
		{"a notice that is forgotten", with(maps2), given(testNotice(t, with(pixel)), noon, everything), all, "", "banner of example.com in en",
			map[string]string{ChoiceCookie: "", ProofCookie: ""}, ""},
		{"no memory of the choice", with(maps2), given(old, noon, everything), "", "", "banner of example.com in en", nil, ""},
		{"a memory that is broken", with(maps2), given(old, noon, everything), "2:x", "", "banner of example.com in en", nil, ""},
		{"no proof of the choice", with(maps2), Token{}, all, "", "banner of example.com in en", nil, ""},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDoors(t, tt.now)
			d.handler.Ledger.Sites = NewSites(testPolicy(t, tt.now, before))
			if tt.choice != "" {
				d.jar[ChoiceCookie] = tt.choice
			}
			if tt.token.Notice != 0 {
				d.jar[ProofCookie] = d.handler.Ledger.Keys.Sign(tt.token, "example.com")
			}
			var headers []string
			if tt.signal != "" {
				headers = []string{"Sec-GPC", tt.signal}
			}
			w := d.send(d.handler.GetBanner, "GET", "/_s/b?site=example.com&lang=en", "", headers...)
			if d.error != nil {
				t.Fatal(d.error)
			}
			if code := map[bool]int{true: 204, false: 200}[tt.want == ""]; w.Code != code || w.Body.String() != tt.want {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, code, tt.want)
			}
			set := map[string]string{}
			for _, c := range w.Result().Cookies() {
				if set[c.Name] = c.Value; c.Name == ChoiceCookie && c.Value != "" && c.MaxAge > 180*24*3600 {
					t.Errorf("the memory of the choice is prolonged to %d s", c.MaxAge)
				}
			}
			if diff := cmp.Diff(tt.set, set); diff != "" && len(tt.set)+len(set) > 0 {
				t.Errorf("cookies (-want +got):\n%s", diff)
			}
			counted := "-"
			for _, c := range d.journal.counts {
				counted = c.Key
			}
			if counted != tt.count {
				t.Errorf("counted a view %q, want %q", counted, tt.count)
			}
		})
	}
}

// TestRenewedWords: the banner says what changed, by the names that visitors read.
func TestRenewedWords(t *testing.T) {
	t.Parallel()
	before, now := shop(), shop()
	before.Services = append(before.Services, Service{Name: "video", Title: "Video", Purpose: Media, Provider: "Video Ltd"})
	now.Services = append(now.Services,
		Service{Name: "maps", Title: "Maps", Purpose: Media, Provider: "Maps Ltd"}, Service{Name: "pixel", Purpose: Marketing, Provider: "Pixel Ltd"})
	now.Services[0].Cookies = append(now.Services[0].Cookies, Cookie{Name: "_new", Lasts: "1 day"}) // Hotjar's
	now.Purposes = []PurposeText{{Name: "research", Title: "Research", Description: "Surveys, and interviews."}}
	policy := testPolicy(t, now, before)
	old := testNotice(t, before)
	token := given(old, noon, []Purpose{Analytics, Preference, Media, "research"})
	if !policy.Changed(token) || policy.Changed(given(policy.Current, noon, []Purpose{Media})) {
		t.Error("Changed does not tell an old notice from the current one")
	}
	view := View{Site: "example.com", Language: "en", Since: old.Fingerprint, Asked: policy.changed(token)}
	content, err := BannerData(policy, view, shippedWords(t, "en"), testKeys(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	got := decodeBanner(t, content)
	want := map[Purpose]string{
		Analytics: "Changed: Hotjar.", Media: "New: Maps. No longer: video.", Marketing: "New: pixel.", "research": "Changed: Research.",
	}
	if diff := cmp.Diff(want, got.Renew); diff != "" {
		t.Errorf("what changed (-want +got):\n%s", diff)
	}
	if first := decodeBanner(t, mustBanner(t, policy, View{Language: "en"})); first.Renew != nil || first.Shown == got.Shown {
		t.Error("a receipt could not tell the first question from one about changes")
	}
}

func TestVariants(t *testing.T) {
	t.Parallel()
	s := shop()
	s.Theme, s.Texts = map[string]string{"accent": "#075", "radius": "0"}, map[string]map[string]string{"en": {"title": "Ours"}}
	s.Variants = []Variant{
		{Name: "box", Share: 30, Layout: "box", Theme: map[string]string{"accent": "#06a"}},
		{Name: "short", Share: 20, Texts: map[string]map[string]string{"en": {"title": "Short"}}},
	}
	drawn := map[string]int{}
	for n := range 100 {
		drawn[s.variantAt(n)]++
	}
	if diff := cmp.Diff(map[string]int{"box": 30, "short": 20, "usual": 50}, drawn); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	policy, keys := testPolicy(t, s), testKeys(t, 1)
	for name, want := range map[string]bannerData{
		"":      {Layout: "bar", Theme: map[string]string{"accent": "#075", "radius": "0"}, Texts: map[string]string{"title": "Ours"}},
		"usual": {Layout: "bar", Theme: map[string]string{"accent": "#075", "radius": "0"}, Texts: map[string]string{"title": "Ours"}},
		"box":   {Layout: "box", Theme: map[string]string{"accent": "#06a", "radius": "0"}, Texts: map[string]string{"title": "Ours"}},
		"short": {Layout: "bar", Theme: map[string]string{"accent": "#075", "radius": "0"}, Texts: map[string]string{"title": "Short"}},
	} {
		got := decodeBanner(t, mustBanner(t, policy, View{Language: "en", Variant: name}))
		if got.Layout != want.Layout || !maps.Equal(got.Theme, want.Theme) || got.Texts["title"] != want.Texts["title"] || got.Variant != name {
			t.Errorf("%q: %s, %v, %q, want %s, %v, %q", name, got.Layout, got.Theme, got.Texts["title"], want.Layout, want.Theme, want.Texts["title"])
		}
		shown, err := keys.ParseShown(got.Shown, "example.com")
		if err != nil || shown.Variant != name {
			t.Errorf("%q: shown as %q, %v", name, shown.Variant, err)
		}
	}
	if a, b := mustBanner(t, policy, View{Language: "en"}), mustBanner(t, policy, View{Language: "en", Variant: "gone"}); string(a) != string(b) {
		t.Error("a variant that is gone is not the usual banner")
	}
}

// TestVariantStaysOutOfTheBrowser: which variant was seen is known from a view's
// answer alone, is asked for again when the preferences are opened, and is
// recorded with a decision.
func TestVariantStaysOutOfTheBrowser(t *testing.T) {
	t.Parallel()
	s := shop()
	s.Variants = []Variant{{Name: "box", Share: 100, Layout: "box"}}
	d := newDoors(t, s)
	w := d.send(d.handler.GetBanner, "GET", "/_s/b?site=example.com&lang=en", "")
	if got, want := w.Body.String(), "banner of example.com in en, variant box"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(w.Result().Cookies()) > 0 || len(d.journal.counts) != 1 || d.journal.counts[0].Key != "variant:box" {
		t.Errorf("cookies %v, counts %v", w.Result().Cookies(), d.journal.counts)
	}
	w = d.send(d.handler.GetBanner, "GET", "/_s/b?site=example.com&lang=en&more=1&variant=box", "")
	if got, want := w.Body.String(), "preferences of example.com in en, variant box"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	policy, err := d.handler.Ledger.Sites.Lookup("example.com")
	if err != nil {
		t.Fatal(err)
	}
	data, err := BannerData(policy, View{Language: "en", Variant: "box"}, shippedWords(t, "en"), d.handler.Ledger.Keys)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"site":"example.com","purposes":{"analytics":true},"method":"custom","notice":"2025-07","shown":"` + decodeBanner(t, data).Shown + `"}`
	if w := d.send(d.handler.PostDecision, "POST", "/_s/d", body); w.Code != 201 || !strings.Contains(w.Body.String(), `"variant":"box"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
