package consent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"
)

func TestBannerData(t *testing.T) {
	t.Parallel()
	site := shop()
	site.Theme = map[string]string{"accent": "#0a6"}
	site.Texts = map[string]map[string]string{"de": {"title": "Ihre Entscheidung", "purpose.research.title": "Forschung"}}
	policy := testPolicy(t, site)
	keys := testKeys(t, 1)
	content, err := BannerData(policy, View{Language: "de"}, shippedWords(t, "de"), keys)
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
	if got.Texts["title"] != "Ihre Entscheidung" || got.Texts["accept"] != "Alle akzeptieren" || got.Texts["choices.title"] == "" || got.Texts["choices.intro"] != "" {
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

// A site's own words replace Sluice's in one language alone, however its tag is
// written; what has none of its own stays.
func TestOwnWords(t *testing.T) {
	t.Parallel()
	site := shop()
	site.Texts = map[string]map[string]string{
		"pt-br": {"title": "Olá", "service.hotjar.description": "Vê o que você faz."},
		"pt":    {"title": "Bom dia"},
	}
	texts := map[string]string{"title": "A", "intro": "B"}
	for lang, want := range map[string]string{"pt-BR": "Olá", "pt": "Bom dia", "de": "A"} {
		words := site.words(lang, texts)
		if words["title"] != want || words["intro"] != "B" {
			t.Errorf("%s: %v", lang, words)
		}
	}
	hotjar := Service{Name: "hotjar", Kind: "recording", Texts: map[string]string{"de": "Zeichnet auf.", "en": "Records."}}
	recording := map[string]string{"does.recording": "Enregistre."}
	for _, tc := range []struct {
		name, lang string
		words      map[string]string
		want       string
	}{
		{"the site's words", "pt-BR", site.words("pt-BR", nil), "Vê o que você faz."},
		{"the service's", "de", recording, "Zeichnet auf."},
		{"the service's, of a region", "de-AT", recording, "Zeichnet auf."},
		{"those of its kind", "fr", recording, "Enregistre."},
		{"English, where there is nothing else", "fr", nil, "Records."},
	} {
		if got := hotjar.describe(tc.lang, tc.words); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if texts["title"] != "A" {
		t.Error("the language's own texts were changed")
	}
}

// What changes what the visitor sees changes the hash that the receipt keeps.
func TestBannerDataShown(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, 1)
	hash := func(lang string, change func(*Site)) string {
		site := shop()
		change(site)
		content, err := BannerData(testPolicy(t, site), View{Language: lang}, shippedWords(t, lang), keys)
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
	content, err := BannerData(testPolicy(t, site), View{Language: "en"}, shippedWords(t, "en"), testKeys(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fieldsOf(t, fixture), fieldsOf(t, content)); diff != "" {
		t.Errorf("fields (-fixture of the script, +sent): %s", diff)
	}
}

func mustBanner(t *testing.T, p *Policy, v View) []byte {
	t.Helper()
	content, err := BannerData(p, v, shippedWords(t, v.Language), testKeys(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func decodeBanner(t *testing.T, content []byte) (data bannerData) {
	t.Helper()
	if err := json.Unmarshal(content, &data); err != nil {
		t.Fatal(err)
	}
	return data
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
	german := shippedWords(t, "de")
	// The forms of other languages, as their grammar has them.
	polish := map[string]string{"lasts.month": "{n} miesiąc | {n} miesiące | {n} miesięcy"}
	arabic := map[string]string{"lasts.day": "zero | one | two | {n} few | {n} many | {n} other"}
	japanese := map[string]string{"lasts.day": "{n}日"}
	for _, c := range []struct {
		lang, in, want string
		words          map[string]string
	}{
		{"de", "13 months", "13 Monate", german},
		{"de", "1 year", "1 Jahr", german},
		{"de", "1 minute", "1 Minute", german},
		{"de", "365 days", "365 Tage", german},
		{"de", "0 days", "0 Tage", german},
		{"de", "session", "bis der Browser geschlossen wird", german},
		{"de", "persistent", "bis zur Löschung", german},
		{"de", "until noon", "until noon", german},
		{"de", "", "", german},
		{"de", "2 years", "2 years", nil},
		{"pl", "1 month", "1 miesiąc", polish},
		{"pl", "3 months", "3 miesiące", polish},
		{"pl", "13 months", "13 miesięcy", polish},
		{"pl", "22 months", "22 miesiące", polish},
		{"ar", "0 days", "zero", arabic},
		{"ar", "1 day", "one", arabic},
		{"ar", "2 days", "two", arabic},
		{"ar", "7 days", "7 few", arabic},
		{"ar", "30 days", "30 many", arabic},
		{"ar", "400 days", "400 other", arabic},
		{"ja", "1 day", "1日", japanese},
	} {
		if got := duration(c.in, c.lang, c.words); got != c.want {
			t.Errorf("%s: %q: got %q, want %q", c.lang, c.in, got, c.want)
		}
	}
}

// Every language has words for what the pages and presets name, and the forms
// that its numbers take.
func TestTextsAreComplete(t *testing.T) {
	t.Parallel()
	all, err := Presets()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../static/texts/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d languages, %v", len(files), err)
	}
	for _, file := range files {
		lang := strings.TrimSuffix(filepath.Base(file), ".json")
		words := shippedWords(t, lang)
		has := func(name string) {
			if words[name] == "" {
				t.Errorf("%s: no words for %s", lang, name)
			}
		}
		for name, s := range all {
			has("does." + s.Kind)
			if s.Transfer != "" {
				has("transfer." + s.Transfer)
			}
			for _, c := range s.Cookies {
				has("use." + c.Purpose)
			}
			if s.describe(lang, words) == "" {
				t.Errorf("%s: nothing says what %s does", lang, name)
			}
		}
		for _, m := range Methods {
			has("method." + string(m))
		}
		for _, o := range outcomes {
			has("choices.said." + o)
		}
		forms := pluralForms(language.Make(lang))
		for _, unit := range []string{"second", "minute", "hour", "day", "week", "month", "year"} {
			if got := strings.Split(words["lasts."+unit], " | "); len(got) != len(forms) {
				t.Errorf("%s: lasts.%s has %d forms, %q; its numbers take %d", lang, unit, len(got), got, len(forms))
			} else if !strings.Contains(got[len(got)-1], "{n}") {
				t.Errorf("%s: lasts.%s never says how many: %q", lang, unit, got)
			}
		}
	}
}
