package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"sluice/collector/jsonreader"
)

// unparsed opens every message about a body that could not be read.
const unparsed = "Unable to parse Measurement Protocol JSON payload. "

// maxDepth is the recursion limit of the protocol buffer readers.
const maxDepth = 100

type kind uint8

const (
	absent kind = iota
	null
	boolean
	number
	text
	list
	object
)

// value is a JSON value that keeps what encoding/json forgets: the order of
// keys, repeated keys, and how a number was written.
type value struct {
	kind   kind
	raw    string // of text, number, boolean
	items  []value
	fields []field
}

type field struct {
	name  string // snake_case once the shape has been checked
	spelt string // as the body has it
	value
}

func (v value) field(name string) value {
	for _, f := range v.fields {
		if f.name == name {
			return f.value
		}
	}
	return value{}
}

// text returns the string under name, empty where there is none.
func (v value) text(name string) string {
	if f := v.field(name); f.kind == text {
		return f.raw
	}
	return ""
}

func (v value) list(name string) []value { return v.field(name).items }

// micros reads a time in Unix microseconds, written as a number or a string of
// digits as protocol buffers allow.
func (v value) micros(name string) (time.Time, bool) {
	n, err := strconv.ParseInt(v.field(name).raw, 10, 64)
	return time.UnixMicro(n), err == nil
}

func length(s string) int { return utf8.RuneCountInString(s) }

// parsed is what could be read of a body.
type parsed struct {
	root  value
	twice []string // the paths of keys that appear twice
	err   error    // why the body is none
}

// parse reads one JSON value.
func parse(body []byte) parsed {
	if !utf8.Valid(body) {
		return parsed{err: errors.New("body is not valid UTF-8")}
	}
	p := parser{Reader: jsonreader.New(string(body))}
	v := p.value("", 0)
	p.End()
	switch {
	case p.Failed():
		return parsed{err: syntaxError(body)}
	case p.deep:
		return parsed{err: errors.New("message too deep")}
	case v.kind != object:
		return parsed{err: errors.New("root element must be a message")}
	}
	return parsed{root: v, twice: p.twice}
}

// syntaxError says in the words of encoding/json what is wrong with a body.
func syntaxError(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(new(json.RawMessage)); err != nil {
		return fmt.Errorf("unexpected token: %w", err)
	}
	return errors.New("expected one JSON value")
}

type parser struct {
	jsonreader.Reader
	twice []string
	deep  bool // more levels than are read
}

func (p *parser) value(path string, depth int) (v value) {
	if p.deep = p.deep || depth > maxDepth; p.deep {
		p.Skip()
		return value{}
	}
	switch p.Next() {
	case '{':
		return p.object(path, depth)
	case '[':
		v.kind = list
		p.Array(func() {
			v.items = append(v.items, p.value(fmt.Sprintf("%s[%d]", path, len(v.items)), depth+1))
		})
		return v
	case '"':
		return value{kind: text, raw: p.Text()}
	case 't', 'f':
		return value{kind: boolean, raw: p.Skip()}
	case 'n':
		p.Skip()
		return value{kind: null}
	}
	return value{kind: number, raw: p.Skip()}
}

func (p *parser) object(path string, depth int) value {
	v := value{kind: object}
	p.Object(func(name string) {
		at := join(path, name)
		if slices.ContainsFunc(v.fields, func(f field) bool { return f.name == name }) {
			p.twice = append(p.twice, at)
		}
		v.fields = append(v.fields, field{name: name, spelt: name, value: p.value(at, depth+1)})
	})
	return v
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
