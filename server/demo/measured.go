package demo

import (
	"math"
	"math/rand/v2"

	"sluice/collector"
	"sluice/consent"
)

// measured draws what the script measures by itself of a page view: how far it
// was scrolled, how fast it was, and now and then what was followed or looked
// for. e is the page view, which another device loads at another pace.
func measured(r *rand.Rand, e collector.Event) (out []collector.Event) {
	add := func(name string, props ...collector.Prop) {
		m := e
		m.Name, m.Props = name, props
		out = append(out, m)
	}
	add(consent.EventScroll, collector.Prop{Key: "percent_scrolled", Value: math.Min(100, math.Round(30+r.ExpFloat64()*35))})
	if r.Float64() < 0.5 {
		slow := 1.0
		if e.Device == "mobile" {
			slow = 1.7
		}
		if e.Path == "/" { // a large picture, and a banner that comes late
			slow *= 1.4
		}
		add(consent.EventWebVital,
			collector.Prop{Key: "CLS", Value: math.Round(r.ExpFloat64()*0.04*slow*1e4) / 1e4},
			collector.Prop{Key: "INP", Value: 8 * math.Round(3+r.ExpFloat64()*9*slow)},
			collector.Prop{Key: "LCP", Value: math.Round(500 + r.ExpFloat64()*900*slow)},
			collector.Prop{Key: "TTFB", Value: math.Round(60 + r.ExpFloat64()*140*slow)})
	}
	switch {
	case e.Path == "/" && r.Float64() < 0.08:
		terms := []string{"blue vase", "workshop", "bowl", "gift card", "teapot", "opening hours"}
		add(consent.EventSearch, collector.Prop{Key: "search_term", Value: terms[min(int(r.ExpFloat64()*1.5), len(terms)-1)]})
	case e.Path == "/thanks" && r.Float64() < 0.3:
		add(consent.EventFileDownload, link("https://"+e.Hostname+"/files/care.pdf"),
			collector.Prop{Key: "file_extension", Value: "pdf"}, collector.Prop{Key: "file_name", Value: "/files/care.pdf"})
	case r.Float64() < 0.02:
		host := []string{"www.instagram.com", "ceramics.example", "maps.example"}[r.IntN(3)]
		add(consent.EventOutboundLink, collector.Prop{Key: "link_domain", Value: host}, link("https://"+host+"/kiln"))
	case r.Float64() < 0.01:
		e.Path, e.Title = "/workshops/2025", "Not found" // somebody's old bookmark
		add(consent.EventPageview)
		add(consent.EventNotFound)
	}
	return out
}

func link(url string) collector.Prop { return collector.Prop{Key: "link_url", Value: url} }
