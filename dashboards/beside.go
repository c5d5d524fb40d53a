package dashboards

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/dashboards/query"
)

// toolNames are the sources of imports, as people call them.
var toolNames = map[string]string{
	"ga4": "Google Analytics", "bigquery": "Google Analytics (BigQuery)", "plausible": "Plausible", "umami": "Umami",
	"goatcounter": "GoatCounter", "log": "access logs",
}

// importable gives an imported day's figure for the metrics that can be added
// up; visitors are those of each day.
var importable = map[string]func(query.ImportedDay) uint64{
	"visitors":  func(d query.ImportedDay) uint64 { return d.Visitors },
	"visits":    func(d query.ImportedDay) uint64 { return d.Visits },
	"pageviews": func(d query.ImportedDay) uint64 { return d.Pageviews },
}

// addImported lays beside the points what other tools counted: of the whole
// site, so not where a filter or the test hosts are asked about, and by the day
// at the finest.
func (c *Chart) addImported(ctx context.Context, db query.Querier, v View) error {
	figure := importable[v.Metric]
	if figure == nil || len(v.Filters) > 0 || v.Test || c.Bucket == "hour" {
		return nil
	}
	days, err := query.ImportedDays(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return err
	}
	var tools []string
	for _, d := range days {
		at, err := time.ParseInLocation(time.DateOnly, d.Day, v.zone())
		if err != nil {
			return fmt.Errorf("day of an import: %w", err)
		}
		p := c.at(at.Add(12 * time.Hour)) // midnight may not exist
		if p == nil {
			continue
		}
		p.Imported += float64(figure(d))
		p.ImportedText = thousands(p.Imported)
		name := toolNames[d.Tool]
		if name == "" {
			name = d.Tool
		}
		if !slices.Contains(tools, name) {
			tools = append(tools, name)
		}
	}
	c.Tools = strings.Join(tools, ", ")
	c.AddedUp = c.Tools != "" && v.Metric == "visitors" && c.Bucket != "day"
	return nil
}

// addMarks says where visitors without an identifier may count twice.
func (c *Chart) addMarks(ctx context.Context, db query.Querier, v View) error {
	if v.Metric == "pageviews" || v.Test {
		return nil
	}
	draws, err := query.KeyDraws(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return err
	}
	for _, hour := range draws {
		if p := c.at(hour); p != nil && p.Mark == "" {
			p.Mark = "Sluice was started: visitors without an id may count twice"
			c.Marked = true
		}
	}
	return nil
}

// at is the point of a moment; nil where there is none.
func (c *Chart) at(moment time.Time) *Point {
	for i := range c.Points {
		if p := &c.Points[i]; !moment.Before(p.start) && moment.Before(p.end) {
			return p
		}
	}
	return nil
}

// drawBeside draws what was imported, in pieces where days are missing, and the
// marks.
func (c *Chart) drawBeside(across, top float64) {
	for i := range c.Points {
		p := &c.Points[i]
		if p.Mark != "" {
			c.Marks = append(c.Marks, coordinate(across*float64(i)))
		}
		if p.ImportedText == "" {
			continue
		}
		x, y := coordinate(across*float64(i)), coordinate(chartHeight*(1-p.Imported/top))
		if i == 0 || c.Points[i-1].ImportedText == "" {
			c.Imported += "M" + x + " " + y
		}
		c.Imported += "L" + x + " " + y
	}
}
