package dashboards

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	BeforeText string  // "" for an hour that clocks left out there
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
	q := v.query()
	for _, h := range headlines {
		if h.metric == v.Metric {
			h = h.of(v)
			c.Title, q.Metrics = h.title, metricsOf(h.metric)
		}
	}
	q.Dimensions = dimensionsOf(bucket)
	unit := q.Metrics[0].Unit
	c.Unit = unitNames[unit]
	parts := buckets(v.span, bucket)
	earlier := v.back(parts)
	values, err := inBuckets(ctx, db, q, parts)
	if err != nil {
		c.Failed = true
		return c, err
	}
	was, err := before(ctx, db, q, earlier, bucket)
	if err != nil {
		c.Failed = true
		return c, err
	}
	for i, part := range parts {
		p := v.point(part, bucket, now)
		p.Value, p.Text = values[i], number(unit, values[i])
		if earlier[i].start.Before(earlier[i].end) {
			p.Before, p.BeforeText = was[i], number(unit, was[i])
		}
		c.Points = append(c.Points, p)
	}
	c.tellApart()
	if err := errors.Join(c.addImported(ctx, db, v), c.addMarks(ctx, db, v)); err != nil {
		c.Failed = true
		return c, err
	}
	c.draw(unit)
	return c, nil
}

// point is a bucket in words, without its figures.
func (v View) point(b bucket, dimension string, now time.Time) Point {
	words, short := "Mon 2 Jan 2006", "2 Jan"
	switch dimension {
	case "time:hour":
		words, short = hourWords, "15:04"
	case "time:week":
		words = "Week of 2 Jan 2006"
	case "time:month":
		words, short = "January 2006", "Jan 2006"
	}
	p := Point{
		Label: b.start.Format(words), Short: b.start.Format(short), start: b.start, end: b.end,
		Future: b.start.After(now), Partial: b.end.After(now) && !b.start.After(now),
	}
	if dimension != "time:hour" {
		closer := v
		closer.Period, closer.From, closer.To = Custom, b.start.Format(time.DateOnly), b.end.Add(-time.Second).Format(time.DateOnly)
		p.Path = closer.Path()
	}
	return p
}

const hourWords = "Mon 2 Jan, 15:04"

// tellApart adds the zone to the two hours of one name, when clocks go back.
func (c *Chart) tellApart() {
	times := map[string]int{}
	for _, p := range c.Points {
		times[p.Label]++
	}
	for i := range c.Points {
		if p := &c.Points[i]; times[p.Label] > 1 {
			p.Label = p.start.Format(hourWords + " MST")
		}
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
