package consent

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// numberOfUnits is how a duration is written in configuration: "13 months".
var numberOfUnits = regexp.MustCompile(`^([0-9]{1,6}) (second|minute|hour|day|week|month|year)s?$`)

// ValidDuration reports whether every language can put a duration into words:
// "13 months", "session" (until the browser closes) or "persistent" (until
// somebody deletes it).
func ValidDuration(lasts string) bool {
	return lasts == "session" || lasts == "persistent" || numberOfUnits.MatchString(lasts)
}

// duration puts a duration into the words of a language; what has none stays
// as it is.
func duration(lasts, lang string, words map[string]string) string {
	unit, n := lasts, -1
	if m := numberOfUnits.FindStringSubmatch(lasts); m != nil {
		n, _ = strconv.Atoi(m[1]) // at most six digits
		unit = m[2]
	}
	word := words["lasts."+unit]
	if word == "" {
		return lasts
	}
	if n < 0 {
		return word
	}
	return strings.ReplaceAll(pluralForm(word, lang, n), "{n}", strconv.Itoa(n))
}

// pluralForm picks the form for n whole things. A text gives its forms in the
// order zero, one, two, few, many, other, without those that no whole number
// of the language takes: "{n} miesiąc | {n} miesiące | {n} miesięcy".
func pluralForm(text, lang string, n int) string {
	forms := strings.Split(text, " | ")
	tag := language.Make(lang)
	i := slices.Index(pluralForms(tag), matchPlural(tag, n))
	return forms[min(max(i, 0), len(forms)-1)]
}

// pluralForms lists the forms that whole numbers take in a language. Every
// rule of CLDR looks at the last two digits, or at numbers below a hundred.
func pluralForms(tag language.Tag) []plural.Form {
	found := map[plural.Form]bool{}
	for n := range 200 {
		found[matchPlural(tag, n)] = true
	}
	order := []plural.Form{plural.Zero, plural.One, plural.Two, plural.Few, plural.Many, plural.Other}
	return slices.DeleteFunc(order, func(f plural.Form) bool { return !found[f] })
}

func matchPlural(tag language.Tag, n int) plural.Form {
	return plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0)
}
