package enrich

import (
	"regexp"
	"strings"
)

// What stands for a masked part.
const (
	maskedEmail  = "*email*"
	maskedPhone  = "*phone*"
	maskedNumber = "*number*"
	maskedToken  = "*token*"
	maskedOwn    = "*masked*" // by a pattern of the site's own
)

// numberRun is the shortest unbroken run of digits that is masked: cards have
// 13 to 19 (ISO/IEC 7812), accounts by IBAN up to 30, devices 15. What shops
// number their goods by is shorter.
const numberRun = 13

// tokenRun is the shortest unbroken run of letters and digits that counts as a
// secret. Words of a slug end at a dash and stay; a UUID ends at one as well
// and stays, because shops name products by it.
const tokenRun = 24

// emailPattern finds addresses of any script (RFC 6531), also in
// percent-encoded text, where @ is %40.
var emailPattern = func() *regexp.Regexp {
	const label = `(?:[\pL\pM\pN\-]|%[89A-F][0-9A-F])+`
	return regexp.MustCompile(`(?i)[\pL\pM\pN._%+\-]+(?:@|%40)` + label + `(?:\.` + label + `)+`)
}()

// phonePattern finds international numbers (ITU-T E.164: + and at most 15
// digits), also in percent-encoded text, and with the marks that people put
// between digits. Without the + a telephone number looks like any other; with
// something before the + it is a sum, or a space in a query.
var phonePattern = regexp.MustCompile(`(?i)(^|[^a-z0-9])(?:\+|%2B)[1-9](?:[ .()\-]{1,2}|%20|%28|%29)?(?:[0-9](?:[ .()\-]{1,2}|%20|%28|%29)?){6,13}[0-9]`)

// cardPattern finds what may be a card's number in groups of four.
var cardPattern = regexp.MustCompile(`\b[2-6][0-9]{3}(?:[ \-]|%20|\+)[0-9]{4}(?:[ \-]|%20|\+)[0-9]{4}(?:[ \-]|%20|\+)[0-9]{4}\b`)

// Mask replaces what nobody meant to send to a report: e-mail addresses,
// telephone numbers, long runs of digits, tokens (reset links, session ids,
// JSON web tokens) and whatever the site's own patterns find. It returns how
// many it replaced.
func (r *Rules) Mask(s string) (string, int) {
	suspect := scan(s)
	n := 0
	by := func(mark string) func(string) string {
		return func(string) string { n++; return mark }
	}
	if r != nil {
		for _, own := range r.mask {
			s = own.ReplaceAllStringFunc(s, by(maskedOwn))
		}
	}
	if suspect.email {
		s = emailPattern.ReplaceAllStringFunc(s, by(maskedEmail))
	}
	if suspect.phone {
		n += len(phonePattern.FindAllStringIndex(s, -1))
		s = phonePattern.ReplaceAllString(s, "${1}"+maskedPhone)
	}
	if suspect.card {
		s = cardPattern.ReplaceAllStringFunc(s, by(maskedNumber))
	}
	if suspect.number {
		s = maskNumbers(s, &n)
	}
	if suspect.token {
		s = maskTokens(s, &n)
	}
	return s, n
}

// suspicion is what a look at every byte once can tell.
type suspicion struct{ email, phone, card, number, token bool }

func scan(s string) (found suspicion) {
	run, digits, all := 0, 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if digit(c) {
			digits++
			all++
			found.number = found.number || digits >= numberRun
		} else {
			digits = 0
		}
		switch {
		case letter(c), digit(c):
			if run++; run >= tokenRun {
				found.token = true
			}
			continue
		case c == '@', c == '%' && strings.HasPrefix(s[i:], "%40"):
			found.email = true
		case c == '+', c == '%' && len(s) > i+2 && s[i+1] == '2' && s[i+2]|0x20 == 'b':
			found.phone = true
		}
		run = 0
	}
	found.card = all >= 16
	found.phone = found.phone && all >= 8
	return found
}

// maskNumbers replaces each run of at least numberRun digits that is a word of
// its own: within letters it is part of a token, or of a name.
func maskNumbers(s string, n *int) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && digit(s[j]) {
			j++
		}
		switch {
		case j-i >= numberRun && (i == 0 || !letter(s[i-1])) && (j == len(s) || !letter(s[j])):
			out.WriteString(maskedNumber)
			*n++
		case j == i:
			out.WriteByte(s[i])
			j++
		default:
			out.WriteString(s[i:j])
		}
		i = j
	}
	return out.String()
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
