// Package jsonreader reads JSON in one pass and in the order of the text.
package jsonreader

import (
	"encoding/json"
	"strconv"
)

// Reader reads one JSON text in one pass, calling back for each member.
// encoding/json would go over events four times: to find their end, to
// validate each, to decode it, and to validate the whole before; it stops at
// the first wrong type, where one bad field must cost one event; and it forgets
// the order of keys and how a number was written.
//
// It accepts exactly what encoding/json accepts (FuzzReader holds it to that)
// except for bytes that are not UTF-8, which pass. After a syntax error every
// call is at the end of the text. Strings without escapes share the text.
type Reader struct {
	s      string
	i      int
	depth  int
	failed bool
	at     int // where it failed
}

// New returns a reader at the beginning of a text.
func New(text string) Reader { return Reader{s: text} }

// Failed reports whether the text is not JSON.
func (r *Reader) Failed() bool { return r.failed }

// Offset is the byte at which the reader is, or failed.
func (r *Reader) Offset() int {
	if r.failed {
		return r.at
	}
	return r.i
}

// maxDepth is that of encoding/json.
const maxDepth = 10000

// Next skips white space and returns the byte that the next token starts with;
// 0 at the end.
func (r *Reader) Next() byte {
	for r.i < len(r.s) {
		switch c := r.s[r.i]; c {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return c
		}
	}
	return 0
}

func (r *Reader) fail() {
	if !r.failed {
		r.at = r.i
	}
	r.failed, r.i = true, len(r.s)
}

// End fails where something stands behind the value.
func (r *Reader) End() {
	if r.Next() != 0 || r.i < len(r.s) {
		r.fail()
	}
}

// take consumes c, which must be next.
func (r *Reader) take(c byte) bool {
	if r.Next() != c || r.i >= len(r.s) {
		r.fail()
		return false
	}
	r.i++
	return true
}

// Object reads an object; member must read exactly the value of each key.
func (r *Reader) Object(member func(key string)) {
	r.list('{', '}', func() {
		key := r.Text()
		if r.take(':') {
			member(key)
		}
	})
}

// Array reads an array; element must read exactly one value.
func (r *Reader) Array(element func()) { r.list('[', ']', element) }

func (r *Reader) list(open, shut byte, item func()) {
	if r.depth++; r.depth > maxDepth {
		r.fail()
	}
	if r.take(open) && r.Next() == shut {
		r.i++
	} else {
		for !r.failed {
			item()
			if r.Next() == ',' {
				r.i++
				continue
			}
			r.take(shut)
			break
		}
	}
	r.depth--
}

// Text reads a string.
func (r *Reader) Text() string {
	if !r.take('"') {
		return ""
	}
	start, plain := r.i, true
	for ; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; {
		case c == '"':
			raw := r.s[start:r.i]
			r.i++
			if !plain {
				return r.unquote(r.s[start-1 : r.i])
			}
			return raw
		case c == '\\':
			plain = false
			r.i++
		case c < ' ':
			r.fail()
			return ""
		}
	}
	r.fail()
	return ""
}

// unquote reads a string with escapes.
func (r *Reader) unquote(quoted string) (s string) {
	if json.Unmarshal([]byte(quoted), &s) != nil {
		r.fail()
	}
	return s
}

// Number reads a number; ok is false for one that no float64 holds.
func (r *Reader) Number() (v float64, ok bool) {
	r.Next()
	start := r.i
	r.accept('-')
	if !r.accept('0') {
		r.digits()
	}
	if r.accept('.') {
		r.digits()
	}
	if r.accept('e') || r.accept('E') {
		if !r.accept('+') {
			r.accept('-')
		}
		r.digits()
	}
	if r.failed {
		return 0, false
	}
	v, err := strconv.ParseFloat(r.s[start:r.i], 64)
	return v, err == nil
}

func (r *Reader) accept(c byte) bool {
	if r.i < len(r.s) && r.s[r.i] == c {
		r.i++
		return true
	}
	return false
}

// digits reads at least one.
func (r *Reader) digits() {
	start := r.i
	for r.i < len(r.s) && r.s[r.i] >= '0' && r.s[r.i] <= '9' {
		r.i++
	}
	if r.i == start {
		r.fail()
	}
}

// word reads true, false or null.
func (r *Reader) word(w string) {
	if len(r.s)-r.i < len(w) || r.s[r.i:r.i+len(w)] != w {
		r.fail()
		return
	}
	r.i += len(w)
}

// Skip reads any value and returns its text.
func (r *Reader) Skip() string {
	kind := r.Next()
	start := r.i
	switch kind {
	case '{':
		r.Object(func(string) { r.Skip() })
	case '[':
		r.Array(func() { r.Skip() })
	case '"':
		r.Text()
	case 't':
		r.word("true")
	case 'f':
		r.word("false")
	case 'n':
		r.word("null")
	default:
		r.Number()
	}
	if r.failed {
		return ""
	}
	return r.s[start:r.i]
}

// Is reports whether the next value starts as a value of the kind does: '"',
// '{', '[' or '0' for a number. A null is read and is nothing; a value of
// another kind is read and is wrong.
func (r *Reader) Is(kind byte, wrong *bool) bool {
	switch c := r.Next(); {
	case c == kind, kind == '0' && (c == '-' || c >= '0' && c <= '9'):
		return true
	case c == 'n':
		r.word("null")
	default:
		r.Skip()
		*wrong = true
	}
	return false
}

// TextInto reads a string or null into s; anything else is wrong.
func (r *Reader) TextInto(s *string, wrong *bool) {
	if r.Is('"', wrong) {
		*s = r.Text()
	}
}

// Optional is a number that may be missing.
type Optional struct {
	Value float64
	Set   bool
}

// NumberInto reads a number or null into n; anything else is wrong.
func (r *Reader) NumberInto(n *Optional, wrong *bool) {
	if r.Is('0', wrong) {
		v, ok := r.Number()
		n.Value, n.Set = v, true
		*wrong = *wrong || !ok
	}
}
