package importer

import (
	"strings"
	"time"
)

// readGoatCounter reads an export: its first column's name begins with the
// version of the layout.
func (r *run) readGoatCounter(p part) error {
	t, err := openTable(p, "2path", "event", "session", "date")
	if err != nil {
		return err
	}
	for {
		more, err := t.next()
		if !more || err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339, t.text("date"))
		if err != nil {
			return t.wrong("Date is %q, no time like 2025-12-31T10:00:00Z", t.text("date"))
		}
		if bot := t.text("bot"); bot != "" && bot != "0" {
			r.skip("bots, as GoatCounter found them")
			continue
		}
		country, region, _ := strings.Cut(t.text("location"), "-")
		if region != "" {
			region = t.text("location")
		}
		h := hit{at: at, visitor: r.hits.key(t.text("session")), name: pageview, of: []string{
			"country", country, "region", region, "browser", leading(t.text("browser")), "os", leading(t.text("system")),
		}}
		if event := t.text("event"); event == "true" || event == "1" {
			h.name = strings.Clone(t.text("2path"))
		} else {
			h.url.Path, h.url.Query, _ = strings.Cut(t.text("2path"), "?")
			h.url.Path = "/" + strings.TrimPrefix(h.url.Path, "/")
		}
		switch referrer := t.text("referrer"); t.text("referrer scheme") {
		case "h": // an address, without its scheme
			h.from = "https://" + strings.TrimPrefix(strings.TrimPrefix(referrer, "https://"), "http://")
		case "g", "c", "o": // a name that GoatCounter made: of a group, a campaign, or one that is no address
			h.of = append(h.of, "referrer", referrer)
			h.url.Query = "ref=" + escaped(referrer)
		}
		if err := r.hit(h); err != nil {
			return err
		}
	}
}

// leading is a browser's or system's name without its version: "Firefox 145".
func leading(s string) string {
	i := strings.LastIndexByte(s, ' ')
	if i > 0 && strings.Trim(s[i+1:], "0123456789._") == "" {
		return s[:i]
	}
	return s
}

func escaped(s string) string {
	return strings.NewReplacer("%", "%25", "&", "%26", " ", "+").Replace(s)
}
