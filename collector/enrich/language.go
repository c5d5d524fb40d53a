package enrich

import "strings"

// Language returns the first language of an Accept-Language header as language
// and region, "de" or "de-DE"; "" where there is none. The rest of the list
// would help to tell one visitor from another and no report.
func Language(header string) string {
	tag := header
	if i := strings.IndexAny(tag, ",;"); i >= 0 {
		tag = tag[:i]
	}
	tag = strings.TrimSpace(tag)
	language, rest, _ := strings.Cut(tag, "-")
	if len(language) < 2 || len(language) > 3 || !letters(language) {
		return ""
	}
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "-")
		if len(part) == 2 && letters(part) {
			lower, upper := strings.ToLower(language), strings.ToUpper(part)
			if len(tag) == len(lower)+1+len(upper) && tag[:len(lower)] == lower && tag[len(lower)+1:] == upper {
				return tag
			}
			return lower + "-" + upper
		}
	}
	return strings.ToLower(language)
}

func letters(s string) bool {
	for i := 0; i < len(s); i++ {
		if !letter(s[i]) {
			return false
		}
	}
	return true
}
