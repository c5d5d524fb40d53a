package dashboards

import (
	"context"
	"math"
	"strconv"

	"sluice/consent"
	"sluice/dashboards/query"
)

// Fared is how pages fared with those who visited them.
type Fared struct {
	Heads  []query.Vital
	Vitals []VitalsLine
	Depths []Line // the mean depth, and the share that saw the whole page
	Failed bool
}

// Shown reports whether the page has a place for either table.
func (f Fared) Shown() bool { return f.Failed || len(f.Vitals) > 0 || len(f.Depths) > 0 }

// VitalsLine is a page with its vitals.
type VitalsLine struct {
	Label, Path string
	Visits      string
	Vitals      []Rated
}

// Rated is a value with what it is worth: good, fair, poor, or "" where there
// is none.
type Rated struct{ Text, Rating string }

func askFared(ctx context.Context, db query.Querier, v View) (Fared, error) {
	out := Fared{Heads: query.Vitals()}
	q := v.query()
	q.Limit = rowsBeside
	pages, err := query.RunFared(ctx, db, q)
	if err != nil {
		out.Failed = true
		return out, err
	}
	for _, p := range pages {
		path := v.With("is", "event:page", p.Path).Path()
		if p.Visits > 0 {
			line := VitalsLine{Label: visible(consent.ReadablePath(p.Path)), Path: path, Visits: thousands(float64(p.Visits))}
			for _, vital := range out.Heads {
				line.Vitals = append(line.Vitals, rate(vital, vital.Value(p)))
			}
			out.Vitals = append(out.Vitals, line)
		}
		if p.Readers > 0 {
			out.Depths = append(out.Depths, Line{
				Label: visible(consent.ReadablePath(p.Path)), Path: path, Width: p.Depth,
				Values: []string{thousands(p.Depth) + "%", thousands(p.Whole) + "%"},
			})
		}
	}
	return out, nil
}

// rate writes a vital and says what it is worth.
func rate(v query.Vital, value float64) Rated {
	rating := "fair"
	switch {
	case math.IsNaN(value):
		return Rated{"–", ""}
	case value <= v.Good:
		rating = "good"
	case value > v.Poor:
		rating = "poor"
	}
	switch {
	case v.Name == "CLS":
		return Rated{strconv.FormatFloat(value, 'f', 2, 64), rating}
	case value >= 1000:
		return Rated{strconv.FormatFloat(value/1000, 'f', 1, 64) + " s", rating}
	}
	return Rated{strconv.FormatFloat(value, 'f', 0, 64) + " ms", rating}
}
