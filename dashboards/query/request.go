package query

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/consent"
)

// Request is a query on the wire, after Plausible's Stats API v2.
type Request struct {
	SiteID     string            `json:"site_id"`
	Metrics    []string          `json:"metrics"`
	DateRange  json.RawMessage   `json:"date_range"` // a name, or [from, to]
	Dimensions []string          `json:"dimensions"`
	Filters    []json.RawMessage `json:"filters"`
	OrderBy    [][]string        `json:"order_by"` // [["visitors", "desc"]]
	Include    Include           `json:"include"`
	Pagination Pagination        `json:"pagination"`
	// Attribution is VisitSource, the default, or LastNonDirect; Sluice's own.
	Attribution string `json:"attribution"`

	unknown consent.FieldError // keys that are none of these
}

// UnmarshalJSON notes the keys that it does not know, for Answer to refuse: a
// misspelt filter would otherwise be no filter.
func (r *Request) UnmarshalJSON(b []byte) error {
	type plain Request
	*r = Request{}
	if err := json.Unmarshal(b, (*plain)(r)); err != nil {
		return err
	}
	noteUnknown(&r.unknown, "", b, reflect.TypeFor[Request]())
	return nil
}

// noteUnknown complains about each key of an object that no field of t has,
// and of the objects in it.
func noteUnknown(bad *consent.FieldError, path string, object []byte, t reflect.Type) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return // null
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("json"); key != "" {
			fields[key] = t.Field(i).Type
		}
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		within, ok := fields[strings.ToLower(key)] // as encoding/json finds the field
		switch {
		case !ok:
			bad.Add(path+key, "is no key here: use one of %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		case within.Kind() == reflect.Struct:
			noteUnknown(bad, path+key+".", members[key], within)
		}
	}
}

// Include asks for more than rows.
type Include struct {
	Imports    bool `json:"imports"` // accepted, and changes nothing: imported figures are drawn in the dashboards alone
	TimeLabels bool `json:"time_labels"`
	TotalRows  bool `json:"total_rows"`
	Test       bool `json:"test"` // rows of test hosts instead of all others; Sluice's own
}

// Pagination picks a part of the rows. Its whole numbers are read one by one, so
// that a complaint is about the one that is wrong.
type Pagination struct {
	Limit  json.RawMessage `json:"limit"` // 1 to MaxRows, which is the default
	Offset json.RawMessage `json:"offset"`
}

// whole reads a whole number from least to most, 0 where there is none.
func whole(bad *consent.FieldError, field string, raw json.RawMessage, least, most int) int {
	var n *int // nil for null
	if len(raw) == 0 {
		return 0
	}
	if err := json.Unmarshal(raw, &n); err != nil || n != nil && (*n < least || *n > most) {
		bad.Add(field, "is no whole number from %d to %d", least, most)
	}
	if n == nil {
		return 0
	}
	return *n
}

// Response answers a request.
type Response struct {
	Results []Line         `json:"results"`
	Meta    map[string]any `json:"meta"`
	Query   Echo           `json:"query"`
}

// Line is one row of a response.
type Line struct {
	Metrics    []float64 `json:"metrics"`
	Dimensions []string  `json:"dimensions"`
}

// Echo is the request as it was understood.
type Echo struct {
	SiteID     string            `json:"site_id"`
	Metrics    []string          `json:"metrics"`
	DateRange  [2]string         `json:"date_range"` // first and last second, RFC 3339, in the site's zone
	Dimensions []string          `json:"dimensions"`
	Filters    []json.RawMessage `json:"filters"`
	OrderBy    [][]string        `json:"order_by"`
	Include    Include           `json:"include"`
	Pagination map[string]int    `json:"pagination"`
	// Attribution is VisitSource or LastNonDirect.
	Attribution string `json:"attribution"`
}

// Bounds of a request.
const (
	maxMetrics    = 20
	maxDimensions = 6
	maxOrders     = 10
)

// Answer answers a request about a site at the moment now. Errors:
// *consent.FieldError, with every complaint; ErrUnavailable.
func Answer(ctx context.Context, db Querier, r Request, site *consent.Site, now time.Time) (Response, error) {
	q, err := r.query(site)
	if err != nil {
		return Response{}, err
	}
	var first time.Time
	if string(r.DateRange) == `"`+PeriodAll+`"` {
		if first, err = FirstEvent(ctx, db, q.Site, q.Test); err != nil {
			return Response{}, err
		}
	}
	period, err := readPeriod(r.DateRange, q.zone(), now, first)
	if err != nil {
		var bad consent.FieldError
		bad.Add("date_range", "%v", err)
		return Response{}, &bad
	}
	q.From, q.To = period.From, period.To
	meta := map[string]any{}
	if r.Include.TimeLabels {
		labels, ok := q.labels(period)
		if !ok {
			var bad consent.FieldError
			bad.Add("include.time_labels", "are more than %d: ask for a shorter date_range or longer buckets", maxLabels)
			return Response{}, &bad
		}
		meta["time_labels"] = labels
	}
	result, err := Run(ctx, db, q)
	if err != nil {
		return Response{}, err
	}
	if r.Include.TotalRows {
		meta["total_rows"] = result.Total
	}
	out := Response{Results: make([]Line, len(result.Rows)), Meta: meta, Query: r.echo(q)}
	for i, row := range result.Rows {
		out.Results[i] = Line{Metrics: row.Metrics, Dimensions: row.Dimensions}
	}
	return out, nil
}

// labels are those of the first time dimension, [] without one.
func (q Query) labels(p Period) ([]string, bool) {
	for _, d := range q.Dimensions {
		if d.scope == ofTime {
			return p.Labels(d.Name)
		}
	}
	return []string{}, true
}

// query turns all but the date range into a Query.
func (r Request) query(site *consent.Site) (Query, error) {
	bad := consent.FieldError{Fields: slices.Clone(r.unknown.Fields)}
	q := Query{Site: site.Domain, Zone: site.TimeZone, Test: r.Include.Test, Goals: site.Goals, Attribution: cmp.Or(r.Attribution, VisitSource)}
	if q.Attribution != VisitSource && q.Attribution != LastNonDirect {
		bad.Add("attribution", "%q is neither %s nor %s", r.Attribution, VisitSource, LastNonDirect)
	}
	r.readMetrics(&bad, &q)
	r.readDimensions(&bad, &q)
	var filters []Filter
	left := maxFilters
	for i, raw := range r.Filters {
		filters = append(filters, readFilter(&bad, fmt.Sprintf("filters[%d]", i), raw, &left, 0))
	}
	q.Filter = All(filters...)
	r.checkMetrics(&bad, q)
	r.readOrder(&bad, &q)
	q.Limit = whole(&bad, "pagination.limit", r.Pagination.Limit, 1, MaxRows)
	q.Offset = whole(&bad, "pagination.offset", r.Pagination.Offset, 0, math.MaxInt)
	return q, bad.OrNil()
}

func (r Request) readMetrics(bad *consent.FieldError, q *Query) {
	if len(r.Metrics) == 0 || len(r.Metrics) > maxMetrics {
		bad.Add("metrics", "has %d: give 1 to %d of %s", len(r.Metrics), maxMetrics, strings.Join(MetricNames(), ", "))
		return
	}
	for i, name := range r.Metrics {
		m, ok := FindMetric(name)
		if !ok {
			bad.Add(fmt.Sprintf("metrics[%d]", i), "%q is no metric: use one of %s", name, strings.Join(MetricNames(), ", "))
		}
		q.Metrics = append(q.Metrics, m)
	}
}

func (r Request) readDimensions(bad *consent.FieldError, q *Query) {
	if len(r.Dimensions) > maxDimensions {
		bad.Add("dimensions", "has %d: give at most %d", len(r.Dimensions), maxDimensions)
		return
	}
	byEvent := ""
	for i, name := range r.Dimensions {
		field := fmt.Sprintf("dimensions[%d]", i)
		d, ok := FindDimension(name)
		switch {
		case !ok:
			bad.Add(field, "%q is no dimension: use one of %s", name, strings.Join(DimensionNames(), ", "))
		case utf8.RuneCountInString(name) > maxValue:
			bad.Add(field, "is longer than %d characters", maxValue)
		case slices.Contains(r.Dimensions[:i], name):
			bad.Add(field, "%s is there twice", name)
		case d.scope == ofEvent:
			byEvent = name
		}
		q.Dimensions = append(q.Dimensions, d)
	}
	for i, m := range q.Metrics {
		if byEvent != "" && m.Name != "" && m.events == "" {
			bad.Add(fmt.Sprintf("metrics[%d]", i), "%s is a figure of whole visits and has no value for each %s: use a visit: dimension, such as visit:entry_page", m.Name, byEvent)
		}
	}
}

// checkMetrics refuses figures that would mix what cannot be mixed.
func (r Request) checkMetrics(bad *consent.FieldError, q Query) {
	has := func(name string) bool {
		return slices.Contains(r.Dimensions, name) || slices.ContainsFunc(q.Filter.sides(), func(f Filter) bool {
			return f.Op == "is" && f.Dimension.Name == name && len(f.Values) == 1
		})
	}
	for i, m := range q.Metrics {
		field := fmt.Sprintf("metrics[%d]", i)
		switch {
		case m.Unit == Money && !has("event:currency"):
			bad.Add(field, `%s of several currencies is no sum: add the dimension event:currency, or the filter ["is","event:currency",["EUR"]]`, m.Name)
		case m.Name == conversionRate && !has("event:goal"):
			bad.Add(field, `%s of which goal? Add the dimension event:goal, or the filter ["is","event:goal",["Signup"]]`, m.Name)
		case m.Name == conversionRate && slices.ContainsFunc(r.Dimensions, func(d string) bool { return d != "event:goal" }):
			bad.Add(field, "%s is a share of all visitors of the period and goes with no other dimension than event:goal", m.Name)
		}
	}
}

func (r Request) readOrder(bad *consent.FieldError, q *Query) {
	if len(r.OrderBy) > maxOrders {
		bad.Add("order_by", "has %d entries: give at most %d", len(r.OrderBy), maxOrders)
		return
	}
	for i, o := range r.OrderBy {
		field := fmt.Sprintf("order_by[%d]", i)
		if len(o) != 2 || o[1] != "asc" && o[1] != "desc" {
			bad.Add(field, `is not like ["visitors", "desc"]`)
			continue
		}
		order := Order{slices.Index(r.Metrics, o[0]), slices.Index(r.Dimensions, o[0]), o[1] == "desc"}
		if order.Metric < 0 && order.Dimension < 0 {
			bad.Add(field, "%q is not among the metrics and dimensions of this query", o[0])
			continue
		}
		q.OrderBy = append(q.OrderBy, order)
	}
}

// readFilter reads one filter: ["is", "visit:country", ["DE"]], optionally with
// {"case_sensitive": false} behind it; ["and", [filter, …]]; ["not", filter].
// left is how many more filters this request may hold.
func readFilter(bad *consent.FieldError, field string, raw json.RawMessage, left *int, depth int) Filter {
	var parts []json.RawMessage
	var op string
	if json.Unmarshal(raw, &parts) != nil || len(parts) < 2 || json.Unmarshal(parts[0], &op) != nil {
		bad.Add(field, `is not like ["is", "visit:country", ["DE"]]`)
		return Filter{}
	}
	if *left--; *left < 0 || depth > maxDepth {
		if *left == -1 || depth > maxDepth {
			bad.Add(field, "there are more than %d filters, or more than %d in one another", maxFilters, maxDepth)
		}
		return Filter{}
	}
	switch op {
	case "and", "or", "not":
		if len(parts) > 2 {
			bad.Add(field, `has %d parts: %q takes one behind it`, len(parts), op)
		}
	}
	switch op {
	case "and", "or":
		return readCombination(bad, field, op, parts[1], left, depth)
	case "not":
		return readFilter(bad, field+"[1]", parts[1], left, depth+1).not()
	}
	var dimension string
	var values []string
	if len(parts) < 3 || json.Unmarshal(parts[1], &dimension) != nil || json.Unmarshal(parts[2], &values) != nil {
		bad.Add(field, `is not like [%q, "visit:country", ["DE"]]`, op)
		return Filter{}
	}
	f := compare(bad, field, op, dimension, values)
	if len(parts) > 3 {
		var modifier struct {
			CaseSensitive *bool `json:"case_sensitive"`
		}
		strict := json.NewDecoder(bytes.NewReader(parts[3]))
		strict.DisallowUnknownFields()
		if strict.Decode(&modifier) != nil || len(parts) > 4 {
			bad.Add(field, `its fourth and last part is not like {"case_sensitive": false}`)
		}
		f.AnyCase = modifier.CaseSensitive != nil && !*modifier.CaseSensitive
	}
	return f
}

func readCombination(bad *consent.FieldError, field, op string, raw json.RawMessage, left *int, depth int) Filter {
	var children []json.RawMessage
	if json.Unmarshal(raw, &children) != nil || len(children) == 0 {
		bad.Add(field, `is not like [%q, [filter, filter]]`, op)
		return Filter{}
	}
	parts := make([]Filter, len(children))
	for i, child := range children {
		parts[i] = readFilter(bad, fmt.Sprintf("%s[1][%d]", field, i), child, left, depth+1)
	}
	if op == "and" || len(parts) == 1 {
		return All(parts...)
	}
	return Filter{Op: op, Parts: parts}
}

func (r Request) echo(q Query) Echo {
	e := Echo{
		SiteID: q.Site, Metrics: r.Metrics, Dimensions: r.Dimensions, Filters: r.Filters, OrderBy: r.OrderBy, Include: r.Include,
		DateRange:  [2]string{q.From.Format(time.RFC3339), q.To.Add(-time.Second).Format(time.RFC3339)},
		Pagination: map[string]int{"limit": MaxRows, "offset": q.Offset}, Attribution: q.Attribution,
	}
	if q.Limit > 0 {
		e.Pagination["limit"] = q.Limit
	}
	if e.Dimensions == nil {
		e.Dimensions = []string{}
	}
	if e.Filters == nil {
		e.Filters = []json.RawMessage{}
	}
	if e.OrderBy == nil {
		e.OrderBy = [][]string{}
	}
	return e
}
