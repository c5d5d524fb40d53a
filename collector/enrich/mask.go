package enrich

import (
	"regexp"
	"strings"
)

// What stands for a masked part.
const (
	maskedEmail = "*email*"
	maskedToken = "*token*"
)

// tokenRun is the shortest unbroken run of letters and digits that counts as a
// secret. Words of a slug end at a dash and stay; a UUID ends at one as well
// and stays, because shops name products by it.
const tokenRun = 24

// emailPattern finds addresses also in percent-encoded text, where @ is %40.
var emailPattern = regexp.MustCompile(`(?i)[a-z0-9._%+\-]+(?:@|%40)[a-z0-9\-]+(?:\.[a-z0-9\-]+)+`)

// Mask replaces e-mail addresses and long tokens (reset links, session ids,
// JSON web tokens), which nobody meant to send to a report, and returns how
// many it replaced.
func Mask(s string) (string, int) {
	suspect := scan(s)
	n := 0
	if suspect.email {
		s = emailPattern.ReplaceAllStringFunc(s, func(string) string { n++; return maskedEmail })
	}
	if suspect.token {
		s = maskTokens(s, &n)
	}
	return s, n
}

// suspicion is what a look at every byte once can tell.
type suspicion struct{ email, token bool }

func scan(s string) (found suspicion) {
	run := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case letter(c), digit(c):
			if run++; run >= tokenRun {
				found.token = true
			}
			continue
		case c == '@', c == '%' && strings.HasPrefix(s[i:], "%40"):
			found.email = true
		}
		run = 0
	}
	return found
}

// maskTokens replaces each word that holds a run of tokenRun letters and
// digits, both kinds. A word ends at anything but letters, digits, "-" and "_",
// so that a base64url token goes as a whole.
func maskTokens(s string, n *int) string {
	var out strings.Builder
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && (letter(s[i]) || digit(s[i]) || s[i] == '-' || s[i] == '_') {
			continue
		}
		if word := s[start:i]; isToken(word) {
			out.WriteString(maskedToken)
			*n++
		} else {
			out.WriteString(word)
		}
		if i < len(s) {
			out.WriteByte(s[i])
		}
		start = i + 1
	}
	return out.String()
}

func isToken(word string) bool {
	run, letters, digits := 0, 0, 0
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case letter(c):
			letters++
		case digit(c):
			digits++
		default:
			run, letters, digits = 0, 0, 0
			continue
		}
		if run++; run >= tokenRun && letters > 0 && digits > 0 {
			return true
		}
	}
	return false
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }
