package static

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
)

func TestServeHTTP(t *testing.T) {
	t.Parallel()
	asset := newAsset("s.js", []byte(strings.Repeat("const a = 1;\n", 50)), "no-cache")
	cases := []struct {
		name     string
		header   http.Header
		encoding string
		status   int
	}{
		{"nothing accepted", http.Header{}, "", 200},
		{"both", http.Header{"Accept-Encoding": {"gzip, deflate, br, zstd"}}, "br", 200},
		{"gzip alone", http.Header{"Accept-Encoding": {"gzip"}}, "gzip", 200},
		{"brotli refused", http.Header{"Accept-Encoding": {"br;q=0, gzip;q=0.5"}}, "gzip", 200},
		{"weights", http.Header{"Accept-Encoding": {"BR; q=0.001"}}, "br", 200},
		{"over two lines", http.Header{"Accept-Encoding": {"gzip", "br"}}, "br", 200},
		{"a name that only begins alike", http.Header{"Accept-Encoding": {"brotli"}}, "", 200},
		{"a weight that is none", http.Header{"Accept-Encoding": {"gzip;q=x"}}, "", 200},
		{"known already", http.Header{"If-None-Match": {asset.ETag}, "Accept-Encoding": {"br"}}, "", 304},
		{"known, strongly written", http.Header{"If-None-Match": {`"x", ` + strings.TrimPrefix(asset.ETag, "W/")}}, "", 304},
		{"known by another content", http.Header{"If-None-Match": {`W/"x"`}}, "", 200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/_s/s.js", nil)
			r.Header = c.header
			asset.ServeHTTP(w, r)
			got := w.Result()
			if got.StatusCode != c.status || got.Header.Get("Content-Encoding") != c.encoding {
				t.Fatalf("status %d, encoding %q, want %d, %q", got.StatusCode, got.Header.Get("Content-Encoding"), c.status, c.encoding)
			}
			want := http.Header{"Etag": {asset.ETag}, "Vary": {"Accept-Encoding"}, "Cache-Control": {"no-cache"}, "X-Content-Type-Options": {"nosniff"}}
			for name := range want {
				if diff := cmp.Diff(want[name], got.Header[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if c.status == 200 {
				if body := decode(t, c.encoding, got.Body); !bytes.Equal(body, asset.Body) {
					t.Errorf("body: %q", body)
				}
			}
		})
	}
}

func decode(t *testing.T, encoding string, r io.Reader) []byte {
	t.Helper()
	switch encoding {
	case "br":
		r = brotli.NewReader(r)
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestComposeBanner(t *testing.T) {
	t.Parallel()
	data := map[string]any{
		"lang": "de-AT", "controller": map[string]string{"name": "Muster GmbH"},
		"texts": map[string]string{"title": "</script><script>alert(1)//\u2028", "purpose.analytics.title": "for the caller"},
		"shown": "abc", "close_button": true,
		"purposes": []any{
			map[string]any{"name": "essential", "title": "Notwendig", "required": true},
			map[string]any{"name": "analytics", "title": "Statistik", "services": []any{map[string]any{
				"name": "hotjar", "provider": "Hotjar Ltd", "external": true, "cookies": []any{map[string]any{"name": "_hj*", "lasts": "1 Jahr"}},
			}}},
		},
	}
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	// As a caller may write it who does not escape.
	raw = bytes.ReplaceAll(raw, []byte(`\u003c`), []byte("<"))
	banner, err := ComposeBanner(raw)
	if err != nil {
		t.Fatal(err)
	}
	first, more, both := banner.First(), banner.Preferences(), banner.Both()
	for _, a := range []Asset{first, more, both} {
		if bytes.Contains(a.Body, []byte("</script")) || bytes.ContainsRune(a.Body, '\u2028') {
			t.Error("text from the data can end the script")
		}
		if bytes.Contains(a.Body, []byte(placeholder)) {
			t.Error("the placeholder is still there")
		}
		if bytes.Contains(a.Body, []byte("for the caller")) {
			t.Error("a text that is not the banner's went to the browser")
		}
		if got := decode(t, "br", bytes.NewReader(a.Brotli)); !bytes.Equal(got, a.Body) {
			t.Error("brotli does not decode to the body")
		}
	}
	for _, want := range []string{
		`"accept":"Alle akzeptieren"`, `"shown":"abc"`, `"intro":"Muster GmbH bittet`, `"close":`,
		`{"name":"hotjar","external":true,"clear":["_hj*"]}`,
	} {
		if !bytes.Contains(first.Body, []byte(want)) {
			t.Errorf("the first layer has no %s", want)
		}
	}
	for _, not := range []string{"Notwendig", "Hotjar Ltd", `"save"`, "1 Jahr"} {
		if bytes.Contains(first.Body, []byte(not)) {
			t.Errorf("the first layer carries %s, which the preferences show", not)
		}
	}
	for _, want := range []string{"Notwendig", `"provider":"Hotjar Ltd"`, `"save":"Speichern"`, `"choices.dpo":`} {
		if !bytes.Contains(more.Body, []byte(want)) {
			t.Errorf("the preferences have no %s", want)
		}
	}
	if want := append(slices.Clone(first.Body), more.Body...); !bytes.Equal(both.Body, want) {
		t.Error("both layers are not the first and then the preferences")
	}
}

// TestComposeBannerRenewed: where only what changed is asked about, the words say so.
func TestComposeBannerRenewed(t *testing.T) {
	t.Parallel()
	banner, err := ComposeBanner([]byte(`{"lang":"en","renew":{"media":"New: chat"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"accept":"Accept"`, `"reject":"Reject"`, `"title":"Something has changed"`, `"renew":{"media":"New: chat"}`} {
		if !bytes.Contains(banner.First().Body, []byte(want)) {
			t.Errorf("the first layer has no %s", want)
		}
	}
	if !bytes.Contains(banner.Preferences().Body, []byte(`"accept":"Accept all"`)) {
		t.Error("the preferences do not ask about everything")
	}
}

func TestComposeBannerRefuses(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"not JSON": `{`, "not an object": `[]`, "no language": `{}`, "texts of another shape": `{"lang":"en","texts":[1]}`,
	} {
		if _, err := ComposeBanner([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	english, ok := Texts("en")
	if !ok {
		t.Fatal("no English")
	}
	names := func(texts map[string]string) (out []string) {
		for name := range texts {
			out = append(out, name)
		}
		slices.Sort(out)
		return out
	}
	placeholders := func(text string) []string {
		found := regexp.MustCompile(`\{\w*\}`).FindAllString(text, -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	for _, lang := range Languages() {
		texts, _ := Texts(lang)
		if diff := cmp.Diff(names(english), names(texts)); diff != "" {
			t.Errorf("%s has not the texts that English has (-en +%s):\n%s", lang, lang, diff)
		}
		same := 0
		for name, text := range texts {
			if diff := cmp.Diff(placeholders(english[name]), placeholders(text)); diff != "" {
				t.Errorf("%s: %s: placeholders (-en +%s): %s", lang, name, lang, diff)
			}
			if text == "" || strings.TrimSpace(text) != text || strings.Contains(text, "  ") {
				t.Errorf("%s: %s: %q is empty, or has blanks to spare", lang, name, text)
			}
			if text == english[name] {
				same++
			}
		}
		if lang != fallback && same > len(english)/10 {
			t.Errorf("%s: %d of %d texts are the English ones", lang, same, len(english))
		}
		for _, pair := range [][2]string{{"accept", "reject"}, {"agree", "decline"}, {"accept", "agree"}, {"reject", "decline"}} {
			if strings.EqualFold(texts[pair[0]], texts[pair[1]]) {
				t.Errorf("%s: %s and %s are both %q", lang, pair[0], pair[1], texts[pair[0]])
			}
		}
	}
	german, _ := Texts("de")
	if german["accept"] != "Alle akzeptieren" || german["reject"] != "Alle ablehnen" {
		t.Errorf("German buttons: %q, %q", german["accept"], german["reject"])
	}
	english["accept"] = "changed"
	if again, _ := Texts("en"); again["accept"] != "Accept all" {
		t.Error("Texts hands out its own map")
	}
	if _, ok := Texts("tlh"); ok {
		t.Error("there are texts for a language without any")
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want   string
		wanted []string // of the page, then of the browser
	}{
		{"de", []string{"de"}},
		{"de", []string{"de-AT"}},
		{"de", []string{"gsw"}},
		{"de", []string{"DE_de"}},
		{"en", []string{"en-GB"}},
		{"fr", []string{"fr, de;q=0.8, en;q=0.5"}},
		{"de", []string{"tlh, fr;q=0.1, de;q=0.8"}},
		{"pt", []string{"pt-AO"}},
		{"pt", []string{"pt-PT"}},
		{"pt-BR", []string{"pt-BR"}},
		{"nb", []string{"no"}},
		{"nb", []string{"nn"}},
		{"nb", []string{"nb-NO"}},
		{"he", []string{"iw"}},
		{"zh-Hans", []string{"zh"}},
		{"zh-Hans", []string{"zh-CN"}},
		{"zh-Hans", []string{"zh-SG"}},
		{"zh-Hant", []string{"zh-TW"}},
		{"zh-Hant", []string{"zh-HK"}},
		{"en", []string{""}},
		{"en", []string{"*"}},
		{"en", []string{"tlh"}},
		{"en", []string{"not a language, at all"}},
		{"en", []string{"\x00"}},
		{"en", nil},
		// The page's language goes before the browser's, where there is one.
		{"fi", []string{"fi", "sv, en;q=0.5"}},
		{"sv", []string{"", "sv, en;q=0.5"}},
		{"sv", []string{"xyz", "sv, en;q=0.5"}},
		{"sv", []string{"\x00", "sv, en;q=0.5"}},
		{"en", []string{"en", "sv"}},
		{"en", []string{"tlh", ""}},
	} {
		if got := Match(c.wanted...); got != c.want {
			t.Errorf("Match(%q) = %q, want %q", c.wanted, got, c.want)
		}
	}
}

// TestLanguages: the 24 of the European Union, and those of visitors from
// elsewhere.
func TestLanguages(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`en ar bg cs da de el es et fi fr ga he hi hr hu is it ja ko lt lv mt nb nl pl pt pt-BR ro sk sl sv tr uk
		zh-Hans zh-Hant`)
	if diff := cmp.Diff(want, Languages()); diff != "" {
		t.Errorf("languages (-want +got):\n%s", diff)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		path := Path(name)
		asset, ok := File(path)
		if doors := slices.Contains([]string{"s.js", "b.js", "p.js", "g.js", "c.js", "extras.js"}, name); ok == doors {
			t.Errorf("File(%q): %v; script, banner, its parts, the button and the extras have doors of their own, the others have not", path, ok)
		}
		if ok && (asset.CacheControl != "public, max-age=31536000, immutable" || asset.Name != path) {
			t.Errorf("File(%q): %q, cached %q", path, asset.Name, asset.CacheControl)
		}
	}
	for _, name := range []string{"", "s.js", "dashboard.js", "../static.go", "dashboard.00000000.js"} {
		if _, ok := File(name); ok {
			t.Errorf("File(%q) is there", name)
		}
	}
	if got := Path("missing.js"); got != "" {
		t.Errorf("Path of a missing file: %q", got)
	}
}

func TestComposeExtras(t *testing.T) {
	t.Parallel()
	some, err := ComposeExtras(Measure{Scroll: true, Downloads: []string{"pdf"}})
	if err != nil {
		t.Fatal(err)
	}
	none, err := ComposeExtras(Measure{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(some.Body, []byte(`({"scroll":true,"downloads":["pdf"]}`)) || bytes.Contains(some.Body, []byte(placeholder)) {
		t.Errorf("the code does not hold the settings: %s", some.Body)
	}
	if some.Name != none.Name || some.ETag == none.ETag {
		t.Errorf("names %s and %s, ETags %s and %s; want one name, for the code is the same, and two ETags", some.Name, none.Name, some.ETag, none.ETag)
	}
	if some.CacheControl != "public, max-age=3600" {
		t.Errorf("cached %q: a change of the settings has to arrive", some.CacheControl)
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	s := Script()
	if s.Type != "text/javascript; charset=utf-8" || s.CacheControl != "no-cache" || len(s.Body) == 0 {
		t.Errorf("script: %s, %s, %d bytes", s.Type, s.CacheControl, len(s.Body))
	}
}

func TestChunks(t *testing.T) {
	t.Parallel()
	if len(Chunks()) == 0 {
		t.Fatal("there are none")
	}
	entries, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Chunks() {
		asset, ok := File(name)
		if !ok || asset.Type != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %v, %s", name, ok, asset.Type)
		}
		names := func(e os.DirEntry) bool { return bytes.Contains(read(e.Name()), []byte(`"`+name)) }
		if !slices.ContainsFunc(entries, names) {
			t.Errorf("nothing loads %s", name)
		}
	}
}
