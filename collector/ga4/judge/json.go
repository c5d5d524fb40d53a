package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
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
	p := &parser{Decoder: json.NewDecoder(bytes.NewReader(body))}
	p.UseNumber()
	v, err := p.value("", 0)
	if err != nil {
		return parsed{err: err}
	}
	if _, err = p.Token(); !errors.Is(err, io.EOF) {
		return parsed{err: errors.New("expected one JSON value")}
	}
	if v.kind != object {
		return parsed{err: errors.New("root element must be a message")}
	}
	return parsed{root: v, twice: p.twice}
}

type parser struct {
	*json.Decoder
	twice []string
}

func (p *parser) value(path string, depth int) (value, error) {
	if depth > maxDepth {
		return value{}, errors.New("message too deep")
	}
	t, err := p.Token()
	if err != nil {
		return value{}, fmt.Errorf("unexpected token: %w", err)
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return p.array(path, depth)
		}
		return p.object(path, depth)
	case string:
		return value{kind: text, raw: t}, nil
	case json.Number:
		return value{kind: number, raw: t.String()}, nil
	case bool:
		return value{kind: boolean, raw: strconv.FormatBool(t)}, nil
	}
	return value{kind: null}, nil
}

func (p *parser) array(path string, depth int) (value, error) {
	v := value{kind: list}
	for p.More() {
		item, err := p.value(fmt.Sprintf("%s[%d]", path, len(v.items)), depth+1)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, item)
	}
	return v, p.end()
}

func (p *parser) object(path string, depth int) (value, error) {
	v := value{kind: object}
	for p.More() {
		t, err := p.Token()
		if err != nil {
			return value{}, fmt.Errorf("unexpected token: %w", err)
		}
		name, _ := t.(string) // the decoder admits nothing else here
		at := join(path, name)
		if slices.ContainsFunc(v.fields, func(f field) bool { return f.name == name }) {
			p.twice = append(p.twice, at)
		}
		item, err := p.value(at, depth+1)
		if err != nil {
			return value{}, err
		}
		v.fields = append(v.fields, field{name: name, spelt: name, value: item})
	}
	return v, p.end()
}

// end reads the closing bracket.
func (p *parser) end() error {
	if _, err := p.Token(); err != nil {
		return fmt.Errorf("unexpected token: %w", err)
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
