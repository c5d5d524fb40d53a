package query

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sluice/consent"
)

// Filter keeps the rows that satisfy it. The zero value keeps all.
//
// As the operator of a combination Op is "and" or "or"; as that of a comparison
// it is one of the operators below, and the row has to agree with any of Values
// (with none of them, where the operator negates).
type Filter struct {
	Op    string
	Parts []Filter // of a combination

	Dimension Dimension // of a comparison
	Values    []string
	AnyCase   bool // letters are compared without regard to case
}

// operator is a comparison over COLUMN and one bound VALUE.
type operator struct {
	name, sql string
	negates   bool
}

var operators = []operator{
	{name: "is", sql: "COLUMN = VALUE"},
	{name: "is_not", sql: "COLUMN = VALUE", negates: true},
	{name: "contains", sql: "position(COLUMN, VALUE) > 0"},
	{name: "contains_not", sql: "position(COLUMN, VALUE) > 0", negates: true},
	{name: "matches", sql: "match(COLUMN, VALUE)"},
	{name: "matches_not", sql: "match(COLUMN, VALUE)", negates: true},
}

func findOperator(name string) (operator, bool) {
	i := slices.IndexFunc(operators, func(o operator) bool { return o.name == name })
	if i < 0 {
		return operator{}, false
	}
	return operators[i], true
}

// Bounds of a filter: what one person can mean, and what one query should cost.
const (
	maxFilters = 50 // comparisons and combinations in all
	maxDepth   = 8
	maxValues  = 200
	maxValue   = 2000 // characters, as long as a property's value may be
)

// Empty reports whether the filter keeps everything.
func (f Filter) Empty() bool { return f.Op == "" }

// sides lists the filters that all have to be true for f to be.
func (f Filter) sides() []Filter {
	if f.Op == "and" {
		return f.Parts
	}
	return []Filter{f}
}

func (f Filter) combines() bool { return f.Op == "and" || f.Op == "or" }

// not returns the filter that is true where f is not, by De Morgan's laws: it is
// the comparisons that negate, so that filters that mean the same are the same.
func (f Filter) not() Filter {
	if f.Empty() {
		return f
	}
	if !f.combines() {
		positive, negates := strings.CutSuffix(f.Op, "_not")
		if f.Op = positive; !negates {
			f.Op += "_not"
		}
		return f
	}
	parts := make([]Filter, len(f.Parts))
	for i, p := range f.Parts {
		parts[i] = p.not()
	}
	if f.Op == "or" {
		return All(parts...)
	}
	return Filter{Op: "or", Parts: parts}
}

// All returns the filter that is true where every one of filters is.
func All(filters ...Filter) Filter {
	var parts []Filter
	for _, f := range filters {
		switch {
		case f.Op == "and":
			parts = append(parts, f.Parts...)
		case !f.Empty():
			parts = append(parts, f)
		}
	}
	switch len(parts) {
	case 0:
		return Filter{}
	case 1:
		return parts[0]
	}
	return Filter{Op: "and", Parts: parts}
}

// Compare returns the comparison of a dimension with values. Errors:
// *consent.FieldError, about the field of that name.
func Compare(field, op, dimension string, values ...string) (Filter, error) {
	var bad consent.FieldError
	f := compare(&bad, field, op, dimension, values)
	return f, bad.OrNil()
}

func compare(bad *consent.FieldError, field, op, dimension string, values []string) Filter {
	o, ok := findOperator(op)
	if !ok {
		bad.Add(field, "%q is no operator: use and, or, not, %s", op, operatorNames())
		return Filter{}
	}
	d, ok := FindDimension(dimension)
	switch {
	case !ok:
		bad.Add(field, "%q is no dimension: use one of %s", dimension, strings.Join(DimensionNames(), ", "))
	case d.scope == ofTime:
		bad.Add(field, "%s cannot be filtered: set date_range instead", dimension)
	case d.goal && op != "is" && op != "is_not":
		bad.Add(field, "%s takes is and is_not alone", dimension)
	case len(values) == 0 || len(values) > maxValues:
		bad.Add(field, "has %d values: give 1 to %d", len(values), maxValues)
	}
	for _, v := range values {
		if utf8.RuneCountInString(v) > maxValue {
			bad.Add(field, "a value is longer than %d characters", maxValue)
		}
		if strings.HasPrefix(o.name, "matches") {
			if _, err := regexp.Compile(v); err != nil {
				bad.Add(field, "%q is no regular expression (RE2): %v", v, err)
			}
		}
	}
	return Filter{Op: op, Dimension: d, Values: values}
}

func operatorNames() string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = o.name
	}
	return strings.Join(names, ", ")
}

// within reports whether every comparison of f is about dimensions of s.
func (f Filter) within(s scope) bool {
	if !f.combines() {
		return f.Dimension.scope == s
	}
	return !slices.ContainsFunc(f.Parts, func(p Filter) bool { return !p.within(s) })
}

// touches reports whether a comparison of f is about a dimension of s.
func (f Filter) touches(s scope) bool {
	if f.Empty() {
		return false
	}
	if !f.combines() {
		return f.Dimension.scope == s
	}
	return slices.ContainsFunc(f.Parts, func(p Filter) bool { return p.touches(s) })
}

// dimensions lists those of all comparisons.
func (f Filter) dimensions() []Dimension {
	if f.Empty() {
		return nil
	}
	if !f.combines() {
		return []Dimension{f.Dimension}
	}
	var out []Dimension
	for _, p := range f.Parts {
		out = append(out, p.dimensions()...)
	}
	return out
}

// split returns two filters that are f together: the first is about events
// alone.
func (f Filter) split() (touching, rest Filter) {
	switch {
	case f.Empty():
		return Filter{}, Filter{}
	case f.within(ofEvent):
		return f, Filter{}
	case f.Op != "and":
		return Filter{}, f
	}
	var a, b []Filter
	for _, p := range f.Parts {
		if p.within(ofEvent) {
			a = append(a, p)
		} else {
			b = append(b, p)
		}
	}
	return All(a...), All(b...)
}

// ofVisits writes f as a condition on rows of visits. Where it is about events
// too, a visit counts if one of its events makes all of the query's filter true:
// said of each comparison apart, filters that mean the same would differ.
func (b *builder) ofVisits(f Filter) string {
	if f.within(ofVisit) {
		return b.here(f)
	}
	return b.occurs(All(b.touching, f))
}

// occurs is the condition that an event of the visit satisfies f.
func (b *builder) occurs(f Filter) string {
	return "session_id IN (" + statement("sessions_with", "conditions", "AND "+b.ofEvents(f)) + ")"
}

// ofEvents writes f as a condition on rows of events. Comparisons of visits that
// are joined share a look at the visits.
func (b *builder) ofEvents(f Filter) string {
	switch {
	case f.within(ofEvent):
		return b.here(f)
	case f.within(ofVisit):
		return fmt.Sprintf("session_id IN (SELECT session_id FROM (%s) WHERE %s)", b.visits(f.dimensions()), b.here(f))
	}
	var groups [2]Filter
	var out []string
	for _, p := range f.Parts {
		switch {
		case p.within(ofEvent):
			groups[ofEvent].Parts = append(groups[ofEvent].Parts, p)
		case p.within(ofVisit):
			groups[ofVisit].Parts = append(groups[ofVisit].Parts, p)
		default:
			out = append(out, b.ofEvents(p))
		}
	}
	for _, g := range groups {
		if g.Op = f.Op; len(g.Parts) > 0 {
			out = append(out, b.ofEvents(g))
		}
	}
	return "(" + strings.Join(out, " "+strings.ToUpper(f.Op)+" ") + ")"
}

// here writes f over columns that the rows at hand have.
func (b *builder) here(f Filter) string {
	if f.combines() {
		parts := make([]string, len(f.Parts))
		for i, p := range f.Parts {
			parts[i] = b.here(p)
		}
		return "(" + strings.Join(parts, " "+strings.ToUpper(f.Op)+" ") + ")"
	}
	o, _ := findOperator(f.Op)
	if f.Dimension.goal {
		if o.negates {
			return "NOT " + b.isGoal(f.Values)
		}
		return b.isGoal(f.Values)
	}
	column := b.column(f.Dimension)
	alternatives := make([]string, len(f.Values))
	for i, v := range f.Values {
		alternatives[i] = b.agrees(f, o, column, v)
	}
	out := "(" + strings.Join(alternatives, " OR ") + ")"
	if o.negates {
		return "NOT " + out
	}
	return out
}

// agrees writes that a column agrees with one value of a comparison.
func (b *builder) agrees(f Filter, o operator, column, v string) string {
	d := f.Dimension
	write := func(column, value string) string {
		return strings.NewReplacer("COLUMN", column, "VALUE", value).Replace(o.sql)
	}
	switch {
	case strings.HasPrefix(o.name, "matches"):
		if d.path && !strings.Contains(v, "%") {
			column = readable(column)
		}
		if f.AnyCase {
			v = "(?i)" + v // written small, \W would be \w
		}
		return write(column, b.bind(v))
	case strings.HasPrefix(o.name, "contains"):
		v = d.spelt(v)
	default:
		v = d.stored(v, f.AnyCase)
	}
	value := b.bind(v)
	if f.AnyCase && d.path { // %C3%BC is not what %C3%9C is in small letters
		column, value = readable(column), readable(value)
	}
	if f.AnyCase {
		column, value = "lowerUTF8("+column+")", "lowerUTF8("+value+")"
	}
	return write(column, value)
}

// readable undoes consent.EscapePath in SQL: what that leaves encoded, "%2F" for
// one, stays so.
func readable(path string) string {
	const kept = "%([01][0-9A-Fa-f]|2[13-9A-Fa-f]|3[0-9ABDFabdf]|[45][0-9A-Fa-f]|6[1-9A-Fa-f]|7[0-9ACEFacef])"
	return "decodeURLComponent(replaceRegexpAll(" + path + ", '" + kept + `', '%25\\1'))`
}
