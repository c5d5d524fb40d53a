package dashboards

import (
	"context"
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
	Line   string // SVG path over a field of chartWidth × chartHeight, the period of the view
	Area   string // the same, closed at the bottom
	Ticks  []Tick // of the vertical axis
	Failed bool
}

// Point is one bucket of time.
type Point struct {
	Label   string
	Short   string // for an axis
	Path    string // address of the view of that day or month, "" where it is no smaller than this one
	Value   float64
	Text    string
	Future  bool // has not begun yet: there is no value
	Partial bool // has not ended yet
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
	result, err := query.Run(ctx, db, q)
	if err != nil {
		c.Failed = true
		return c, err
	}
	values := make(map[string]float64, len(result.Rows))
	for _, row := range result.Rows {
		values[row.Dimensions[0]] += row.Metrics[0]
	}
	labels, _ := v.span.Labels(bucket) // a year of hours is the most: never too many
	for i, label := range labels {
		p := Point{Label: label, Value: values[label]}
		p.Text = number(unit, p.Value)
		p.describe(v, bucket, now)
		if i > 0 && label == labels[i-1] {
			continue // the hour that comes twice when clocks go back is one point
		}
		c.Points = append(c.Points, p)
	}
	c.draw(unit)
	return c, nil
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
	p.Label, p.Short = start.Format(words), start.Format(short)
	p.Future, p.Partial = start.After(now), end.After(now) && !start.After(now)
	if closer.Period == Custom {
		closer.From, closer.To = start.Format(time.DateOnly), end.Add(-time.Hour).Format(time.DateOnly)
		p.Path = closer.Path()
	}
}

// draw fills in the SVG.
func (c *Chart) draw(unit query.Unit) {
	most := 0.0
	n := 0
	for _, p := range c.Points {
		most = max(most, p.Value)
		if !p.Future {
			n++
		}
	}
	top, step := scale(most, unit)
	y := func(v float64) float64 { return chartHeight * (1 - v/top) }
	for v := 0.0; v <= top+step/2; v += step {
		c.Ticks = append(c.Ticks, Tick{number(unit, v), coordinate(y(v))})
	}
	if n == 0 {
		return
	}
	var line strings.Builder
	x := func(i int) float64 {
		if len(c.Points) == 1 {
			return chartWidth * float64(i)
		}
		return chartWidth * float64(i) / float64(len(c.Points)-1)
	}
	for i, p := range c.Points[:n] {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&line, "%s%s %s", command, coordinate(x(i)), coordinate(y(p.Value)))
	}
	c.Line = line.String()
	c.Area = fmt.Sprintf("%sL%s %sL0 %sZ", c.Line, coordinate(x(n-1)), coordinate(chartHeight), coordinate(chartHeight))
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
