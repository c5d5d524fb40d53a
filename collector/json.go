package collector

import (
	"encoding/json"
	"strconv"
)

// jsonReader reads one JSON text in one pass, calling back for each member.
// encoding/json would go over the events four times: to find their end, to
// validate each, to decode it, and to validate the whole before; and it stops
// at the first wrong type, where here one bad field must cost one event.
//
// It accepts exactly what encoding/json accepts (FuzzJSONReader holds it to
// that) except for bytes that are not UTF-8, which pass here and are repaired
// by [enrich.Clean]. After a syntax error failed is set, and every call is at
// the end of the text. Strings without escapes share s.
type jsonReader struct {
	s      string
	i      int
	depth  int
	failed bool
}

// maxDepth is that of encoding/json.
const maxDepth = 10000

// next skips white space and returns the byte that the next token starts with;
// 0 at the end.
func (r *jsonReader) next() byte {
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

func (r *jsonReader) fail() { r.failed, r.i = true, len(r.s) }

// end fails where something stands behind the value.
func (r *jsonReader) end() {
	if r.next() != 0 || r.i < len(r.s) {
		r.fail()
	}
}

// take consumes c, which must be next.
func (r *jsonReader) take(c byte) bool {
	if r.next() != c || r.i >= len(r.s) {
		r.fail()
		return false
	}
	r.i++
	return true
}

// object reads an object; member must read exactly the value of each key.
func (r *jsonReader) object(member func(key string)) {
	r.list('{', '}', func() {
		key := r.text()
		if r.take(':') {
			member(key)
		}
	})
}

// array reads an array; element must read exactly one value.
func (r *jsonReader) array(element func()) { r.list('[', ']', element) }

func (r *jsonReader) list(open, shut byte, item func()) {
	if r.depth++; r.depth > maxDepth {
		r.fail()
	}
	if r.take(open) && r.next() == shut {
		r.i++
	} else {
		for !r.failed {
			item()
			if r.next() == ',' {
				r.i++
				continue
			}
			r.take(shut)
			break
		}
	}
	r.depth--
}

// text reads a string.
func (r *jsonReader) text() string {
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
func (r *jsonReader) unquote(quoted string) (s string) {
	if json.Unmarshal([]byte(quoted), &s) != nil {
		r.fail()
	}
	return s
}

// number reads a number; ok is false for one that no float64 holds.
func (r *jsonReader) number() (v float64, ok bool) {
	r.next()
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

func (r *jsonReader) accept(c byte) bool {
	if r.i < len(r.s) && r.s[r.i] == c {
		r.i++
		return true
	}
	return false
}

// digits reads at least one.
func (r *jsonReader) digits() {
	start := r.i
	for r.i < len(r.s) && r.s[r.i] >= '0' && r.s[r.i] <= '9' {
		r.i++
	}
	if r.i == start {
		r.fail()
	}
}

// word reads true, false or null.
func (r *jsonReader) word(w string) {
	if len(r.s)-r.i < len(w) || r.s[r.i:r.i+len(w)] != w {
		r.fail()
		return
	}
	r.i += len(w)
}

// skip reads any value and returns its text.
func (r *jsonReader) skip() string {
	kind := r.next()
	start := r.i
	switch kind {
	case '{':
		r.object(func(string) { r.skip() })
	case '[':
		r.array(func() { r.skip() })
	case '"':
		r.text()
	case 't':
		r.word("true")
	case 'f':
		r.word("false")
	case 'n':
		r.word("null")
	default:
		r.number()
	}
	if r.failed {
		return ""
	}
	return r.s[start:r.i]
}

// is reports whether the next value starts as a value of the kind does: '"',
// '{', '[' or '0' for a number. A null is read and is nothing; a value of
// another kind is read and is wrong.
func (r *jsonReader) is(kind byte, wrong *bool) bool {
	switch c := r.next(); {
	case c == kind, kind == '0' && (c == '-' || c >= '0' && c <= '9'):
		return true
	case c == 'n':
		r.word("null")
	default:
		r.skip()
		*wrong = true
	}
	return false
}

// textInto reads a string or null into s; anything else is wrong.
func (r *jsonReader) textInto(s *string, wrong *bool) {
	if r.is('"', wrong) {
		*s = r.text()
	}
}

// optional is a number that may be missing.
type optional struct {
	value float64
	set   bool
}

// numberInto reads a number or null into n; anything else is wrong.
func (r *jsonReader) numberInto(n *optional, wrong *bool) {
	if r.is('0', wrong) {
		v, ok := r.number()
		n.value, n.set = v, true
		*wrong = *wrong || !ok
	}
}
