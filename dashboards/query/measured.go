package query

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Part is a question about the events of one name: the values of a dimension
// of events among them.
type Part struct {
	Event     string
	Dimension Dimension
}

// RunParts answers q, whose metrics are of events, for each part, in one pass;
// q.Limit is of each. Errors: ErrUnavailable.
func RunParts(ctx context.Context, db Querier, q Query, parts []Part) ([]Result, error) {
	text, args := q.compileParts(parts)
	out := make([]Result, len(parts))
	err := each(ctx, db, text, args, func(rows driver.Rows) error {
		row := Row{Dimensions: make([]string, 1), Metrics: make([]float64, len(q.Metrics))}
		var name string
		var total uint64
		into := []any{&name, &row.Dimensions[0]}
		for i := range row.Metrics {
			into = append(into, &row.Metrics[i])
		}
		if err := rows.Scan(append(into, &total)...); err != nil {
			return err
		}
		for i, p := range parts {
			if p.Event == name {
				row.Dimensions[0] = q.shown(p.Dimension, row.Dimensions[0])
				out[i].Rows, out[i].Total = append(out[i].Rows, row), int(total)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query what is measured on %s: %w", q.Site, err)
	}
	return out, nil
}

func (q Query) compileParts(parts []Part) (string, []any) {
	b := &builder{q: q, args: q.parameters()}
	b.touching, b.rest = q.Filter.split()
	value, names := "multiIf(", make([]string, len(parts))
	for i, p := range parts {
		names[i] = b.bind(p.Event)
		value += fmt.Sprintf("name = %s, %s, ", names[i], b.column(p.Dimension))
	}
	columns, shown := []string{"toString(name) AS d0", "toString(" + value + "'')) AS d1"}, []string{}
	for i, m := range q.Metrics {
		columns = append(columns, fmt.Sprintf("toFloat64(%s) AS m%d", m.events, i))
		shown = append(shown, fmt.Sprintf("m%d", i))
	}
	rows := statement("by_event",
		"columns", strings.Join(columns, ",\n    "),
		"join", "",
		"conditions", "AND name IN ("+strings.Join(names, ", ")+")"+b.where(b.ofEvents, b.touching, b.rest),
		"grouping", "GROUP BY d0, d1")
	return statement("parts", "columns", strings.Join(shown, ", "), "rows", rows), b.args
}

// Fared is how the visits to a page fared. A vital is NaN where no browser told
// of it.
type Fared struct {
	Path           string
	Visits         uint64  // that told of vitals
	TTFB, LCP, INP float64 // milliseconds, at the 75th percentile of visits
	CLS            float64
	Readers        uint64  // visits that told how far down the page was shown
	Depth          float64 // their mean, in per cent
	Whole          float64 // the share of them that saw 90 per cent or more, in per cent
}

// Vital is a measure of how fast or steady a page is, with what counts as good
// and as poor: https://web.dev/articles/vitals, and for TTFB
// https://web.dev/articles/ttfb.
type Vital struct {
	Name, Title string
	Good, Poor  float64 // good up to the first, poor above the second
	Value       func(Fared) float64
}

// Vitals lists those that are measured.
func Vitals() []Vital {
	return []Vital{
		{"LCP", "Largest contentful paint", 2500, 4000, func(f Fared) float64 { return f.LCP }},
		{"INP", "Interaction to next paint", 200, 500, func(f Fared) float64 { return f.INP }},
		{"CLS", "Cumulative layout shift", 0.1, 0.25, func(f Fared) float64 { return f.CLS }},
		{"TTFB", "Time to first byte", 800, 1800, func(f Fared) float64 { return f.TTFB }},
	}
}

// RunFared tells how pages fared, those with most visits first. Of q only the
// site, the period, the filter and the limit count; a filter has to be true of
// the measurement itself, or of its visit. Errors: ErrUnavailable.
func RunFared(ctx context.Context, db Querier, q Query) ([]Fared, error) {
	b := &builder{q: q, args: q.parameters()}
	b.touching, b.rest = q.Filter.split()
	text := statement("fared", "conditions", b.where(b.ofEvents, b.touching, b.rest))
	var out []Fared
	err := each(ctx, db, text, b.args, func(rows driver.Rows) error {
		var f Fared
		err := rows.Scan(&f.Path, &f.Visits, &f.TTFB, &f.LCP, &f.INP, &f.CLS, &f.Readers, &f.Depth, &f.Whole)
		out = append(out, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("query how pages of %s fared: %w", q.Site, err)
	}
	return out, nil
}
