package importer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"sluice/collector/enrich"
)

// bigEvent is what is read of a row of GA4's BigQuery export. Numbers come as
// numbers or as texts, by how the table was written out.
type bigEvent struct {
	Date   string      `json:"event_date"` // 20251231, in the property's time zone
	Time   json.Number `json:"event_timestamp"`
	Name   string      `json:"event_name"`
	Pseudo string      `json:"user_pseudo_id"`
	Params []struct {
		Key   string `json:"key"`
		Value struct {
			String string      `json:"string_value"`
			Int    json.Number `json:"int_value"`
		} `json:"value"`
	} `json:"event_params"`
	Device struct {
		Category string `json:"category"`
		OS       string `json:"operating_system"`
		Web      struct {
			Browser string `json:"browser"`
		} `json:"web_info"`
		Browser string `json:"browser"`
	} `json:"device"`
	Geo struct {
		Country string `json:"country"`
		Region  string `json:"region"`
		City    string `json:"city"`
	} `json:"geo"`
}

// readBigQuery reads one JSON object a line. GA4's page_view is a pageview;
// session_start, first_visit and user_engagement are its own book-keeping.
func (r *run) readBigQuery(p part) error {
	return lines(p, func(n int, line string) error {
		if line == "" {
			return nil
		}
		wrong := func(format string, args ...any) error {
			return &FileError{File: p.name, Line: n, Problem: fmt.Sprintf(format, args...)}
		}
		var e bigEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return wrong("is no JSON object of an event: %v", err)
		}
		d, ok := parseDate(e.Date)
		if !ok {
			return wrong("event_date is %q, no date like 20251231", e.Date)
		}
		micros, err := strconv.ParseInt(e.Time.String(), 10, 64)
		if err != nil {
			return wrong("event_timestamp is %q, no count of microseconds", e.Time)
		}
		switch e.Name {
		case "":
			return wrong("has no event_name")
		case "session_start", "first_visit", "user_engagement":
			r.skip("book-keeping of GA4 (session_start, first_visit, user_engagement)")
			return nil
		}
		h := hit{at: time.UnixMicro(micros), day: d, visitor: r.hits.key(e.Pseudo), name: e.Name, of: []string{
			"country", e.Geo.Country, "region", e.Geo.Region, "city", e.Geo.City,
			"browser", e.Device.Web.Browser + unless(e.Device.Web.Browser, e.Device.Browser), "os", e.Device.OS, "device", e.Device.Category,
		}}
		if h.name == "page_view" {
			h.name = pageview
		}
		for _, param := range e.Params {
			switch param.Key {
			case "page_location":
				h.url, _ = enrich.ParseAddress(param.Value.String)
			case "page_referrer":
				h.from = param.Value.String
			case "ga_session_id":
				h.visit = r.hits.key(e.Pseudo, param.Value.Int.String())
			}
		}
		return r.hit(h)
	})
}

// unless is other where s is empty, else nothing.
func unless(s, other string) string {
	if s != "" {
		return ""
	}
	return other
}
