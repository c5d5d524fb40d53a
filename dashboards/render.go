package dashboards

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"sluice/dashboards/query"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pageHeaders go with every page. Nothing runs or is drawn that is not of this
// origin, and no other page may hold this one.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	"Cache-Control":          "private, no-store",
	"Referrer-Policy":        "same-origin",
	"X-Content-Type-Options": "nosniff",
	"X-Frame-Options":        "DENY", // for browsers without frame-ancestors
}

// chrome is what every page has.
type chrome struct {
	Title string
	User  string // e-mail address of who is logged in, "" on the login page
}

type sitesPage struct {
	chrome
	Sites []Summary
}

type sitePage struct {
	chrome
	Report
}

type loginPage struct {
	chrome
	Login
}

type problemPage struct {
	chrome
	Problem Problem
}

// pages are the parsed templates: each page with the frame around it.
type pages struct{ byName map[string]*template.Template }

func newPages(asset func(string) string) (*pages, error) {
	if asset == nil {
		asset = func(string) string { return "" }
	}
	functions := template.FuncMap{
		"asset":   asset,
		"width":   func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) + "%" },
		"periods": func() any { return periods },
		"chips":   chips,
		"pick":    pick,
		"alone":   func(v View) View { v.Panel = ""; return v },
		"credit":  credited,
		"testing": func(v View) View { v.Test = !v.Test; return v },
	}
	p := &pages{byName: map[string]*template.Template{}}
	for _, name := range []string{"sites", "site", "login", "google", "problem"} {
		t, err := template.New("frame.html").Funcs(functions).ParseFS(templateFiles, "templates/frame.html", "templates/panels.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		p.byName[name] = t
	}
	return p, nil
}

// execute returns the whole page, so that an error leaves no half of one.
func (p *pages) execute(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := p.byName[name].Execute(&b, data); err != nil {
		return nil, fmt.Errorf("render page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// pick returns the view of another named period.
func pick(v View, period string) View {
	v.Period = period
	return v
}

// credited returns the view with the other attribution.
func credited(v View) View {
	if v.LastSource() {
		v.Attribution = query.VisitSource
	} else {
		v.Attribution = query.LastNonDirect
	}
	return v
}

// Chip is a filter in effect.
type Chip struct {
	Words string
	Path  string // address of the view without it
}

var operatorWords = map[string]string{
	"is": "is", "is_not": "is not", "contains": "contains", "contains_not": "does not contain",
	"matches": "matches", "matches_not": "does not match",
}

func chips(v View) []Chip {
	out := make([]Chip, len(v.Filters))
	for i, c := range v.Filters {
		out[i] = Chip{Words: c.words(), Path: v.Without(i).Path()}
	}
	return out
}

// words says a condition as people do: "Country is Germany". Of several panels
// with one dimension the first names it: a file is a link too, not every link a
// file.
func (c Condition) words() string {
	subject, value := sentence(afterColon(c.Dimension)), c.Value
	if name, own := strings.CutPrefix(c.Dimension, "event:props:"); own {
		subject = "Property " + visible(name)
	}
	if i := slices.IndexFunc(panels, func(p panel) bool { return p.dimension == c.Dimension }); i >= 0 {
		p := panels[i]
		if subject = p.column; p.key == "entries" || p.key == "exits" {
			subject = strings.TrimSuffix(p.title, "s")
		}
		if p.label != nil && c.readable() {
			value = p.label(value)
		}
	}
	return subject + " " + operatorWords[c.Op] + " " + visible(value)
}

// readable reports whether the value may be written as people read it: a whole
// one, or a part of a page's path. A pattern stays as it was written.
func (c Condition) readable() bool {
	switch c.Op {
	case "is", "is_not":
		return c.Value != c.filter.Dimension.Unset
	case "contains", "contains_not":
		return strings.HasSuffix(c.Dimension, "page")
	}
	return false
}

func afterColon(name string) string {
	_, rest, _ := strings.Cut(name, ":")
	return rest
}
