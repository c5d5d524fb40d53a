package demo

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"sluice/collector"
	"sluice/consent"
)

// weighted is a list that draw picks from in proportion to its weights.
type weighted[T any] []struct {
	value  T
	weight float64
}

func draw[T any](r *rand.Rand, list weighted[T]) T {
	var sum float64
	for _, e := range list {
		sum += e.weight
	}
	at := r.Float64() * sum
	for _, e := range list {
		if at -= e.weight; at < 0 {
			return e.value
		}
	}
	return list[len(list)-1].value
}

// origin is where a visit comes from.
type origin struct {
	source, channel, referrer   string
	medium, campaign, utmSource string
	intent                      float64 // how likely its visitors are to go on, 1: average
}

var origins = weighted[origin]{
	{origin{source: "", channel: "Direct", intent: 1.15}, 29},
	{origin{source: "Google", channel: "Organic Search", referrer: "https://www.google.com/", intent: 1}, 32},
	{origin{source: "Instagram", channel: "Organic Social", referrer: "https://l.instagram.com/", intent: 0.7}, 10},
	{origin{source: "Pinterest", channel: "Organic Social", referrer: "https://www.pinterest.com/", intent: 0.75}, 6},
	{origin{source: "Google", channel: "Paid Search", referrer: "https://www.google.com/", utmSource: "google", medium: "cpc", campaign: "handmade-vases", intent: 1.2}, 7},
	{origin{source: "newsletter", channel: "Email", utmSource: "newsletter", medium: "email", campaign: "kiln-letter", intent: 1.6}, 6},
	{origin{source: "DuckDuckGo", channel: "Organic Search", referrer: "https://duckduckgo.com/", intent: 1}, 4},
	{origin{source: "Bing", channel: "Organic Search", referrer: "https://www.bing.com/", intent: 0.9}, 3},
	{origin{source: "Hacker News", channel: "Referral", referrer: "https://news.ycombinator.com/", intent: 0.4}, 2},
	{origin{source: "ceramics.example", channel: "Referral", referrer: "https://ceramics.example/best-workshops", intent: 1.3}, 2},
}

// machine is a browser on a system, consistent in itself.
type machine struct {
	browser, version, os, osVersion, device string
	width, height                           uint16
}

var machines = weighted[machine]{
	{machine{"Safari", "26.1", "iOS", "26.1", "mobile", 390, 844}, 27},
	{machine{"Chrome", "142.0", "Android", "16", "mobile", 412, 915}, 25},
	{machine{"Samsung Internet", "28.0", "Android", "15", "mobile", 384, 832}, 4},
	{machine{"Chrome", "142.0", "Windows", "10", "desktop", 1920, 1080}, 17},
	{machine{"Edge", "142.0", "Windows", "10", "desktop", 1536, 864}, 6},
	{machine{"Firefox", "145.0", "Linux", "", "desktop", 1920, 1200}, 4},
	{machine{"Safari", "26.1", "macOS", "15.7", "desktop", 1512, 982}, 10},
	{machine{"Chrome", "142.0", "macOS", "15.7", "desktop", 1728, 1117}, 4},
	{machine{"Safari", "26.1", "iOS", "26.1", "tablet", 820, 1180}, 3},
}

// home is where a visitor lives and reads.
type home struct{ country, language string }

var homes = weighted[home]{
	{home{"DE", "de"}, 29}, {home{"FR", "fr"}, 13}, {home{"US", "en"}, 12}, {home{"GB", "en"}, 11}, {home{"NL", "nl"}, 9},
	{home{"AT", "de"}, 6}, {home{"CH", "de"}, 5}, {home{"ES", "es"}, 4}, {home{"IT", "it"}, 4}, {home{"SE", "sv"}, 4}, {home{"PL", "pl"}, 3},
}

// busy is the share of a day's visits in each hour, in the shop's own time.
var busy = [24]float64{8, 5, 3, 2, 2, 4, 9, 18, 28, 34, 38, 40, 42, 38, 36, 37, 40, 46, 54, 62, 66, 54, 34, 18}

// crowd is how many visits a day attracts, relative to the others: more on
// weekdays, more towards Christmas, a little more every month.
func crowd(day time.Time, progress float64) float64 {
	week := [7]float64{0.72, 1.12, 1.08, 1.1, 1.05, 0.98, 0.78}[day.Weekday()]
	season := 1 + 0.35*math.Exp(-math.Pow(float64(day.YearDay()-335)/22, 2))
	return week * season * (0.75 + 0.5*progress)
}

// hour draws an hour of the day.
func hour(r *rand.Rand) int {
	var sum float64
	for _, b := range busy {
		sum += b
	}
	at := r.Float64() * sum
	for h, b := range busy {
		if at -= b; at < 0 {
			return h
		}
	}
	return 12
}

// person is somebody who may come back.
type person struct {
	visitor string
	machine machine
	home    home
}

func newPerson(r *rand.Rand) person {
	var id [12]byte
	binary.BigEndian.PutUint64(id[:], r.Uint64())
	binary.BigEndian.PutUint32(id[8:], r.Uint32())
	return person{visitor: base64.RawURLEncoding.EncodeToString(id[:]), machine: draw(r, machines), home: draw(r, homes)}
}

// steps draws the pages of a visit and what is done on them; the empty name is
// a pageview.
func steps(r *rand.Rand, intent float64) (pages []step) {
	product := func() string { return Paths()[r.IntN(len(Products))] }
	goOn := func(p float64) bool { return r.Float64() < min(p*intent, 0.97) }
	if r.Float64() < 0.58 {
		pages = append(pages, step{path: "/"})
		if !goOn(0.62) {
			return pages
		}
	}
	at := product()
	pages = append(pages, step{path: at})
	for goOn(0.34) {
		at = product()
		pages = append(pages, step{path: at})
	}
	if !goOn(0.24) {
		return pages
	}
	pages = append(pages, step{path: at, event: "Add to cart"}, step{path: "/cart"})
	if !goOn(0.55) {
		return pages
	}
	pages = append(pages, step{path: "/checkout"})
	if !goOn(0.6) {
		return pages
	}
	return append(pages, step{path: "/checkout", event: "Purchase"}, step{path: "/thanks"})
}

type step struct{ path, event string }

// visit turns a person, an origin and a start into the events of one visit.
func visit(r *rand.Rand, site string, who person, from origin, start time.Time) []collector.Event {
	base := collector.Event{
		Site: site, Visitor: who.visitor, SessionStart: start.Unix(), Hostname: site,
		Country: who.home.country, Language: who.home.language,
		Browser: who.machine.browser, BrowserVersion: who.machine.version,
		OS: who.machine.os, OSVersion: who.machine.osVersion, Device: who.machine.device,
		ScreenWidth: who.machine.width, ScreenHeight: who.machine.height,
		Source: from.source, Channel: from.channel, Referrer: from.referrer,
		UTMSource: from.utmSource, UTMMedium: from.medium, UTMCampaign: from.campaign,
	}
	base.Session = who.visitor + "." + start.Format("0102150405")
	var out []collector.Event
	at := start
	add := func(e collector.Event) {
		e.ID = base.Session + "." + string(rune('a'+len(out)%26)) + string(rune('a'+len(out)/26))
		e.Time, e.SessionFirst = at, len(out) == 0
		out = append(out, e)
	}
	left := func(e collector.Event) { // its page
		for _, m := range measured(r, e) {
			add(m)
		}
	}
	var engaged uint32
	last := base
	for _, s := range steps(r, from.intent) {
		e := base
		e.Name, e.Path, e.Title = "pageview", s.path, titleOf(s.path)
		switch s.event {
		case "Add to cart":
			e.Name, e.Props = s.event, []collector.Prop{{Key: "product", Value: s.path[len("/product/"):]}}
		case "Purchase":
			e.Name, e.Revenue, e.Currency = s.event, "48.00", "EUR"
		}
		if len(out) > 0 {
			pause := time.Duration(4+r.ExpFloat64()*26) * time.Second
			at = at.Add(pause)
			engaged += uint32(pause.Milliseconds())
		}
		if last.Name == consent.EventPageview && e.Name == consent.EventPageview {
			left(last)
		}
		add(e)
		last = e
	}
	stay := time.Duration(2+r.ExpFloat64()*18) * time.Second
	at = at.Add(stay)
	if last.Name == consent.EventPageview {
		left(last)
	}
	last.Name, last.Props, last.Revenue, last.Currency = "engagement", nil, "", ""
	last.EngagementMS = engaged + uint32(stay.Milliseconds())
	add(last)
	return out
}
