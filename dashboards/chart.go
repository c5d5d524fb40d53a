package dashboards

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/dashboards/query"
)

// Chart is a metric over the time of the view.
type Chart struct {
	Title  string // of the metric
	Unit   string // count, ratio, percent or seconds; the page's script formats with it
	Bucket string // hour, day, week or month
	Points []Point
	Line   string // SVG path over a field of chartWidth × chartHeight
	Area   string // the same, closed at the bottom
	Before string // the period before
	Ticks  []Tick // of the vertical axis
	Failed bool

	Tools    string   // that figures were imported from, "" for none
	AddedUp  bool     // the imported visitors are those of each day, added up
	Imported string   // SVG path of what was imported
	Marks    []string // places of the points with a Mark, SVG units from the left
	Marked   bool
}

// Point is one bucket of time.
type Point struct {
	Label      string
	Short      string // for an axis
	Path       string // address of the view of that day or month, "" where it is no smaller than this one
	Value      float64
	Text       string
	Before     float64 // of the same place in the period before
	BeforeText string  // "" where that was shorter
	Future     bool    // has not begun yet: there is no value
	Partial    bool    // has not ended yet

	Imported     float64
	ImportedText string // "" where nothing was imported
	Mark         string // what has to be known of the bucket, "" for nothing

	start, end time.Time
}

// BucketTitle heads the column of the buckets.
func (c Chart) BucketTitle() string { return sentence(c.Bucket) }

// Top is what the uppermost line stands for.
func (c Chart) Top() string {
	if len(c.Ticks) == 0 {
		return ""
	}
	return c.Ticks[len(c.Ticks)-1].Text
}

// Last is the last point, nil where there is none.
func (c Chart) Last() *Point {
	if len(c.Points) == 0 {
		return nil
	}
	return &c.Points[len(c.Points)-1]
}

// Tick is a line across the chart.
type Tick struct {
	Text string
	Y    string // SVG units from the top
}

const (
	chartWidth  = 1000.0
	chartHeight = 240.0
)

var unitNames = map[query.Unit]string{query.Count: "count", query.Ratio: "ratio", query.Percent: "percent", query.Seconds: "seconds"}

// askChart asks for the metric that the view draws.
func askChart(ctx context.Context, db query.Querier, v View, now time.Time) (Chart, error) {
	bucket := v.bucket()
	c := Chart{Bucket: strings.TrimPrefix(bucket, "time:")}
	for _, h := range headlines {
		if h.metric == v.Metric {
			c.Title = h.title
		}
	}
	q := v.query()
	q.Metrics = metricsOf(v.Metric)
	q.Dimensions = dimensionsOf(bucket)
	unit := q.Metrics[0].Unit
	c.Unit = unitNames[unit]
	span, _ := v.before(now)
	labels, values, err := bucketed(ctx, db, q, v.span, bucket)
	if err != nil {
		c.Failed = true
		return c, err
	}
	earlier, before, err := bucketed(ctx, db, q, span, bucket)
	if err != nil {
		c.Failed = true
		return c, err
	}
	for i, label := range labels {
		p := Point{Label: label, Value: values[i], Text: number(unit, values[i])}
		if i < len(earlier) {
			p.Before, p.BeforeText = before[i], number(unit, before[i])
		}
		p.describe(v, bucket, now)
		c.Points = append(c.Points, p)
	}
	if err := errors.Join(c.addImported(ctx, db, v), c.addMarks(ctx, db, v)); err != nil {
		c.Failed = true
		return c, err
	}
	c.draw(unit)
	return c, nil
}

// bucketed returns the buckets of a period and q's metric in each. The hour that
// comes twice when clocks go back is one bucket.
func bucketed(ctx context.Context, db query.Querier, q query.Query, p query.Period, bucket string) ([]string, []float64, error) {
	q.From, q.To = p.From, p.To
	result, err := query.Run(ctx, db, q)
	if err != nil {
		return nil, nil, err
	}
	at := make(map[string]float64, len(result.Rows))
	for _, row := range result.Rows {
		at[row.Dimensions[0]] += row.Metrics[0]
	}
	labels, _ := p.Labels(bucket) // at most a few hundred: bucket is chosen by the length of the period
	labels = slices.Compact(labels)
	values := make([]float64, len(labels))
	for i, label := range labels {
		values[i] = at[label]
	}
	return labels, values, nil
}

// describe turns a bucket's name into words and finds out where now is.
func (p *Point) describe(v View, bucket string, now time.Time) {
	layout, words, short := time.DateOnly, "Mon 2 Jan 2006", "2 Jan"
	span := 24 * time.Hour
	closer := v
	closer.Period = Custom
	switch bucket {
	case "time:hour":
		layout, words, short, span = time.DateTime, "Mon 2 Jan, 15:04", "15:04", time.Hour
		closer.Period = v.Period
	case "time:week":
		words, span = "Week of 2 Jan 2006", 7*24*time.Hour
	case "time:month":
		words, short, span = "January 2006", "Jan 2006", 0
	}
	start, err := time.ParseInLocation(layout, p.Label, v.zone())
	if err != nil {
		return
	}
	end := start.Add(span)
	if span == 0 {
		end = start.AddDate(0, 1, 0)
	}
	p.start, p.end = start, end
	p.Label, p.Short = start.Format(words), start.Format(short)
	p.Future, p.Partial = start.After(now), end.After(now) && !start.After(now)
	if closer.Period == Custom {
		closer.From, closer.To = start.Format(time.DateOnly), end.Add(-time.Hour).Format(time.DateOnly)
		p.Path = closer.Path()
	}
}

// draw fills in the SVG.
func (c *Chart) draw(unit query.Unit) {
	var values, before []float64
	most := 0.0
	for _, p := range c.Points {
		most = max(most, p.Value, p.Before, p.Imported)
		if !p.Future {
			values = append(values, p.Value)
		}
		if p.BeforeText != "" {
			before = append(before, p.Before)
		}
	}
	top, step := scale(most, unit)
	for v := 0.0; v <= top+step/2; v += step {
		c.Ticks = append(c.Ticks, Tick{number(unit, v), coordinate(chartHeight * (1 - v/top))})
	}
	across := chartWidth / float64(max(len(c.Points)-1, 1))
	c.drawBeside(across, top)
	c.Line, c.Before = path(values, across, top), path(before, across, top)
	if n := len(values); n > 0 {
		c.Area = fmt.Sprintf("%sL%s %sL0 %sZ", c.Line, coordinate(across*float64(n-1)), coordinate(chartHeight), coordinate(chartHeight))
	}
}

// path draws values from left to right, across apart, top being the highest.
func path(values []float64, across, top float64) string {
	var b strings.Builder
	for i, v := range values {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%s %s", command, coordinate(across*float64(i)), coordinate(chartHeight*(1-v/top)))
	}
	return b.String()
}

// scale returns the top of an axis that holds most, and the step between its
// lines: three or four, at 1, 2 or 5 times a power of ten (of a minute, for
// times above one).
func scale(most float64, unit query.Unit) (top, step float64) {
	base := 1.0
	if unit == query.Seconds && most > 120 {
		base = 60
	}
	most = max(most/base, 1)
	raw := most / 4
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	step = 10 * power
	for _, f := range []float64{1, 2, 5} {
		if f*power >= raw {
			step = f * power
			break
		}
	}
	if unit != query.Ratio {
		step = max(step, 1)
	}
	return math.Ceil(most/step) * step * base, step * base
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// sparkline is a small line through values, over a field of 100 × 24.
func sparkline(values []float64) string {
	most := 1.0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteByte(' ')
		}
		x := 100 * float64(i) / float64(max(len(values)-1, 1))
		fmt.Fprintf(&b, "%s,%s", coordinate(x), coordinate(1+22*(1-v/most)))
	}
	return b.String()
}
