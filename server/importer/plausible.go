package importer

import (
	"path"
	"strings"
)

// plausibleTables are the files of Plausible's export: which columns are
// dimensions of ours, and what its counts of visits and events are called.
var plausibleTables = map[string]struct {
	dimensions map[string]string // column → dimension
	visits     string
}{
	"imported_visitors":          {nil, "visits"},
	"imported_sources":           {map[string]string{"source": "source", "referrer": "referrer", "utm_source": "utm_source", "utm_medium": "utm_medium", "utm_campaign": "utm_campaign", "utm_term": "utm_term", "utm_content": "utm_content", "channel": "channel"}, "visits"},
	"imported_pages":             {map[string]string{"page": "page"}, "visits"},
	"imported_entry_pages":       {map[string]string{"entry_page": "entry_page"}, "entrances"},
	"imported_exit_pages":        {map[string]string{"exit_page": "exit_page"}, "exits"},
	"imported_custom_events":     {map[string]string{"name": "event"}, "visits"},
	"imported_locations":         {map[string]string{"country": "country", "region": "region", "city": "city"}, "visits"},
	"imported_devices":           {map[string]string{"device": "device"}, "visits"},
	"imported_browsers":          {map[string]string{"browser": "browser"}, "visits"},
	"imported_operating_systems": {map[string]string{"operating_system": "os"}, "visits"},
}

// readPlausible reads one table of the export; its name says which.
func (r *run) readPlausible(p part) error {
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(p.name), ".gz"), ".csv")
	base := strings.TrimRight(name, "0123456789_")
	spec, ok := plausibleTables[base]
	if !ok {
		return &FileError{File: p.name, Problem: "is no table of Plausible's export, such as imported_visitors_20250101_20251231.csv"}
	}
	t, err := openTable(p, "date")
	if err != nil {
		return err
	}
	for {
		more, err := t.next()
		if !more || err != nil {
			return err
		}
		d, err := t.date("date")
		if err != nil {
			return err
		}
		f := Figures{
			Visitors: t.number("visitors", &err), Visits: t.number(spec.visits, &err), Pageviews: t.number("pageviews", &err),
			Events: t.number("events", &err), Bounces: t.number("bounces", &err), Seconds: t.number("visit_duration", &err),
		}
		if err != nil {
			return err
		}
		if !r.wants(d) {
			continue
		}
		if spec.dimensions == nil {
			r.add(d, "", "", f)
		}
		for column, dimension := range spec.dimensions {
			if _, has := t.columns[column]; !has {
				continue
			}
			if value := t.text(column); value != "" || dimension == "source" {
				r.add(d, dimension, tidy(value), f)
			}
		}
	}
}
