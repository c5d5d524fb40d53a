package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
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
	kind  kind
	raw   string  // of text, number, boolean
	parts []field // of an object; of a list, without names
}

type field struct {
	name  string // snake_case once the shape has been checked
	spelt string // as the body has it
	value
}

func (v *value) items() []field  { return v.partsOf(list) }
func (v *value) fields() []field { return v.partsOf(object) }

func (v *value) partsOf(k kind) []field {
	if v.kind != k {
		return nil
	}
	return v.parts
}

// field is what stands under name in an object; absent where nothing does.
func (v *value) field(name string) *value {
	for i := range v.fields() {
		if v.parts[i].name == name {
			return &v.parts[i].value
		}
	}
	return new(value)
}

// text returns the string under name, empty where there is none.
func (v *value) text(name string) string {
	if f := v.field(name); f.kind == text {
		return f.raw
	}
	return ""
}

func (v *value) list(name string) []field { return v.field(name).items() }

// micros reads a time in Unix microseconds, written as a number or a string of
// digits as protocol buffers allow.
func (v *value) micros(name string) (time.Time, bool) {
	at := v.field(name)
	if at.raw == "" {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(at.raw, 10, 64)
	return time.UnixMicro(n), err == nil
}

func length(s string) int { return utf8.RuneCountInString(s) }

// parsed is what could be read of a body.
type parsed struct {
	root  value
	twice []string // the paths of keys that appear twice
	err   error    // why the body is none
}

// memory is where the parts of a body are while it is judged. A verdict has
// nothing of it, so it serves one body after another.
type memory struct {
	open []field // of the objects and lists that are still being read
	done []field // of those that have been
}

var memories = sync.Pool{New: func() any { return new(memory) }}

// free gives the memory to the next body.
func (m *memory) free() {
	clear(m.done)
	m.done = m.done[:0]
	memories.Put(m)
}

// parse reads one JSON value into m.
func parse(body []byte, m *memory) parsed {
	if !utf8.Valid(body) {
		return parsed{err: errors.New("body is not valid UTF-8")}
	}
	p := parser{Reader: jsonreader.New(string(body)), memory: m}
	v := p.value(newPath(), 0)
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
	*memory
	twice []string
	deep  bool // more levels than are read
}

func (p *parser) value(at path, depth int) (v value) {
	if p.deep = p.deep || depth > maxDepth; p.deep {
		p.Skip()
		return value{}
	}
	switch p.Next() {
	case '{':
		return p.object(at, depth)
	case '[':
		first := len(p.open)
		p.Array(func() {
			item := p.value(at.at(len(p.open)-first), depth+1)
			p.open = append(p.open, field{value: item})
		})
		return p.whole(list, first)
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

func (p *parser) object(at path, depth int) value {
	first := len(p.open)
	p.Object(func(name string) {
		here := at.field(name)
		if slices.ContainsFunc(p.open[first:], func(f field) bool { return f.name == name }) {
			p.twice = append(p.twice, here.String())
		}
		member := p.value(here, depth+1)
		p.open = append(p.open, field{name: name, spelt: name, value: member})
	})
	return p.whole(object, first)
}

// whole is the value of which the last part has been read.
func (p *parser) whole(k kind, first int) value {
	start := len(p.done)
	p.done = append(p.done, p.open[first:]...)
	clear(p.open[first:])
	p.open = p.open[:first]
	return value{kind: k, parts: p.done[start:len(p.done):len(p.done)]}
}
