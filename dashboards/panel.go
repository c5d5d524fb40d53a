package dashboards

import (
	"cmp"
	"context"
	"slices"

	"sluice/consent"
	"sluice/dashboards/query"
)

// panel is a table of the page: the values of a dimension, most first.
type panel struct {
	key       string
	title     string
	column    string // heads the values
	dimension string
	metrics   []string // the first orders the rows and draws the bars
	label     func(string) string
	only      [3]string // a condition that rows have to meet beside the view's
	empty     string
	optional  bool // left out where it is empty
	// event is the name of one that the script measures by itself, and that the
	// rows are of. Where all panels are shown, those with one are asked together.
	event string
}

// panels are all of them, in the order of the page.
var panels = []panel{
	{key: "pages", title: "Pages", column: "Page", dimension: "event:page", label: consent.ReadablePath, metrics: []string{"visitors", "pageviews"},
		only:  [3]string{"is", "event:name", "pageview"},
		empty: "No page was viewed in this period."},
	{key: "entries", title: "Entry pages", column: "Page", dimension: "visit:entry_page", label: consent.ReadablePath, metrics: []string{"visits", "bounce_rate"},
		empty: "No visit began in this period."},
	{key: "exits", title: "Exit pages", column: "Page", dimension: "visit:exit_page", label: consent.ReadablePath, metrics: []string{"visits"},
		empty: "No visit began in this period."},
	{key: "sources", title: "Sources", column: "Source", dimension: "visit:source", metrics: []string{"visitors", "bounce_rate"},
		empty: "No visits in this period."},
	{key: "channels", title: "Channels", column: "Channel", dimension: "visit:channel", metrics: []string{"visitors", "bounce_rate"},
		empty: "No visits in this period."},
	{key: "campaigns", title: "Campaigns", column: "Campaign", dimension: "visit:utm_campaign", metrics: []string{"visitors", "bounce_rate"},
		only:  [3]string{"is_not", "visit:utm_campaign", "(not set)"},
		empty: "No visit named a campaign (utm_campaign) in this period."},
	{key: "countries", title: "Countries", column: "Country", dimension: "visit:country", metrics: []string{"visitors"}, label: country,
		empty: "No visits in this period."},
	{key: "events", title: "Events", column: "Event", dimension: "event:name", metrics: []string{"visitors", "events"},
		only:  [3]string{"is_not", "event:name", "pageview"},
		empty: "No events but pageviews in this period."},
	{key: "goals", title: "Goals", column: "Goal", dimension: "event:goal", metrics: []string{"visitors", "events", "conversion_rate"},
		empty: "No goal was reached in this period.", optional: true},
	// Ordered by how often: amounts of two currencies cannot be compared.
	{key: "revenue", title: "Revenue", column: "Currency", dimension: "event:currency", metrics: []string{"events", "total_revenue", "average_revenue"},
		only:  [3]string{"is_not", "event:currency", "(none)"},
		empty: "No event had revenue in this period.", optional: true},
	{key: "searches", title: "Searches", column: "Looked for", dimension: "event:props:search_term", event: consent.EventSearch},
	{key: "outbound", title: "Links to other sites", column: "Link", dimension: "event:props:link_url", event: consent.EventOutboundLink},
	{key: "downloads", title: "Downloads", column: "File", dimension: "event:props:link_url", event: consent.EventFileDownload},
	{key: "forms", title: "Forms sent", column: "Form", dimension: "event:props:form_id", event: consent.EventFormSubmit},
	{key: "missing", title: "Missing pages", column: "Page", dimension: "event:page", label: consent.ReadablePath, event: consent.EventNotFound},
	{key: "browsers", title: "Browsers", column: "Browser", dimension: "visit:browser", metrics: []string{"visitors"},
		empty: "No visits in this period."},
	{key: "systems", title: "Operating systems", column: "System", dimension: "visit:os", metrics: []string{"visitors"},
		empty: "No visits in this period."},
	{key: "devices", title: "Devices", column: "Device", dimension: "visit:device", metrics: []string{"visitors"}, label: sentence,
		empty: "No visits in this period."},
}

func findPanel(key string) (panel, bool) {
	i := slices.IndexFunc(panels, func(p panel) bool { return p.key == key })
	if i < 0 {
		return panel{}, false
	}
	return panels[i], true
}

// How many rows a panel has beside the others, and alone.
const (
	rowsBeside = 8
	rowsAlone  = 500
)

// Table is a panel as it is shown.
type Table struct {
	Key, Title, Column string
	Heads              []string
	Lines              []Line
	More               string // address of the whole list, "" where this is it
	Total              string // lines of the whole list
	Cut                bool   // there are more lines than even the whole list shows
	Empty              string // said where there are none
	Failed             bool   // the query failed; nothing else is filled in

	optional bool
}

// Line is one row of a table.
type Line struct {
	Label  string
	Path   string // address of the view with this value as a filter
	Values []string
	Width  float64 // of the bar, 0 to 100
}

// table is the panel before it was asked.
func (p panel) table(v View) Table {
	return Table{Key: p.key, Title: p.title, Column: p.column, Empty: p.empty, optional: (p.optional || p.event != "") && v.Panel == ""}
}

// query is what the panel asks of a view.
func (p panel) query(v View) query.Query {
	q := v.query()
	q.Dimensions = dimensionsOf(p.dimension)
	q.Metrics = metricsOf(p.metrics...)
	if p.event != "" {
		q.Metrics = metricsOf("visitors", "events")
	}
	if q.Limit = rowsBeside; v.Panel != "" {
		q.Limit = rowsAlone
	}
	return q
}

// ask fills a table.
func (p panel) ask(ctx context.Context, db query.Querier, v View) (Table, error) {
	p = p.of(v)
	t, q, condition := p.table(v), p.query(v), p.only
	if p.event != "" {
		condition = [3]string{"is", "event:name", p.event}
	}
	if condition[0] != "" {
		only, err := query.Compare(p.key, condition[0], condition[1], condition[2])
		if err != nil {
			return t, err
		}
		q.Filter = query.All(q.Filter, only)
	}
	result, err := query.Run(ctx, db, q)
	if err != nil {
		t.Failed = true
		return t, err
	}
	p.fill(&t, v, q, result)
	return t, nil
}

// askTogether fills the tables of the panels whose rows are of an event that
// the script measures, in one query.
func askTogether(ctx context.Context, db query.Querier, v View, tables []Table) error {
	var parts []query.Part
	var asked []int
	for i, p := range panels {
		if p.event != "" {
			tables[i] = p.table(v)
			parts = append(parts, query.Part{Event: p.event, Dimension: dimensionsOf(p.dimension)[0]})
			asked = append(asked, i)
		}
	}
	results, err := query.RunParts(ctx, db, panels[asked[0]].query(v), parts)
	for n, i := range asked {
		if tables[i].Failed = err != nil; err == nil {
			panels[i].fill(&tables[i], v, panels[i].query(v), results[n])
		}
	}
	return err
}

// fill puts an answer into a table.
func (p panel) fill(t *Table, v View, q query.Query, result query.Result) {
	for _, m := range q.Metrics {
		t.Heads = append(t.Heads, sentence(m.Name))
	}
	t.Total = thousands(float64(result.Total))
	switch cut := len(result.Rows) < result.Total; {
	case cut && v.Panel != "":
		t.Cut = true
	case cut:
		alone := v
		alone.Panel = p.key
		t.More = alone.Path()
	}
	for _, row := range result.Rows {
		t.Lines = append(t.Lines, p.line(v, q, row, result.Rows[0].Metrics[0]))
	}
}

// Shown reports whether the page has a place for the table.
func (t Table) Shown() bool { return !t.optional || len(t.Lines) > 0 || t.Failed }

func (p panel) line(v View, q query.Query, row query.Row, most float64) Line {
	value := row.Dimensions[0]
	l := Line{Label: value, Path: v.With("is", p.dimension, value).Path()}
	if p.label != nil && value != q.Dimensions[0].Unset {
		l.Label = p.label(value)
	}
	l.Label = visible(l.Label)
	for i, m := range q.Metrics {
		l.Values = append(l.Values, number(m.Unit, row.Metrics[i]))
	}
	l.Width = 100 * row.Metrics[0] / cmp.Or(most, 1)
	return l
}

// query is the view's period and filters without a question.
func (v View) query() query.Query {
	return query.Query{
		Site: v.Site.Domain, Test: v.Test, Zone: v.zone(), From: v.span.From, To: v.span.To,
		Filter: v.filter(), Attribution: v.Attribution, Goals: v.Site.Goals,
	}
}

// metricsOf and dimensionsOf look up names of this package's own tables.
func metricsOf(names ...string) []query.Metric {
	out := make([]query.Metric, len(names))
	for i, name := range names {
		out[i], _ = query.FindMetric(name)
	}
	return out
}

func dimensionsOf(name string) []query.Dimension {
	d, _ := query.FindDimension(name)
	return []query.Dimension{d}
}
