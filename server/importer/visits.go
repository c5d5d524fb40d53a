package importer

import (
	"hash/maphash"
	"slices"
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
	visit   uint64 // likewise; 0: the visitor's, until idle
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
	r       *run
	seed    maphash.Seed
	known   map[visitKey]*visit
	latest  map[uint64]*visit // of a visitor, where the source names no visits
	counted map[uint64]struct{}
	texts   map[string]string
}

type visitKey struct {
	id uint64
	n  int // of a visitor's visits that the source does not name
}

type visit struct {
	day            int32
	visitor        uint64
	n              int
	first, last    time.Time
	entry, exit    string
	views, actions uint64
	of             []string
}

func newVisits(r *run) *visits {
	return &visits{
		r: r, seed: maphash.MakeSeed(), known: map[visitKey]*visit{}, latest: map[uint64]*visit{},
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
	at := v.find(h, &page)
	at.actions++
	early, late := h.at.Before(at.first), !h.at.Before(at.last)
	if h.name == pageview {
		at.views++
		path := v.keep(page.Path)
		if at.entry == "" || early {
			at.entry = path
		}
		if late {
			at.exit = path
		}
	}
	if early {
		at.first = h.at
	}
	if late {
		at.last = h.at
	}
}

// find returns the visit of a hit, opened by it where it is new.
func (v *visits) find(h hit, page *enrich.Page) *visit {
	key := visitKey{id: h.visit}
	var before *visit
	if h.visit == 0 {
		key.id = h.visitor
		if before = v.latest[h.visitor]; before != nil {
			key.n = before.n
			if h.at.Sub(before.last) > idle {
				key.n++
			}
		}
	}
	if known := v.known[key]; known != nil {
		return known
	}
	referrer := enrich.ReadReferrer(h.from, v.r.o.Owns)
	arrival := enrich.ReadArrival(page, referrer.From)
	opened := &visit{day: h.day, visitor: h.visitor, n: key.n, first: h.at, last: h.at}
	for _, text := range slices.Concat(h.of, []string{
		"source", arrival.Source.Name, "channel", string(arrival.Channel), "referrer", referrer.URL,
		"utm_source", page.UTM.Source, "utm_medium", page.UTM.Medium, "utm_campaign", page.UTM.Campaign,
		"utm_term", page.UTM.Term, "utm_content", page.UTM.Content,
	}) {
		opened.of = append(opened.of, v.keep(text))
	}
	v.known[key] = opened
	if h.visit == 0 {
		v.latest[h.visitor] = opened
	}
	return opened
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
	for _, visit := range v.known {
		f := Figures{Visits: 1, Seconds: uint64(visit.last.Sub(visit.first) / time.Second)}
		if visit.views == 1 && visit.actions == 1 {
			f.Bounces = 1
		}
		v.r.add(visit.day, "", "", f)
		f.Pageviews, f.Events = visit.views, visit.actions
		if visit.entry != "" {
			v.count(visit.day, "entry_page", visit.entry, visit.visitor, f)
			v.count(visit.day, "exit_page", visit.exit, visit.visitor, Figures{Visits: 1})
		}
		for pair := range slices.Chunk(visit.of, 2) {
			if pair[1] != "" || !slices.Contains(unlabelled, pair[0]) {
				v.count(visit.day, pair[0], pair[1], visit.visitor, f)
			}
		}
	}
}
