package importer

import (
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ga4Dimensions are GA4's names of what figures are broken down by, in lower
// case.
var ga4Dimensions = map[string]string{
	"page path and screen class": "page", "page path": "page", "page path + query string": "page",
	"page path + query string and screen class": "page", "page location": "page",
	"landing page": "entry_page", "landing page + query string": "entry_page",
	"session source": "source", "session source / medium": "source", "source": "source",
	"session default channel group": "channel", "default channel group": "channel",
	"session primary channel group (default channel group)": "channel",
	"session medium": "utm_medium", "session campaign": "utm_campaign", "campaign": "utm_campaign",
	"country": "country", "region": "region", "city": "city",
	"browser": "browser", "operating system": "os", "device category": "device", "event name": "event",
}

// ga4Metrics say what a column adds to the figures.
var ga4Metrics = map[string]func(*Figures, float64){
	"active users":     func(f *Figures, n float64) { f.Visitors = count(n) },
	"total users":      func(f *Figures, n float64) { f.Visitors = max(f.Visitors, count(n)) },
	"users":            func(f *Figures, n float64) { f.Visitors = count(n) },
	"sessions":         func(f *Figures, n float64) { f.Visits = count(n) },
	"views":            func(f *Figures, n float64) { f.Pageviews = count(n) },
	"event count":      func(f *Figures, n float64) { f.Events = count(n) },
	"user engagement":  func(f *Figures, n float64) { f.Seconds = count(n) },
	"engaged sessions": func(f *Figures, n float64) { f.Bounces = count(n) }, // turned round below
}

func count(n float64) uint64 { return uint64(math.Round(math.Max(n, 0))) }

// ga4Table is one table of a file: GA4 puts several into one, each below
// comments and a line of names.
type ga4Table struct {
	place      string // file and line of its names
	start      int32  // of its period, from the comments; 0 where they do not say
	names      []string
	date, nth  int // columns, -1: none
	dimensions map[int]string
	metrics    map[int]func(*Figures, float64)
	engaged    bool
	by         string // its dimensions
}

// ga4Figure is a figure of a day, which two tables must not both give.
type ga4Figure struct {
	day        int32
	by, metric string
}

// readGA4 reads every table that has a date. GA4's figures of a period as a
// whole cannot be laid on days: such tables are named and left out.
func (r *run) readGA4(p part) error {
	var t *ga4Table
	var start int32
	return lines(p, func(n int, line string) error {
		line = strings.TrimPrefix(line, "\ufeff")
		wrong := func(format string, args ...any) error {
			return &FileError{File: p.name, Line: n, Problem: fmt.Sprintf(format, args...)}
		}
		if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok || strings.TrimSpace(line) == "" {
			t = nil
			if date, ok := strings.CutPrefix(strings.TrimSpace(comment), "Start date:"); ok {
				var good bool
				if start, good = parseDate(strings.TrimSpace(date)); !good {
					return wrong("the start date %q is none", strings.TrimSpace(date))
				}
			}
			return nil
		}
		fields, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil {
			return wrong("is no CSV: %v", err)
		}
		if t == nil {
			t = newGA4Table(start, fields)
			t.place = fmt.Sprintf("%s:%d", p.name, n)
			if t.date < 0 && t.nth < 0 || len(t.metrics) == 0 {
				r.out.Notes = append(r.out.Notes, fmt.Sprintf("%s:%d: the table of %s has no date (or no figure that is known) and is left out: add the dimension Date in Explore", p.name, n, fields[0]))
			}
			return nil
		}
		if t.date < 0 && t.nth < 0 || len(t.metrics) == 0 {
			return nil
		}
		if len(fields) != len(t.names) {
			return wrong("has %d fields, and the line of names has %d", len(fields), len(t.names))
		}
		return r.takeGA4(t, fields, wrong)
	})
}

func newGA4Table(start int32, names []string) *ga4Table {
	t := &ga4Table{start: start, names: names, date: -1, nth: -1, dimensions: map[int]string{}, metrics: map[int]func(*Figures, float64){}}
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		switch dimension, metric := ga4Dimensions[name], ga4Metrics[name]; {
		case name == "date":
			t.date = i
		case name == "nth day" && start != 0:
			t.nth = i
		case dimension != "":
			t.dimensions[i] = dimension
			t.by += " " + dimension
		case metric != nil:
			t.metrics[i] = metric
			t.engaged = t.engaged || name == "engaged sessions"
		}
	}
	return t
}

func (r *run) takeGA4(t *ga4Table, fields []string, wrong func(string, ...any) error) error {
	var d int32
	switch {
	case t.date >= 0:
		text := fields[t.date]
		if text == "" || strings.EqualFold(text, "Grand total") || strings.EqualFold(text, "Totals") {
			r.skip("lines of grand totals")
			return nil
		}
		var ok bool
		if d, ok = parseDate(text); !ok {
			return wrong("Date is %q, no date like 20251231", text)
		}
	default:
		n, err := strconv.ParseUint(fields[t.nth], 10, 16)
		if err != nil {
			return wrong("Nth day is %q, no number", fields[t.nth])
		}
		d = t.start + int32(n)
	}
	var f Figures
	for i, set := range t.metrics {
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || math.IsNaN(n) || n < 0 || n > 1e15 {
			return wrong("%s is %q, no number", t.names[i], fields[i])
		}
		set(&f, n)
	}
	if t.engaged { // what was not engaged bounced (support.google.com/analytics/answer/12195621)
		f.Bounces = f.Visits - min(f.Bounces, f.Visits)
	}
	if !r.wants(d) {
		return nil
	}
	for i := range t.metrics {
		key := ga4Figure{d, t.by, t.names[i]}
		if other := r.given[key]; other != nil && other != t {
			return wrong("%s of this day is in the table at %s already: leave one of the two out", t.names[i], other.place)
		}
		r.given[key] = t
	}
	if len(t.dimensions) == 0 {
		r.add(d, "", "", f)
	}
	for i, dimension := range t.dimensions {
		value := fields[i]
		if dimension == "source" {
			value, _, _ = strings.Cut(value, " / ")
			if value == "(direct)" {
				value = ""
			}
		}
		r.add(d, dimension, tidy(value), f)
	}
	return nil
}
