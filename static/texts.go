package static

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

//go:embed texts/*.json
var textFiles embed.FS

// fallback is the language of visitors who ask for none that there is.
const fallback = "en"

// Texts returns the texts of a language by name, as a copy; false where there
// are none. Names without a dot belong to the banner; "purpose.<name>.title" and
// "purpose.<name>.description" put the usual purposes into words.
func Texts(lang string) (map[string]string, bool) {
	texts, ok := allTexts()[lang]
	return maps.Clone(texts), ok
}

// Languages lists the languages that have texts, as BCP 47 tags; English first,
// the others in order.
func Languages() []string {
	others := slices.Sorted(maps.Keys(allTexts()))
	others = slices.DeleteFunc(others, func(l string) bool { return l == fallback })
	return append([]string{fallback}, others...)
}

// Match returns the language of Languages that suits best the first of what is
// wanted that suits any: each is a BCP 47 tag or the value of an
// Accept-Language header. English where nothing does.
func Match(wanted ...string) string {
	for _, w := range wanted {
		tags, _, err := language.ParseAcceptLanguage(w)
		if err != nil {
			continue
		}
		if _, index, confidence := matcher().Match(tags...); confidence != language.No {
			return Languages()[index]
		}
	}
	return fallback
}

var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, lang := range Languages() {
		tags = append(tags, language.MustParse(lang))
	}
	return language.NewMatcher(tags)
})

var allTexts = sync.OnceValue(func() map[string]map[string]string {
	names, err := fs.Glob(textFiles, "texts/*.json")
	if err != nil {
		panic(fmt.Sprintf("static: %v", err)) // a constant pattern
	}
	all := map[string]map[string]string{}
	for _, name := range names {
		content, err := textFiles.ReadFile(name)
		var texts map[string]string
		if err == nil {
			err = json.Unmarshal(content, &texts)
		}
		if err != nil {
			panic(fmt.Sprintf("static: %s: %v", name, err)) // embedded, and covered by a test
		}
		all[strings.TrimSuffix(strings.TrimPrefix(name, "texts/"), ".json")] = texts
	}
	return all
})
