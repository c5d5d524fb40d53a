package dashboards

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/consent"
	"sluice/dashboards/query"
)

// View is what a page's address asks to see of a site.
type View struct {
	Site   *consent.Site
	Period string // one of periods, or Custom
	From   string // first and last date (2006-01-02) of Custom
	To     string
	Metric string // that the chart draws
	Test   bool   // rows of test hosts instead of all others
	// Attribution says whose source a visit counts for, as in query.Query.
	Attribution string
	Panel       string // shown alone and longer; "" shows all
	Filters     []Condition
	// Problems say which parts of the address were not understood, and are not
	// in effect.
	Problems []string

	span        query.Period
	eventsAlone bool // as EventsAlone has it
}

// credit stands for query.LastNonDirect in an address.
const credit = "last"

// LastSource reports whether sources are those of the visitor's last visit that
// came from somewhere.
func (v View) LastSource() bool { return v.Attribution == query.LastNonDirect }

// Custom is the period with dates of its own.
const Custom = "custom"

// periods are offered on every page; their names are those of the Stats API.
var periods = []struct{ Name, Title string }{
	{query.PeriodDay, "Today"}, {"7d", "7 days"}, {defaultPeriod, "30 days"}, {year, "12 months"},
}

const (
	defaultPeriod = "30d"
	year          = "12mo" // this month and the eleven before it
)

// Condition is a filter as an address carries it: f=is,visit:country,DE. All
// conditions of a view have to be true.
type Condition struct {
	Op, Dimension, Value string
	filter               query.Filter
}

// String is the condition's form in an address. The value comes last: it may
// hold commas.
func (c Condition) String() string { return c.Op + "," + c.Dimension + "," + c.Value }

// maxConditions is how many filters an address may carry.
const maxConditions = 20

// ReadView reads the query string of a page's address. What it does not
// understand it replaces by what the page shows otherwise, and names in
// Problems.
func ReadView(site *consent.Site, q url.Values, now time.Time) View {
	v := View{Site: site, Period: q.Get("period"), Metric: q.Get("m"), Test: q.Get("test") == "1", Panel: q.Get("panel"), Attribution: query.VisitSource}
	if source := q.Get("credit"); source == credit {
		v.Attribution = query.LastNonDirect
	} else {
		v.replaced(source, "The attribution of this address is not one that Sluice knows; a visit's source is its own.")
	}
	if test := q.Get("test"); test != "0" && test != "1" {
		v.replaced(test, "Test traffic is shown with test=1; this address says something else.")
	}
	v.readPeriod(q.Get("from"), q.Get("to"), now)
	if !slices.ContainsFunc(headlines, func(h headline) bool { return h.metric == v.Metric }) {
		v.replaced(v.Metric, "The chart's figure in this address is not one that Sluice draws; visitors are shown.")
		v.Metric = headlines[0].metric
	}
	if _, ok := findPanel(v.Panel); !ok {
		v.replaced(v.Panel, "The panel of this address is not one that Sluice has; all are shown.")
		v.Panel = ""
	}
	for _, f := range q["f"] {
		parts := strings.SplitN(f, ",", 3)
		if len(parts) != 3 || len(v.Filters) == maxConditions {
			v.Problems = append(v.Problems, "A filter of this address is incomplete and not in effect.")
			continue
		}
		c := Condition{Op: parts[0], Dimension: parts[1], Value: parts[2]}
		var err error
		if c.filter, err = query.Compare("filter", c.Op, c.Dimension, c.Value); err != nil {
			v.Problems = append(v.Problems, "A filter of this address is not one that Sluice knows and is not in effect.")
			continue
		}
		if !slices.ContainsFunc(v.Filters, func(o Condition) bool { return o.String() == c.String() }) {
			v.Filters = append(v.Filters, c)
		}
	}
	return v
}

// replaced notes that a part of the address is not in effect; one that is absent
// was not asked for.
func (v *View) replaced(part, problem string) {
	if part != "" {
		v.Problems = append(v.Problems, problem)
	}
}

func (v *View) readPeriod(from, to string, now time.Time) {
	zone := v.zone()
	if v.Period == Custom || v.Period == "" && from != "" {
		span, err := query.Dates(from, to, zone)
		if err == nil {
			v.Period, v.From, v.To, v.span = Custom, from, to, span
			return
		}
		v.Problems = append(v.Problems, "These dates are not in effect: "+err.Error()+".")
		v.Period = ""
	}
	span, ok := query.Named(v.Period, zone, now, time.Time{})
	if !ok || v.Period == query.PeriodAll {
		v.replaced(v.Period, "The period of this address is not one that these pages have; the last 30 days are shown.")
		v.Period = defaultPeriod
		span, _ = query.Named(v.Period, zone, now, time.Time{})
	}
	v.span = span
}

func (v View) zone() *time.Location {
	if v.Site.TimeZone == nil {
		return time.UTC
	}
	return v.Site.TimeZone
}

// Path is the address of the view.
func (v View) Path() string {
	q := url.Values{"period": {v.Period}}
	if v.Period == Custom {
		q.Set("from", v.From)
		q.Set("to", v.To)
	}
	if v.Metric != headlines[0].metric {
		q.Set("m", v.Metric)
	}
	if v.Test {
		q.Set("test", "1")
	}
	if v.Attribution == query.LastNonDirect {
		q.Set("credit", credit)
	}
	if v.Panel != "" {
		q.Set("panel", v.Panel)
	}
	for _, c := range v.Filters {
		q.Add("f", c.String())
	}
	return sitePath(v.Site.Domain) + "?" + q.Encode()
}

func sitePath(domain string) string { return "/dashboards/" + url.PathEscape(domain) }

// With returns the view with one more condition, leaving a single panel.
func (v View) With(op, dimension, value string) View {
	v.Panel = ""
	c := Condition{Op: op, Dimension: dimension, Value: value}
	if slices.ContainsFunc(v.Filters, func(o Condition) bool { return o.String() == c.String() }) {
		return v
	}
	v.Filters = append(slices.Clone(v.Filters), c)
	return v
}

// Without returns the view without its i-th condition.
func (v View) Without(i int) View {
	v.Filters = slices.Delete(slices.Clone(v.Filters), i, i+1)
	return v
}

// withoutPatterns returns the view without its regular expressions, and says so.
func (v View) withoutPatterns() View {
	v.Filters = slices.DeleteFunc(slices.Clone(v.Filters), func(c Condition) bool { return strings.HasPrefix(c.Op, "matches") })
	v.Problems = append(slices.Clone(v.Problems), "A regular expression of this address is more than ClickHouse compiles; none is in effect.")
	return v
}

// filter joins all conditions.
func (v View) filter() query.Filter {
	filters := make([]query.Filter, len(v.Filters))
	for i, c := range v.Filters {
		filters[i] = c.filter
	}
	return query.All(filters...)
}

// before returns the period that v's is compared with: as long, and right
// before it. sofar ends as far into it as now is into v's, so that a morning is
// not held against a whole day.
func (v View) before(now time.Time) (whole, sofar query.Period) {
	whole = query.Period{From: v.earlier(v.span.From), To: v.earlier(v.span.To)}
	sofar = whole
	if now = now.In(v.zone()); now.After(v.span.From) && now.Before(v.span.To) {
		sofar.To = v.earlier(now)
		if sofar.To.Before(sofar.From) { // clocks skipped the first hour
			sofar.To = sofar.From
		}
	}
	return whole, sofar
}

// earlier is the moment that a moment of v's period is compared with: by the
// same clock, but a day's first moment with the first of another, which need not
// be 00:00.
func (v View) earlier(t time.Time) time.Time {
	months, days := 12, 0
	if v.Period != year {
		months, days = 0, int(v.span.To.Sub(v.span.From).Round(24*time.Hour)/(24*time.Hour))
	}
	y, m, d := t.Date()
	if t.Equal(midnight(y, m, d, v.zone())) {
		return midnight(y, m-time.Month(months), d-days, v.zone())
	}
	moved := t.AddDate(0, -months, -days)
	if first := moved.Add(-time.Hour); first.Hour() == moved.Hour() { // an hour that came twice there begins with the first
		return first
	}
	return moved
}

// bucket is the time dimension of the chart.
func (v View) bucket() string {
	switch days := v.span.To.Sub(v.span.From).Hours() / 24; {
	case days < 2.5:
		return "time:hour"
	case days < 93:
		return "time:day"
	case days < 190:
		return "time:week"
	}
	return "time:month"
}
