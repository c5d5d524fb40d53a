package query

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"sluice/consent"
)

//go:embed sql/*.sql
var files embed.FS

// statement returns the SQL of a file without its opening comment, each place
// /*name*/ filled with the text that follows the name in fill.
func statement(file string, fill ...string) string {
	raw, err := files.ReadFile("sql/" + file + ".sql")
	if err != nil {
		panic(err) // embedded, and named by constants
	}
	text := string(raw)
	for strings.HasPrefix(text, "--") {
		_, text, _ = strings.Cut(text, "\n")
	}
	for i := 0; i < len(fill); i += 2 {
		text = strings.ReplaceAll(text, "/*"+fill[i]+"*/", fill[i+1])
	}
	return strings.TrimSpace(text)
}

// visits is visits.sql with the dimensions of visits among dims, limited to
// visits in which an event satisfies b.touching: that the grouping of most
// sessions can be spared makes a page with such a filter several times faster.
func (b *builder) visits(dims []Dimension) string {
	var text, credited string
	seen := map[string]bool{}
	for _, d := range dims {
		if d.scope != ofVisit || seen[d.Name] {
			continue
		}
		seen[d.Name] = true
		if d.came > 0 && b.q.Attribution == LastNonDirect {
			credited += fmt.Sprintf(", %s AS %s", d.read(fmt.Sprintf("credit.came.%d", d.came)), d.alias())
			continue
		}
		text += ", " + d.attribute()
	}
	if slices.ContainsFunc(b.q.Metrics, func(m Metric) bool { return m.goals }) {
		text += ", " + b.anyGoal() + " AS goals"
	}
	pings := ", 'engagement'"
	if slices.ContainsFunc(b.q.Metrics, func(m Metric) bool { return m.engaged }) {
		pings = ""
	}
	var only string
	if !b.touching.Empty() {
		only = "AND " + b.occurs(b.touching)
	}
	visits := statement("visits", "attributes", text, "only", only, "pings", pings)
	if credited != "" {
		return statement("credited", "visits", visits, "columns", credited)
	}
	return visits
}

// Query is a question about one site.
type Query struct {
	Site string
	Test bool           // rows of test hosts alone, instead of all others
	Zone *time.Location // of the site; nil means UTC
	// From and To bound the period: From <= time < To.
	From, To   time.Time
	Metrics    []Metric // at least one
	Dimensions []Dimension
	Filter     Filter
	// Attribution says whose source a visit counts for; "" means VisitSource.
	Attribution string
	Goals       []consent.Goal // of the site
	OrderBy     []Order        // none: times first to last, or else the first metric, highest first
	Limit       int            // 0 means MaxRows
	Offset      int
}

// What a visit's source, channel, referrer and UTM parameters are.
const (
	VisitSource   = "visit"           // those of its own first event
	LastNonDirect = "last_non_direct" // those of the visitor's last visit that came from somewhere, within 90 days
)

// Order sorts by the i-th metric or dimension of the query.
type Order struct {
	Metric     int // -1 where Dimension sorts
	Dimension  int // -1 where Metric sorts
	Descending bool
}

// MaxRows bounds a page of an answer.
const MaxRows = 10_000

// builder writes one query's SQL and collects the values that go with it.
type builder struct {
	q Query
	// The filter in two parts, both of which have to be true: touching is about
	// events alone.
	touching, rest Filter

	args []any
	n    int
}

// bind makes v a parameter and returns how the SQL refers to it.
func (b *builder) bind(v string) string {
	name := fmt.Sprintf("v%d", b.n)
	b.n++
	b.args = append(b.args, clickhouse.Named(name, v))
	return "{" + name + ":String}"
}

// column is a dimension of an event or a visit, over rows that carry it.
func (b *builder) column(d Dimension) string {
	switch {
	case d.prop != "":
		return d.read("props[" + b.bind(d.prop) + "]")
	case d.goal:
		return b.goalNames()
	case d.scope == ofVisit:
		return d.alias()
	}
	return d.value
}

// compile returns the SQL of q and its values.
//
// Figures come from events, from visits, or from both. Visits alone do, in one
// pass, where no event's time or property is asked about: a visit knows how
// many of its events lie in the period. Where it does not suffice, each metric
// is computed where it belongs and the two are laid over each other.
func (q Query) compile() (string, []any) {
	b := &builder{q: q, args: q.parameters()}
	b.touching, b.rest = q.Filter.split()
	byTouch := slices.ContainsFunc(q.Dimensions, func(d Dimension) bool { return d.scope == ofEvent })
	needsEvents := byTouch || q.Filter.touches(ofEvent) ||
		slices.ContainsFunc(q.Metrics, func(m Metric) bool { return m.visits == "" }) ||
		slices.ContainsFunc(q.Dimensions, func(d Dimension) bool { return d.scope == ofTime })
	aboutVisits := q.Filter.touches(ofVisit) ||
		slices.ContainsFunc(q.Dimensions, func(d Dimension) bool { return d.scope == ofVisit })

	fromVisits := make([]bool, len(q.Metrics))
	for i, m := range q.Metrics {
		fromVisits[i] = m.events == "" || m.touched && !byTouch
	}
	if !needsEvents && (aboutVisits || slices.Contains(fromVisits, true)) {
		for i := range fromVisits {
			fromVisits[i] = true
		}
	}
	var sides []string
	if slices.Contains(fromVisits, false) {
		sides = append(sides, b.byEvent(fromVisits))
	}
	if slices.Contains(fromVisits, true) {
		sides = append(sides, b.byVisit(fromVisits, !needsEvents))
	}
	return b.page(sides), b.args
}

func (q Query) parameters() []any {
	zone, limit := "UTC", q.Limit
	if q.Zone != nil {
		zone = q.Zone.String()
	}
	if limit == 0 {
		limit = MaxRows
	}
	return []any{
		clickhouse.Named("site", q.Site), clickhouse.Named("test", q.Test), clickhouse.Named("zone", zone),
		clickhouse.DateNamed("from", q.From, clickhouse.MilliSeconds), clickhouse.DateNamed("to", q.To, clickhouse.MilliSeconds),
		clickhouse.Named("limit", limit), clickhouse.Named("offset", q.Offset),
	}
}

func (b *builder) byEvent(fromVisits []bool) string {
	var join, conditions string
	dims := b.q.Dimensions
	switch joined := slices.ContainsFunc(dims, func(d Dimension) bool { return d.scope == ofVisit }); {
	case joined:
		join = "INNER JOIN (" + b.visits(append(slices.Clone(dims), b.q.Filter.dimensions()...)) + ") AS visit USING (session_id)"
		conditions = b.where(b.here, b.touching, b.rest)
	default:
		conditions = b.where(b.ofEvents, b.touching, b.rest)
	}
	return statement("by_event",
		"columns", b.columns("ts", func(i int, m Metric) string {
			if fromVisits[i] {
				return "0"
			}
			if strings.Contains(m.events, "/*everyone*/") {
				return strings.Replace(m.events, "/*everyone*/", b.everyone(), 1)
			}
			return m.events
		}),
		"join", join,
		"conditions", conditions,
		"grouping", b.grouping())
}

// byVisit computes metrics over visits. Where it answers alone it also sees the
// visits that only reach into the period.
func (b *builder) byVisit(fromVisits []bool, alone bool) string {
	dims := append(slices.Clone(b.q.Dimensions), b.q.Filter.dimensions()...)
	conditions := b.where(b.ofVisits, b.rest) // visits.sql sees to touching
	countsEvents := slices.ContainsFunc(b.q.Metrics, func(m Metric) bool { return m.events != "" && !m.touched })
	if !alone || !countsEvents {
		conditions += " AND begun"
	}
	return statement("by_visit",
		"columns", b.columns("start", func(i int, m Metric) string {
			if !fromVisits[i] {
				return "0"
			}
			return m.visits
		}),
		"visits", b.visits(dims),
		"conditions", conditions,
		"grouping", b.grouping())
}

// where joins filters, as write puts them.
func (b *builder) where(write func(Filter) string, filters ...Filter) string {
	var out string
	for _, f := range filters {
		if !f.Empty() {
			out += " AND " + write(f)
		}
	}
	return out
}

// columns selects every dimension and metric; at is the time of a row.
func (b *builder) columns(at string, metric func(int, Metric) string) string {
	var out []string
	for i, d := range b.q.Dimensions {
		column := b.column(d)
		if d.scope == ofTime {
			column = strings.ReplaceAll(column, "AT", at)
		}
		out = append(out, fmt.Sprintf("toString(%s) AS d%d", column, i))
	}
	for i, m := range b.q.Metrics {
		out = append(out, fmt.Sprintf("toFloat64(%s) AS m%d", metric(i, m), i))
	}
	return strings.Join(out, ",\n    ")
}

func (b *builder) grouping() string {
	if len(b.q.Dimensions) == 0 {
		return ""
	}
	return "GROUP BY " + strings.Join(b.aliases(), ", ")
}

// aliases lists d0, d1, …
func (b *builder) aliases() []string {
	out := make([]string, len(b.q.Dimensions))
	for i := range out {
		out[i] = fmt.Sprintf("d%d", i)
	}
	return out
}

func (b *builder) page(sides []string) string {
	columns := b.aliases()
	grouping := ""
	for i := range b.q.Metrics {
		if len(sides) > 1 {
			columns = append(columns, fmt.Sprintf("sum(m%d) AS s%d", i, i))
		} else {
			columns = append(columns, fmt.Sprintf("m%d AS s%d", i, i))
		}
	}
	if len(sides) > 1 {
		grouping = b.grouping()
	}
	return statement("page",
		"columns", strings.Join(columns, ", "),
		"rows", strings.Join(sides, "\nUNION ALL\n"),
		"grouping", grouping,
		"order", b.order())
}

// order ends with every dimension, so that pages do not overlap.
func (b *builder) order() string {
	var out []string
	for _, o := range b.q.OrderBy {
		column := fmt.Sprintf("s%d", o.Metric)
		if o.Metric < 0 {
			column = fmt.Sprintf("d%d", o.Dimension)
		}
		if o.Descending {
			column += " DESC"
		}
		out = append(out, column)
	}
	if len(out) == 0 {
		for i, d := range b.q.Dimensions {
			if d.scope == ofTime {
				out = append(out, fmt.Sprintf("d%d", i))
			}
		}
		out = append(out, "s0 DESC")
	}
	return strings.Join(append(out, b.aliases()...), ", ")
}
