package enrich

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns s fit to be stored and shown: valid UTF-8, without control
// characters, line separators and the marks that turn the direction of text
// (each becomes a space), and without space around it.
func Clean(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f {
			s = strings.Map(visible, strings.ToValidUTF8(s, string(utf8.RuneError)))
			break
		}
	}
	return strings.TrimSpace(s)
}

func visible(r rune) rune {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return ' '
	}
	return r
}

// Cut returns the first limit characters of s and whether there were more.
func Cut(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	n := 0
	for i := range s {
		if n == limit {
			return s[:i], true
		}
		n++
	}
	return s, false
}
