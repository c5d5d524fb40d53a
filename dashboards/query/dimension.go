package query

import (
	"fmt"
	"slices"
	"strings"

	"sluice/consent"
)

// scope says what a dimension is a property of.
type scope int

const (
	ofEvent scope = iota
	ofVisit       // of the whole visit: that of its first event, unless said otherwise
	ofTime        // of an event's time, or of a visit's first moment
)

// Dimension is a property that figures are broken down or filtered by.
type Dimension struct {
	Name string // as in Plausible's Stats API v2: visit:source
	// Unset is shown for, and as a filter stands for, the empty value.
	Unset string

	scope scope
	// value computes it: over rows of events for ofEvent, as an aggregate over
	// a visit's events for ofVisit, with AT as the moment for ofTime.
	value string
	prop  string // the property's name, of event:props:NAME
	path  bool   // a page's
	goal  bool   // the site's goals that an event reaches
	came  int    // place in acquisition, from 1; 0 for what is no part of it

	// free marks a value that rows may lack in two spellings, the empty one and
	// the word Unset: links say utm_campaign=(not set), and a visit from nowhere is
	// of the channel Direct. Both are read as absent.
	free   bool
	absent string
}

// What an empty value is called.
const (
	notSet = "(not set)"
	none   = "(none)" // of custom properties
	direct = "Direct / None"
)

// dimensions lists every dimension but event:props:NAME.
var dimensions = slices.Concat(
	[]Dimension{
		{Name: "event:page", value: "path", Unset: notSet, path: true},
		{Name: "event:hostname", value: "hostname", Unset: notSet},
		{Name: "event:name", value: "name", Unset: notSet},
		{Name: "event:currency", value: "currency", Unset: none},
		{Name: "event:goal", goal: true, Unset: none},
		{Name: "visit:entry_page", scope: ofVisit, value: "argMinIf(path, place, name = 'pageview')", Unset: notSet, path: true},
		{Name: "visit:exit_page", scope: ofVisit, value: "argMaxIf(path, place, name = 'pageview')", Unset: notSet, path: true},
		first("source", direct),
		channel(),
	},
	firsts("referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
		"country", "region", "city", "browser", "browser_version", "os", "os_version", "device", "screen", "language"),
	[]Dimension{
		// toStartOfHour would count from the start of the day: by the half hour that clocks changed by, too.
		{Name: "time:hour", scope: ofTime, value: "toString(toUnixTimestamp(AT) - 60 * toMinute(AT, {zone:String}) - toSecond(AT, {zone:String}))"},
		{Name: "time:day", scope: ofTime, value: "toString(toDate(AT, {zone:String}))"},
		{Name: "time:week", scope: ofTime, value: "toString(greatest(toMonday(AT, {zone:String}), toDate({from:DateTime64(3, 'UTC')}, {zone:String})))"},
		{Name: "time:month", scope: ofTime, value: "toString(toStartOfMonth(AT, {zone:String}))"},
	},
)

// first is the dimension of a visit that its first event decides.
func first(column, unset string) Dimension {
	return Dimension{
		Name: "visit:" + column, scope: ofVisit, value: "argMin(" + column + ", place)", Unset: unset,
		came: slices.Index(acquisition, column) + 1,
		free: column == "source" || strings.HasPrefix(column, "utm_"),
	}
}

// channel keeps its word for nowhere, which contains and matches find then too.
func channel() Dimension {
	d := first("channel", "Direct")
	d.free, d.absent = true, d.Unset
	return d
}

// acquisition lists what says how a visitor came, in the order of credited.sql.
var acquisition = []string{"source", "channel", "referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"}

func firsts(columns ...string) []Dimension {
	out := make([]Dimension, len(columns))
	for i, c := range columns {
		out[i] = first(c, notSet)
	}
	return out
}

// propPrefix opens the dimension of a custom property.
const propPrefix = "event:props:"

// FindDimension returns the dimension of that name; event:props:NAME is one for
// every NAME.
func FindDimension(name string) (Dimension, bool) {
	if prop, ok := strings.CutPrefix(name, propPrefix); ok && prop != "" {
		return Dimension{Name: name, Unset: none, prop: prop, free: true}, true
	}
	i := slices.IndexFunc(dimensions, func(d Dimension) bool { return d.Name == name })
	if i < 0 {
		return Dimension{}, false
	}
	return dimensions[i], true
}

// DimensionNames lists the names that a query may break down by.
func DimensionNames() []string {
	names := make([]string, 0, len(dimensions)+1)
	for _, d := range dimensions {
		names = append(names, d.Name)
	}
	return append(names, propPrefix+"NAME")
}

// alias is the column under which a row of visits carries the dimension.
func (d Dimension) alias() string {
	return "visit_" + strings.TrimPrefix(d.Name, "visit:")
}

// attribute is the dimension as a column of visits.sql.
func (d Dimension) attribute() string {
	return fmt.Sprintf("%s AS %s", d.read(d.value), d.alias())
}

// read is SQL for a value of rows in the one spelling of what is absent.
func (d Dimension) read(value string) string {
	if !d.free {
		return value
	}
	other := d.Unset
	if d.absent == other {
		other = ""
	}
	return fmt.Sprintf("transform(%s, ['%s'], ['%s'])", value, other, d.absent)
}

// Shown returns the value as people see it.
func (d Dimension) Shown(value string) string {
	if value == "" {
		return d.Unset
	}
	return value
}

// stored returns the value as rows are read.
func (d Dimension) stored(value string, anyCase bool) string {
	if value == d.Unset || value == "" || anyCase && strings.EqualFold(value, d.Unset) {
		return d.absent
	}
	return d.spelt(value)
}

// spelt returns a part of a value as rows spell it.
func (d Dimension) spelt(part string) string {
	if d.path {
		return consent.EscapePath(part)
	}
	return part
}
