package judge

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// shape says what the protocol allows at one place. Keys are written in
// snake_case; lowerCamelCase is taken for the same, as protocol buffers do.
type shape struct {
	kinds []kind
	keys  map[string]*shape // of an object with fixed keys
	each  *shape            // of a list's items, or of the values of an object with free keys
	words []string          // allowed texts; none: any
	rule  int               // the rule that a wrong value breaks; 0: rule 5
}

// fault is what check found.
type fault struct {
	rule  int
	path  string
	text  string
	twice bool // a key that is there in both spellings
}

var (
	aText    = &shape{kinds: []kind{text}}
	aBool    = &shape{kinds: []kind{boolean}}
	anInt    = &shape{kinds: []kind{number, text}}
	anything = &shape{}
	aWord    = &shape{kinds: []kind{text}, words: []string{"GRANTED", "DENIED"}, rule: 20}
)

func message(keys map[string]*shape) *shape { return &shape{kinds: []kind{object}, keys: keys} }
func repeated(s *shape) *shape              { return &shape{kinds: []kind{list}, each: s} }
func named(s *shape) *shape                 { return &shape{kinds: []kind{object}, each: s} }

func texts(names ...string) *shape {
	keys := map[string]*shape{}
	for _, n := range names {
		keys[n] = aText
	}
	return message(keys)
}

// rootShape is the body of a request for a web stream.
var rootShape = message(map[string]*shape{
	"client_id": aText, "user_id": aText, "timestamp_micros": anInt,
	"user_properties":      named(message(map[string]*shape{"value": anything, "timestamp_micros": anInt})),
	"user_data":            anything,
	"consent":              message(map[string]*shape{"ad_user_data": aWord, "ad_personalization": aWord}),
	"non_personalized_ads": aBool,
	"user_location":        texts("city", "region_id", "country_id", "subcontinent_id", "continent_id"),
	"ip_override":          aText,
	"device": texts("category", "language", "screen_resolution", "operating_system",
		"operating_system_version", "model", "brand", "browser", "browser_version"),
	"user_agent":          aText,
	"validation_behavior": {kinds: []kind{text}, words: []string{"RELAXED", "ENFORCE_RECOMMENDATIONS"}},
	"events": repeated(message(map[string]*shape{
		"name": aText, "timestamp_micros": anInt, "params": {kinds: []kind{object}},
	})),
})

// check returns what does not fit, and renames known keys to snake_case.
func (s *shape) check(v *value) []fault { return s.at(newPath(), v) }

func (s *shape) at(p path, v *value) []fault {
	if s.kinds != nil && !slices.Contains(s.kinds, v.kind) || s.words != nil && !slices.Contains(s.words, v.raw) {
		return []fault{{rule: max(s.rule, 5), path: p.String(), text: p.String() + ": invalid value."}}
	}
	if s.kinds != nil && v.kind == text && slices.Contains(s.kinds, number) {
		if _, err := strconv.ParseInt(v.raw, 10, 64); err != nil {
			return []fault{{rule: 5, path: p.String(), text: p.String() + ": invalid value."}}
		}
	}
	var out []fault
	for i := range v.parts {
		f := &v.parts[i]
		switch {
		case s.each != nil && v.kind == list:
			out = append(out, s.each.at(p.at(i), &f.value)...)
		case s.each != nil:
			out = append(out, s.each.at(p.field(f.name), &f.value)...)
		case s.keys != nil:
			out = append(out, s.key(p, v.parts[:i], f)...)
		}
	}
	return out
}

// key checks one field of an object with fixed keys; before are the fields in
// front of it.
func (s *shape) key(p path, before []field, f *field) []fault {
	name := f.name
	if _, known := s.keys[name]; !known {
		name = snake(f.name)
	}
	under, known := s.keys[name]
	if !known {
		where, here := "", p.field(f.name)
		if len(p) > 0 {
			where = "(" + p.String() + ") "
		}
		return []fault{{rule: 5, path: here.String(), text: fmt.Sprintf("%s%s: Cannot find field.", where, f.name)}}
	}
	f.name = name
	here := p.field(name)
	for _, b := range before {
		if b.name == name && b.spelt != f.spelt {
			return []fault{{rule: 21, path: here.String(), twice: true, text: fmt.Sprintf("Key [%s] appears more than once.", here.String())}}
		}
	}
	return under.at(here, &f.value)
}

var upper = regexp.MustCompile(`[A-Z]`)

func snake(camel string) string {
	if strings.IndexFunc(camel, unicode.IsUpper) < 0 {
		return camel
	}
	return upper.ReplaceAllStringFunc(camel, func(c string) string { return "_" + strings.ToLower(c) })
}
