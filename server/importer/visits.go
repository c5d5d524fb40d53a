package importer

import (
	"hash/maphash"
	"slices"
	"sort"
	"time"

	"sluice/collector/enrich"
)

// idle ends a visit, as in the collector.
const idle = 30 * time.Minute

// pageview is the name of the event that a page was viewed.
const pageview = "pageview"

// hit is one event of a source that has single ones.
type hit struct {
	at      time.Time
	day     int32  // as the source says; 0: the site's day of at
	visitor uint64 // a hash of this run
	visit   uint64 // likewise; 0: one of the visitor's, by idle
	name    string
	url     enrich.Address // Host may be ""
	from    string         // the referrer's URL
	// What a visit is counted under beside the page: pairs of dimension and
	// value, those of its first hit.
	of []string
}

// visits counts hits. Whatever identifies a visitor is a hash under seed, which
// leaves with the run.
type visits struct {
	r     *run
	seed  maphash.Seed
	named map[uint64]*visit // by the source
	// Of a visitor, where the source names none: in order, with more than idle
	// between them.
	unnamed map[uint64][]*visit
	counted map[uint64]struct{}
	texts   map[string]string
}

type visit struct {
	day            int32
	visitor        uint64
	first, last    time.Time
	entry, exit    string
	views, actions uint64
	of             []string
}

func newVisits(r *run) *visits {
	return &visits{
		r: r, seed: maphash.MakeSeed(), named: map[uint64]*visit{}, unnamed: map[uint64][]*visit{},
		counted: map[uint64]struct{}{}, texts: map[string]string{},
	}
}

// key hashes what identifies somebody.
func (v *visits) key(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(v.seed)
	for _, p := range parts {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	return h.Sum64() | 1 // 0 means none
}

// keep returns a text that is held once, not as a part of each line.
func (v *visits) keep(s string) string {
	if kept, ok := v.texts[s]; ok {
		return kept
	}
	kept := string([]byte(s))
	v.texts[kept] = kept
	return kept
}

// take counts a hit.
func (v *visits) take(h hit) {
	if h.day == 0 {
		h.day = v.r.dayIn(h.at)
	}
	if !v.r.wants(h.day) {
		return
	}
	page := enrich.ReadPage(h.url)
	whole := Figures{Events: 1}
	if h.name == pageview {
		whole.Pageviews = 1
	}
	if v.once(h.day, "", "", h.visitor) {
		whole.Visitors = 1
	}
	v.r.add(h.day, "", "", whole)
	if h.name == pageview {
		v.count(h.day, "page", page.Path, h.visitor, Figures{Pageviews: 1})
	} else {
		v.count(h.day, "event", h.name, h.visitor, Figures{Events: 1})
	}
	at := v.find(h)
	early, late := at.actions == 0 || h.at.Before(at.first), !h.at.Before(at.last)
	at.actions++
	if h.name == pageview {
		at.views++
		path := v.keep(page.Path)
		if at.entry == "" || early {
			at.entry = path
		}
		if at.exit == "" || late {
			at.exit = path
		}
	}
	if early {
		at.first, at.day, at.of = h.at, h.day, v.labels(h, &page)
	}
	if late {
		at.last = h.at
	}
}

// find returns the visit of a hit, a new one where it belongs to none. Hits may
// come in any order: a hit opens a visit where there is none within idle before
// or after it, and makes one of two that it lies between.
func (v *visits) find(h hit) *visit {
	opened := func() *visit { return &visit{visitor: h.visitor, first: h.at, last: h.at} }
	if h.visit != 0 {
		if v.named[h.visit] == nil {
			v.named[h.visit] = opened()
		}
		return v.named[h.visit]
	}
	all := v.unnamed[h.visitor]
	i := sort.Search(len(all), func(i int) bool { return h.at.Sub(all[i].last) <= idle })
	switch {
	case i == len(all) || all[i].first.Sub(h.at) > idle:
		all = slices.Insert(all, i, opened())
	case i+1 < len(all) && all[i+1].first.Sub(h.at) <= idle:
		all[i].join(all[i+1])
		all = slices.Delete(all, i+1, i+2)
	}
	v.unnamed[h.visitor] = all
	return all[i]
}

// join adds what turns out to be the same visit's later half.
func (a *visit) join(b *visit) {
	a.last = b.last
	a.views += b.views
	a.actions += b.actions
	if a.entry == "" {
		a.entry = b.entry
	}
	if b.exit != "" {
		a.exit = b.exit
	}
}

// labels are what a visit that begins with this hit is counted under.
func (v *visits) labels(h hit, page *enrich.Page) []string {
	referrer := enrich.ReadReferrer(h.from, v.r.o.Owns)
	arrival := enrich.ReadArrival(page, referrer.From)
	of := slices.Concat(h.of, []string{
		"source", arrival.Source.Name, "channel", string(arrival.Channel), "referrer", referrer.URL,
		"utm_source", page.UTM.Source, "utm_medium", page.UTM.Medium, "utm_campaign", page.UTM.Campaign,
		"utm_term", page.UTM.Term, "utm_content", page.UTM.Content,
	})
	for i, text := range of {
		of[i] = v.keep(text)
	}
	return of
}

// once reports whether a visitor is seen for the first time under a value of a
// day.
func (v *visits) once(day int32, dimension, value string, visitor uint64) bool {
	key := maphash.Comparable(v.seed, struct {
		day              int32
		dimension, value string
		visitor          uint64
	}{day, dimension, value, visitor})
	if _, ok := v.counted[key]; ok {
		return false
	}
	v.counted[key] = struct{}{}
	return true
}

// count adds figures to a value of a dimension, and the visitor once.
func (v *visits) count(day int32, dimension, value string, visitor uint64, f Figures) {
	if v.once(day, dimension, value, visitor) {
		f.Visitors = 1
	}
	v.r.add(day, dimension, value, f)
}

// unlabelled are dimensions whose empty value says nothing.
var unlabelled = []string{
	"referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "country", "region", "city",
	"browser", "os", "device",
}

// finish counts every visit on the day on which it began.
func (v *visits) finish() {
	for _, at := range v.named {
		v.end(at)
	}
	for _, all := range v.unnamed {
		for _, at := range all {
			v.end(at)
		}
	}
}

func (v *visits) end(at *visit) {
	f := Figures{Visits: 1, Seconds: uint64(at.last.Sub(at.first) / time.Second)}
	if at.views == 1 && at.actions == 1 {
		f.Bounces = 1
	}
	v.r.add(at.day, "", "", f)
	f.Pageviews, f.Events = at.views, at.actions
	if at.entry != "" {
		v.count(at.day, "entry_page", at.entry, at.visitor, f)
		v.count(at.day, "exit_page", at.exit, at.visitor, Figures{Visits: 1})
	}
	for pair := range slices.Chunk(at.of, 2) {
		if pair[1] != "" || !slices.Contains(unlabelled, pair[0]) {
			v.count(at.day, pair[0], pair[1], at.visitor, f)
		}
	}
}
