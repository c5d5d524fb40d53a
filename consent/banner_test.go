package consent

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBannerData(t *testing.T) {
	t.Parallel()
	site := shop()
	site.Theme = map[string]string{"accent": "#0a6"}
	site.Texts = map[string]map[string]string{"de": {"title": "Ihre Entscheidung", "purpose.research.title": "Forschung"}}
	policy := testPolicy(t, site)
	keys := testKeys(t, 1)
	content, err := BannerData(policy, "de", shippedWords(t, "de"), keys)
	if err != nil {
		t.Fatal(err)
	}
	var got bannerData
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	shown, err := keys.ParseShown(got.Shown, "example.com")
	if err != nil || shown.Notice != policy.Current.Fingerprint || shown.Language != "de" {
		t.Errorf("shown %+v, %v", shown, err)
	}
	if got.Texts["title"] != "Ihre Entscheidung" || got.Texts["accept"] != "Alle akzeptieren" || got.Texts["choices.title"] != "" {
		t.Errorf("texts %v", got.Texts)
	}
	if got.Site != "example.com" || got.Direction != "ltr" || got.Days != 180 || got.Layout != "bar" {
		t.Errorf("%+v", got)
	}
	type line struct {
		Name     Purpose
		Title    string
		Required bool
		Services []string
	}
	var lines []line
	for _, p := range got.Purposes {
		l := line{p.Name, p.Title, p.Required, nil}
		for _, s := range p.Services {
			l.Services = append(l.Services, s.Title)
		}
		lines = append(lines, l)
	}
	want := []line{
		{Essential, "Notwendig", true, []string{"Ihre Wahl selbst", "stripe"}},
		{Analytics, "Statistik", false, []string{"Eigene Statistik", "Hotjar"}},
		{Preference, "Einstellungen", false, nil},
		{Media, "Medien", false, []string{"chat"}},
		{"research", "Forschung", false, nil},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	own := got.Purposes[0].Services[0].Cookies[0]
	if diff := cmp.Diff(Cookie{Name: "sl_choice", Lasts: "180 Tage", Purpose: "Merkt sich Ihre Wahl"}, own); diff != "" {
		t.Error(diff)
	}
}

// What changes what the visitor sees changes the hash that the receipt keeps.
func TestBannerDataShown(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, 1)
	hash := func(lang string, change func(*Site)) string {
		site := shop()
		change(site)
		content, err := BannerData(testPolicy(t, site), lang, shippedWords(t, lang), keys)
		if err != nil {
			t.Fatal(err)
		}
		var data bannerData
		if err := json.Unmarshal(content, &data); err != nil {
			t.Fatal(err)
		}
		shown, err := keys.ParseShown(data.Shown, "example.com")
		if err != nil {
			t.Fatal(err)
		}
		return shown.Hash()
	}
	base := hash("en", func(*Site) {})
	if again := hash("en", func(*Site) {}); again != base {
		t.Error("the same banner has two hashes")
	}
	for name, other := range map[string]string{
		"language":  hash("de", func(*Site) {}),
		"a word":    hash("en", func(s *Site) { s.Texts = map[string]map[string]string{"en": {"intro": "Hello"}} }),
		"the look":  hash("en", func(s *Site) { s.Theme = map[string]string{"accent": "red"} }),
		"a service": hash("en", func(s *Site) { s.Services[0].Title = "Other" }),
	} {
		if other == base {
			t.Errorf("%s changes, and the hash does not", name)
		}
	}
}

// The script's own fixture has the fields that are sent, and no others.
func TestBannerDataIsTheWire(t *testing.T) {
	t.Parallel()
	fixture, err := os.ReadFile("../static/testdata/banner.json")
	if err != nil {
		t.Fatal(err)
	}
	site := shop()
	site.Theme, site.CloseButton = map[string]string{"accent": "red"}, true
	content, err := BannerData(testPolicy(t, site), "en", shippedWords(t, "en"), testKeys(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fieldsOf(t, fixture), fieldsOf(t, content)); diff != "" {
		t.Errorf("fields (-fixture of the script, +sent): %s", diff)
	}
}

func fieldsOf(t *testing.T, content []byte) []string {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
	return keys(object)
}

func TestDuration(t *testing.T) {
	t.Parallel()
	words := shippedWords(t, "de")
	for in, want := range map[string]string{
		"13 months": "13 Monate", "1 year": "1 Jahr", "1 minute": "1 Minute", "365 days": "365 Tage", "session": "bis der Browser geschlossen wird",
		"until noon": "until noon", "": "",
	} {
		if got := duration(in, words); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := duration("2 years", nil); got != "2 years" {
		t.Errorf("without words: %q", got)
	}
}

// Both languages put everything into words that the pages and presets name.
func TestTextsAreComplete(t *testing.T) {
	t.Parallel()
	en, de := shippedWords(t, "en"), shippedWords(t, "de")
	if diff := cmp.Diff(keys(en), keys(de)); diff != "" {
		t.Errorf("texts (-en +de): %s", diff)
	}
	all, err := Presets()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range all {
		for _, c := range s.Cookies {
			if de["cookie."+c.Name] == "" {
				t.Errorf("%s: no words for cookie.%s", name, c.Name)
			}
		}
	}
	for _, m := range Methods {
		if de["method."+string(m)] == "" {
			t.Errorf("no words for method.%s", m)
		}
	}
	for _, o := range outcomes {
		if de["choices.said."+o] == "" {
			t.Errorf("no words for choices.said.%s", o)
		}
	}
}
