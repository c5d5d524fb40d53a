package importer

import (
	"strings"
	"time"
)

// umamiTimes are the layouts of created_at: of a CSV out of ClickHouse, of
// PostgreSQL and of JSON.
var umamiTimes = []string{time.DateTime, "2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05-07", time.RFC3339Nano}

// readUmami reads rows of website_event. Times without a zone are UTC.
func (r *run) readUmami(p part) error {
	t, err := openTable(p, "session_id", "created_at", "url_path")
	if err != nil {
		return err
	}
	for {
		more, err := t.next()
		if !more || err != nil {
			return err
		}
		at, ok := parseTime(t.text("created_at"), umamiTimes)
		if !ok {
			return t.wrong("created_at is %q, no time like 2025-12-31 10:00:00", t.text("created_at"))
		}
		h := hit{at: at, visitor: r.hits.key(t.text("session_id")), name: pageview, of: []string{
			"country", t.text("country"), "region", t.text("region"), "city", t.text("city"),
			"browser", t.text("browser"), "os", t.text("os"), "device", t.text("device"),
		}}
		if visit := t.text("visit_id"); visit != "" {
			h.visit = r.hits.key(visit)
		}
		switch kind := t.text("event_type"); kind {
		case "", "1":
		case "2":
			if h.name = strings.Clone(t.text("event_name")); h.name == "" {
				return t.wrong("event_type is 2, and event_name is empty")
			}
		default:
			r.skip("event_type " + kind + " of Umami")
			continue
		}
		h.url.Host, h.url.Path, h.url.Query = t.text("hostname"), t.text("url_path"), t.text("url_query")
		if host := t.text("referrer_domain"); host != "" {
			h.from = "https://" + host + t.text("referrer_path")
		}
		if err := r.hit(h); err != nil {
			return err
		}
	}
}

func parseTime(text string, layouts []string) (time.Time, bool) {
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
