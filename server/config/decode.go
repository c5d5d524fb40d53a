package config

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// place is where the file names a value.
type place struct{ line, column int }

// decoder fills a struct from a syntax tree and goes on after each problem.
type decoder struct {
	dir      string // *_file paths are relative to it
	env      func(string) (string, bool)
	anchors  map[string]ast.Node
	places   map[string]place
	problems []Problem
}

// decode parses data into root, which holds the defaults.
func (d *decoder) decode(data []byte, root any) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.problems = append(d.problems, syntaxProblem(err))
		return
	}
	if len(file.Docs) > 1 && file.Docs[1].Body != nil {
		d.add(file.Docs[1].Body, "", "a second document starts here; keep one, without ---")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return
	}
	d.anchors = anchorsOf(file.Docs[0].Body)
	d.value(file.Docs[0].Body, reflect.ValueOf(root).Elem(), "")
}

// syntaxProblem takes the place out of the parser's error.
func syntaxProblem(err error) Problem {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return Problem{Text: err.Error()}
	}
	p := at.GetToken().Position
	return Problem{Line: p.Line, Column: p.Column, Text: at.GetMessage()}
}

// anchors collects &name nodes, so that *name can be resolved.
type anchors map[string]ast.Node

func anchorsOf(body ast.Node) map[string]ast.Node {
	found := anchors{}
	ast.Walk(found, body)
	return found
}

// Visit implements [ast.Visitor].
func (a anchors) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		a[anchor.Name.GetToken().Value] = anchor.Value
	}
	return a
}

func (d *decoder) add(n ast.Node, path, format string, args ...any) {
	p := Problem{Path: path, Text: fmt.Sprintf(format, args...)}
	if t := n.GetToken(); t != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	d.problems = append(d.problems, p)
}

// value decodes n into v. A null leaves the default.
func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	n, ok := d.resolve(n, path, 0)
	if !ok {
		return
	}
	if t := n.GetToken(); t != nil {
		if _, known := d.places[path]; !known {
			d.places[path] = place{t.Position.Line, t.Position.Column}
		}
	}
	if n.Type() == ast.NullType {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	_, text := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case text:
		d.scalar(n, v, path)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, path)
	case v.Kind() == reflect.Map:
		d.table(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// resolve follows anchors, aliases and tags to the value itself. Aliases nest
// at most 8 deep, which also ends one that refers to itself.
func (d *decoder) resolve(n ast.Node, path string, depth int) (ast.Node, bool) {
	switch x := n.(type) {
	case *ast.AnchorNode:
		return d.resolve(x.Value, path, depth)
	case *ast.TagNode:
		return d.resolve(x.Value, path, depth)
	case *ast.AliasNode:
		name := x.Value.GetToken().Value
		to, ok := d.anchors[name]
		if !ok || depth > 8 {
			d.add(n, path, "no anchor is called %q", name)
			return nil, false
		}
		return d.resolve(to, path, depth+1)
	}
	return n, true
}

// entries returns the pairs of a mapping node, which the parser writes in two
// shapes.
func (d *decoder) entries(n ast.Node, path string) []*ast.MappingValueNode {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}
	}
	d.add(n, path, "expected keys and values here, found %s", describe(n))
	return nil
}

func (d *decoder) structure(n ast.Node, v reflect.Value, path string) {
	if site, ok := v.Addr().Interface().(*Site); ok {
		*site = defaultSite()
	}
	fields := fieldsOf(v.Type())
	for _, kv := range d.entries(n, path) {
		key := keyOf(kv)
		at := join(path, key)
		d.places[at] = place{kv.Key.GetToken().Position.Line, kv.Key.GetToken().Position.Column}
		if i, ok := fields[key]; ok {
			d.value(kv.Value, v.Field(i), at)
			continue
		}
		if i, ok := secretFile(fields, v.Type(), key); ok {
			d.fromFile(kv.Value, v.Field(i), at)
			continue
		}
		d.add(kv.Key, at, "unknown key%s", suggest(key, fields))
	}
}

func (d *decoder) table(n ast.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, kv := range d.entries(n, path) {
		key := keyOf(kv)
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(kv.Value, item, join(path, key))
		v.SetMapIndex(reflect.ValueOf(key), item)
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.add(n, path, "expected a list here, found %s; write [a, b] or lines that begin with -", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, item := range seq.Values {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	raw, ok := textOf(n)
	if !ok {
		d.add(n, path, "expected one value here, found %s; a value that holds a colon needs quotes", describe(n))
		return
	}
	text, err := expand(raw, d.env)
	if err == nil {
		err = set(v, text)
	}
	if err != nil {
		d.add(n, path, "%v", err)
	}
}

// fromFile sets a secret, or a list of secrets (one a line), from the file
// that n names.
func (d *decoder) fromFile(n ast.Node, v reflect.Value, path string) {
	var name string
	before := len(d.problems)
	d.value(n, reflect.ValueOf(&name).Elem(), path)
	if len(d.problems) > before || name == "" {
		return
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(d.dir, name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		d.add(n, path, "cannot be read: %v", err)
		return
	}
	lines := strings.Fields(string(data))
	if len(lines) == 0 {
		d.add(n, path, "%s is empty", name)
		return
	}
	if v.Kind() == reflect.Slice {
		secrets := make([]Secret, len(lines))
		for i, line := range lines {
			secrets[i] = Secret(line)
		}
		v.Set(reflect.ValueOf(secrets))
		return
	}
	v.SetString(strings.TrimSpace(string(data)))
}

// set parses text into v.
func set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(i))
	default:
		return fmt.Errorf("a %s cannot be configured", v.Type())
	}
	return nil
}

var reference = regexp.MustCompile(`\$\$?\{[^}]*\}`)

// expand replaces ${NAME} by an environment variable; $${ stands for ${.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var missing []string
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref[1:]
		}
		name := ref[2 : len(ref)-1]
		value, ok := env(name)
		if !ok {
			missing = append(missing, name)
		}
		return value
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("the environment variable %s is not set", strings.Join(missing, ", "))
	}
	return out, nil
}

// textOf returns a scalar as it is written, without quotes.
func textOf(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		return x.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func keyOf(kv *ast.MappingValueNode) string {
	if s, ok := textOf(kv.Key); ok {
		return s
	}
	return kv.Key.GetToken().Value
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// fieldsOf maps the keys of a struct to its fields.
func fieldsOf(t reflect.Type) map[string]int {
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" {
			fields[key] = i
		}
	}
	return fields
}

// secretFile finds the secret that key, which ends in _file, stands for.
func secretFile(fields map[string]int, t reflect.Type, key string) (int, bool) {
	base, ok := strings.CutSuffix(key, "_file")
	if !ok {
		return 0, false
	}
	i, ok := fields[base]
	if !ok {
		return 0, false
	}
	switch t.Field(i).Type {
	case reflect.TypeFor[Secret](), reflect.TypeFor[[]Secret]():
		return i, true
	}
	return 0, false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
