package consent

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Goal is what a site counts as a success: an event of a name, or a view of a
// page. Exactly one of Event and Path is set.
type Goal struct {
	Name  string
	Event string
	Path  string // exact, or everything before a "*" at the end
}

// Funnel is a way through a site.
type Funnel struct {
	Name  string
	Steps []Goal // in order; a step that is a path is called by it
}

// EscapePath writes a path as browsers send it, and so as events have it: what
// is not ASCII, and what no URL holds as it is, percent-encoded. What is encoded
// already stays.
func EscapePath(path string) string {
	const hex = "0123456789ABCDEF"
	var out []byte // nil: nothing had to be encoded so far
	for i := range len(path) {
		c := path[i]
		switch {
		case escapes(c):
			if out == nil {
				out = append(make([]byte, 0, len(path)+8), path[:i]...)
			}
			out = append(out, '%', hex[c>>4], hex[c&15])
		case out != nil:
			out = append(out, c)
		}
	}
	if out == nil {
		return path
	}
	return string(out)
}

// escapes reports whether a browser encodes a byte of a path
// (url.spec.whatwg.org, path percent-encode set, but for control characters,
// which are none of a page's).
func escapes(c byte) bool {
	switch c {
	case ' ', '"', '<', '>', '`', '{', '}':
		return true
	}
	return c >= utf8.RuneSelf
}

// encodedLetters are percent-encoded bytes beyond ASCII.
var encodedLetters = regexp.MustCompile(`(?:%[89A-Fa-f][0-9A-Fa-f])+`)

// ReadablePath writes the letters of a path as people read them, and leaves
// encoded what would be mistaken for something else: "/", "?", a space.
func ReadablePath(path string) string {
	return encodedLetters.ReplaceAllStringFunc(path, func(encoded string) string {
		plain, err := url.PathUnescape(encoded)
		if err != nil || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return encoded
		}
		return plain
	})
}
