package jsonreader

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// readAny reads a value as encoding/json reads it into an any.
func readAny(r *Reader, tooBig *bool) any {
	switch r.Next() {
	case '{':
		out := map[string]any{}
		r.Object(func(key string) { out[key] = readAny(r, tooBig) })
		return out
	case '[':
		out := []any{}
		r.Array(func() { out = append(out, readAny(r, tooBig)) })
		return out
	case '"':
		return r.Text()
	case 't', 'f', 'n':
		return map[string]any{"true": true, "false": false}[r.Skip()]
	}
	v, ok := r.Number()
	*tooBig = *tooBig || !ok
	return v
}

var jsonTexts = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `1.5e-3`, `1E+2`, `""`, `"a\u00e4\ud83d\ude00\n"`, ` { "a" : [ 1 , { "b" : null } ] , "a":2} `,
	``, ` `, `{`, `}`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `'a'`, `01`, `1.`, `.5`, `1e`, `+1`, `-`, `--1`, `nul`, `nulll`, `truefalse`,
	`"`, `"\`, `"\x"`, `"\u12"`, "\"\n\"", "\"\x00\"", "\x00", "{}\x00", `{} {}`, `[1 2]`, `1e999`, `NaN`, "\"\xff\"", `"\ud800"`,
	strings.Repeat("[", 10000) + strings.Repeat("]", 10000), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
}

func agree(t *testing.T, text string) {
	t.Helper()
	r, tooBig := New(text), false
	got := readAny(&r, &tooBig)
	r.End()
	if want := json.Valid([]byte(text)); r.failed == want {
		t.Fatalf("%.100q: taken %v, encoding/json %v", text, !r.failed, want)
	}
	s := New(text)
	whole := s.Skip()
	if s.End(); s.failed != r.failed {
		t.Fatalf("%.100q: read %v, skipped %v", text, !r.failed, !s.failed)
	}
	if r.failed {
		return
	}
	if whole != strings.Trim(text, " \t\r\n") {
		t.Errorf("%.100q: skipped %q", text, whole)
	}
	var want any
	if err := json.Unmarshal([]byte(text), &want); (err != nil) != tooBig {
		t.Errorf("%.100q: a number too big %v, encoding/json: %v", text, tooBig, err)
	}
	if tooBig || !utf8.ValidString(text) {
		return
	}
	if !reflect.DeepEqual(got, want) { // cmp takes minutes for ten thousand levels
		t.Errorf("%.100q: read as %.500v, encoding/json: %.500v", text, got, want)
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	for _, text := range jsonTexts {
		agree(t, text)
	}
}

// FuzzReader holds the reader to what encoding/json accepts and reads.
func FuzzReader(f *testing.F) {
	for _, text := range jsonTexts {
		if len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Fuzz(agree)
}
