package importer

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/collector/enrich"
)

// Row is the figures of one day for one value of a dimension.
type Row struct {
	Date time.Time // midnight UTC of the site's calendar day
	// Dimension is "" for the whole day, else page, entry_page, exit_page,
	// source, channel, referrer, utm_source, utm_medium, utm_campaign, utm_term,
	// utm_content, country, region, city, browser, os, device or event.
	Dimension, Value string
	Figures
}

// Figures are counts that can be added up over days; visitors are those of each
// day, so a sum counts somebody who came on two days twice.
type Figures struct{ Visitors, Visits, Pageviews, Events, Bounces, Seconds uint64 }

func (f *Figures) add(o Figures) {
	f.Visitors += o.Visitors
	f.Visits += o.Visits
	f.Pageviews += o.Pageviews
	f.Events += o.Events
	f.Bounces += o.Bounces
	f.Seconds += o.Seconds
}

// Import is what a run of one tool's files comes to.
type Import struct {
	// ID is made of the tool, the site, the bounds and the files' content: the
	// same import has the same one.
	ID       uuid.UUID
	Tool     string
	From, To time.Time // first and last day, midnight UTC
	Rows     []Row     // in order of date, dimension and value
	Source   Figures   // added up line by line as the source was read
	Lines    uint64    // of the source that were taken
	Skipped  map[string]uint64
	Notes    []string // what was left out, or has to be known of the figures
}

// Options say what to read.
type Options struct {
	Tool     string // one of Tools
	Site     string
	Zone     *time.Location         // of the site; nil means UTC
	Owns     func(host string) bool // whether a referrer is a page of the site itself; nil: by the site's domain
	From, To time.Time              // days to take, midnight UTC, both included; zero: no bound
	// Progress is told how many of how many bytes are read; nil: nobody is.
	Progress func(done, total int64)
}

// FileError is a source that cannot be understood, with its place.
type FileError struct {
	File    string
	Line    int // from 1; 0 where the whole file is meant
	Problem string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

// tool is a source; read takes one part (a file, or an entry of a zip) after the
// other. events is a source of single ones: what belongs together among them is
// told by their times.
type tool struct {
	name, what string
	read       func(r *run, p part) error
	events     bool
}

var tools = []tool{
	{"ga4", "CSV files of GA4's reports and explorations that have a date", (*run).readGA4, false},
	{"bigquery", "GA4's BigQuery export as JSON, one event a line", (*run).readBigQuery, true},
	{"plausible", "Plausible's export, the zip or its CSV files", (*run).readPlausible, false},
	{"umami", "Umami's export of website_event as CSV", (*run).readUmami, true},
	{"goatcounter", "GoatCounter's CSV export", (*run).readGoatCounter, true},
	{"log", "access logs in the combined format, or vhost_combined", (*run).readLog, true},
}

// Tools lists the names of what can be read.
func Tools() []string {
	out := make([]string, len(tools))
	for i, t := range tools {
		out[i] = t.name
	}
	return out
}

// run is one import on its way.
type run struct {
	o     Options
	rows  map[rowKey]*Figures
	hits  *visits
	out   *Import
	given map[ga4Figure]*ga4Table
	first *time.Time // where it is not nil, the first event is looked for, and no other
}

type rowKey struct {
	day              int32 // since 1970
	dimension, value string
}

// Read reads the files of one import; .gz and .zip are unpacked on the way. The
// error is a *FileError where a source is at fault.
func Read(o Options, files []string) (*Import, error) {
	i := slices.IndexFunc(tools, func(t tool) bool { return t.name == o.Tool })
	if i < 0 {
		return nil, fmt.Errorf("there is no import from %q: use one of %s", o.Tool, strings.Join(Tools(), ", "))
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Owns == nil {
		o.Owns = func(host string) bool { return host == o.Site || strings.HasSuffix(host, "."+o.Site) }
	}
	r := newRun(o)
	var first func(part) time.Time
	if tools[i].events {
		first = func(p part) time.Time { return firstEvent(o, tools[i], p) }
	}
	sums, err := eachPart(files, o.Progress, first, func(p part) error { return tools[i].read(r, p) })
	if err != nil {
		return nil, err
	}
	r.hits.finish()
	if len(r.rows) == 0 {
		return nil, &FileError{File: strings.Join(files, ", "), Problem: "holds nothing to import" + r.because() + "; wanted are " + tools[i].what}
	}
	r.finish(sums)
	return r.out, nil
}

func newRun(o Options) *run {
	r := &run{o: o, rows: map[rowKey]*Figures{}, given: map[ga4Figure]*ga4Table{}, out: &Import{Tool: o.Tool, Skipped: map[string]uint64{}}}
	r.hits = newVisits(r)
	return r
}

// errFound ends a search for the first event.
var errFound = errors.New("the first event is found")

// firstEvent is when the first event of a part was, within the bounds or not;
// zero where it has none.
func firstEvent(o Options, of tool, p part) time.Time {
	r := newRun(o)
	r.first = new(time.Time)
	_ = of.read(r, p) // what is wrong with the part is said when it is read
	return *r.first
}

// hit takes an event of a source that has single ones.
func (r *run) hit(h hit) error {
	if r.first != nil {
		*r.first = h.at
		return errFound
	}
	r.hits.take(h)
	return nil
}

// because says why nothing may have been found.
func (r *run) because() string {
	var reasons []string
	for reason, n := range r.out.Skipped {
		reasons = append(reasons, fmt.Sprintf("%d lines: %s", n, reason))
	}
	slices.Sort(reasons)
	if reasons = append(reasons, r.out.Notes...); len(reasons) > 0 {
		return " (" + strings.Join(reasons, "; ") + ")"
	}
	return ""
}

// finish puts the rows in order and names the import.
func (r *run) finish(sums [][sha256.Size]byte) {
	r.totals()
	out := r.out
	out.Rows = make([]Row, 0, len(r.rows))
	for k, f := range r.rows {
		out.Rows = append(out.Rows, Row{Date: time.Unix(int64(k.day)*86400, 0).UTC(), Dimension: k.dimension, Value: k.value, Figures: *f})
	}
	slices.SortFunc(out.Rows, func(a, b Row) int {
		return cmp.Or(a.Date.Compare(b.Date), strings.Compare(a.Dimension, b.Dimension), strings.Compare(a.Value, b.Value))
	})
	out.From, out.To = out.Rows[0].Date, out.Rows[len(out.Rows)-1].Date
	slices.SortFunc(sums, func(a, b [sha256.Size]byte) int { return slices.Compare(a[:], b[:]) })
	h := sha256.New()
	// The zone and the bounds decide which day a line counts for.
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%d\x00%d\x00", r.o.Tool, r.o.Site, r.o.Zone, day(r.o.From), day(r.o.To))
	for _, sum := range sums {
		h.Write(sum[:])
	}
	id, err := uuid.FromBytes(h.Sum(nil)[:16])
	if err != nil {
		panic(err) // sixteen bytes
	}
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // RFC 9562, version 8: made by a rule of our own
	out.ID = id
}

// totalsFrom are the dimensions that stand in for a source without figures of
// whole days, the best first: each line of a page or event has one value.
var totalsFrom = []string{"page", "event", "device", "country", "channel", "source"}

// totals makes the figures of whole days where the source has none.
func (r *run) totals() {
	for k := range r.rows {
		if k.dimension == "" {
			return
		}
	}
	for _, dimension := range totalsFrom {
		found := false
		for k, f := range r.rows {
			if k.dimension != dimension {
				continue
			}
			found = true
			r.row(k.day, "", "").add(*f)
			r.out.Source.add(*f)
		}
		if found {
			r.out.Notes = append(r.out.Notes, fmt.Sprintf("there is no table by date alone: the figures of whole days are sums over every %s, and count a visitor once for each", dimension))
			return
		}
	}
}

// row returns the figures of a day and value, new ones at first.
func (r *run) row(day int32, dimension, value string) *Figures {
	k := rowKey{day, dimension, value}
	f := r.rows[k]
	if f == nil {
		f = &Figures{}
		k.value = strings.Clone(value) // it may be part of a whole line
		r.rows[k] = f
	}
	return f
}

// add adds up the figures of one line. Those of a whole day are the source's
// totals.
func (r *run) add(day int32, dimension, value string, f Figures) {
	r.row(day, dimension, value).add(f)
	if dimension == "" {
		r.out.Source.add(f)
	}
}

// maxValue bounds what is kept of a value, in characters, as that of a path.
const maxValue = 2000

// tidy makes a value of another tool's fit to be kept: cut, without control
// characters, and with e-mail addresses and tokens masked, as those of events.
func tidy(value string) string {
	value, _ = enrich.Cut(enrich.Clean(value), maxValue)
	value, _ = (*enrich.Rules)(nil).Mask(value)
	return value
}

// wants reports whether a day lies within the bounds, and counts the line.
func (r *run) wants(d int32) bool {
	if !r.o.From.IsZero() && d < day(r.o.From) || !r.o.To.IsZero() && d > day(r.o.To) {
		r.skip("outside of --from and --to")
		return false
	}
	r.out.Lines++
	return true
}

func (r *run) skip(reason string) { r.out.Skipped[reason]++ }

// day is the calendar day of a midnight UTC, in days since 1970.
func day(midnight time.Time) int32 {
	if midnight.IsZero() {
		return 0
	}
	return int32(midnight.Unix() / 86400)
}

// dayIn is the calendar day of a moment in the site's zone.
func (r *run) dayIn(at time.Time) int32 {
	y, m, d := at.In(r.o.Zone).Date()
	return day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
}
