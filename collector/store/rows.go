package store

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

// Each row type names every column of its table that is written, once, in its
// ch tags. Rows are inserted by struct.

// origin says which record of which spool a row was made from. It is what
// makes writing idempotent: a row is there or not, whatever else happened.
type origin struct {
	KeepUntil time.Time `ch:"keep_until"`
	SpoolID   uuid.UUID `ch:"spool_id"`
	Seq       uint64    `ch:"seq"`
}

type eventRow struct {
	EventID        string          `ch:"event_id"`
	Site           string          `ch:"site"`
	Test           bool            `ch:"test"`
	Time           time.Time       `ch:"ts"`
	Name           string          `ch:"name"`
	Visitor        string          `ch:"visitor"`
	Session        string          `ch:"session"`
	SessionStart   time.Time       `ch:"session_start"`
	SessionFirst   bool            `ch:"session_first"`
	Hostname       string          `ch:"hostname"`
	Path           string          `ch:"path"`
	Title          string          `ch:"title"`
	Referrer       string          `ch:"referrer"`
	Source         string          `ch:"source"`
	Channel        string          `ch:"channel"`
	UTMSource      string          `ch:"utm_source"`
	UTMMedium      string          `ch:"utm_medium"`
	UTMCampaign    string          `ch:"utm_campaign"`
	UTMTerm        string          `ch:"utm_term"`
	UTMContent     string          `ch:"utm_content"`
	Country        string          `ch:"country"`
	Region         string          `ch:"region"`
	City           string          `ch:"city"`
	Browser        string          `ch:"browser"`
	BrowserVersion string          `ch:"browser_version"`
	OS             string          `ch:"os"`
	OSVersion      string          `ch:"os_version"`
	Device         string          `ch:"device"`
	Language       string          `ch:"language"`
	Screen         string          `ch:"screen"`
	Props          *props          `ch:"props"`
	Revenue        decimal.Decimal `ch:"revenue"`
	Currency       string          `ch:"currency"`
	Items          string          `ch:"items"`
	EngagementMS   uint32          `ch:"engagement_ms"`
	IPHash         string          `ch:"ip_hash"`
	ReceiptID      uuid.UUID       `ch:"receipt_id"`
	Notice         string          `ch:"notice"`
	origin
}

// maxRevenue is what Decimal(18, 4) holds on either side of zero.
var maxRevenue = decimal.New(1, 14)

// fill makes the row of an event.
func (row *eventRow) fill(e *collector.Event, at origin, keep Retention) error {
	revenue := decimal.Zero
	if e.Revenue != "" {
		var err error
		if revenue, err = decimal.NewFromString(e.Revenue); err != nil {
			return fmt.Errorf("revenue %q: %w", e.Revenue, err)
		}
		if revenue = revenue.Round(4); revenue.Abs().Cmp(maxRevenue) >= 0 {
			return fmt.Errorf("revenue %q is beyond %s", e.Revenue, maxRevenue)
		}
	}
	at.KeepUntil = keepUntil(e.Time, keep.Events)
	if e.Test {
		at.KeepUntil = keepUntil(e.Time, testRows)
	}
	// No event outlives its receipt: nobody could say any more whose it is, and an
	// erasure would not find it.
	at.KeepUntil = earlier(at.KeepUntil, keepUntil(e.Token.IssuedAt(), keep.Receipts))
	screen := ""
	if e.ScreenWidth > 0 && e.ScreenHeight > 0 {
		screen = strconv.Itoa(int(e.ScreenWidth)) + "x" + strconv.Itoa(int(e.ScreenHeight))
	}
	*row = eventRow{
		EventID: e.ID, Site: e.Site, Test: e.Test, Time: e.Time, Name: e.Name,
		Visitor: e.Visitor, Session: e.Session, SessionStart: sessionStart(e), SessionFirst: e.SessionFirst,
		Hostname: e.Hostname, Path: e.Path, Title: e.Title, Referrer: e.Referrer, Source: e.Source, Channel: e.Channel,
		UTMSource: e.UTMSource, UTMMedium: e.UTMMedium, UTMCampaign: e.UTMCampaign, UTMTerm: e.UTMTerm, UTMContent: e.UTMContent,
		Country: e.Country, Region: e.Region, City: e.City,
		Browser: e.Browser, BrowserVersion: e.BrowserVersion, OS: e.OS, OSVersion: e.OSVersion, Device: e.Device,
		Language: e.Language, Screen: screen, Props: &props{of: e.Props},
		Revenue: revenue, Currency: e.Currency, Items: e.Items, EngagementMS: e.EngagementMS,
		IPHash: e.IPHash, ReceiptID: e.Token.Receipt, Notice: e.Notice, origin: at,
	}
	return nil
}

// sessionStart keeps a client's claim within what the column holds.
func sessionStart(e *collector.Event) time.Time {
	if e.SessionStart <= 0 || e.SessionStart > math.MaxUint32 {
		return e.Time.Truncate(time.Second)
	}
	return time.Unix(e.SessionStart, 0).UTC()
}

// props goes into a column of type Map in the order the event has its
// properties in, by key: that of a Go map would differ each time.
type props struct{ of []collector.Prop }

func (p *props) Iterator() column.MapIterator { return &propIterator{p.of, -1} }

// Put is never called: rows are only written.
func (p *props) Put(key, value any) {
	p.of = append(p.of, collector.Prop{Key: fmt.Sprint(key), Value: value})
}

type propIterator struct {
	of []collector.Prop
	at int
}

func (i *propIterator) Next() bool { i.at++; return i.at < len(i.of) }
func (i *propIterator) Key() any   { return i.of[i.at].Key }

// Value writes numbers as JSON does: 9.9, not 9.900000.
func (i *propIterator) Value() any {
	switch v := i.of[i.at].Value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

type receiptRow struct {
	ChainID    uuid.UUID       `ch:"chain_id"`
	N          uint64          `ch:"n"`
	ReceiptID  uuid.UUID       `ch:"receipt_id"`
	ConsentID  uuid.UUID       `ch:"consent_id"`
	Site       string          `ch:"site"`
	Time       time.Time       `ch:"ts"`
	Expires    time.Time       `ch:"expires"`
	Notice     string          `ch:"notice"`
	NoticeHash string          `ch:"notice_hash"`
	ShownHash  string          `ch:"shown_hash"`
	Language   string          `ch:"language"`
	Variant    string          `ch:"variant"`
	Method     string          `ch:"method"`
	LegalBasis string          `ch:"legal_basis"`
	GPC        bool            `ch:"gpc"`
	Purposes   map[string]bool `ch:"purposes"`
	Services   map[string]bool `ch:"services"`
	Country    string          `ch:"country"`
	PrevHash   string          `ch:"prev_hash"`
	Hash       string          `ch:"hash"`
	Body       string          `ch:"body"`
	origin
}

// newReceiptRow keeps body to the byte: the chain is verified over it.
func newReceiptRow(r *consent.Receipt, body []byte, at origin, keep Retention) *receiptRow {
	purposes := make(map[string]bool, len(r.Purposes))
	for p, yes := range r.Purposes {
		purposes[string(p)] = yes
	}
	services := r.Services
	if services == nil {
		services = map[string]bool{}
	}
	at.KeepUntil = keepUntil(r.Time, keep.Receipts)
	return &receiptRow{
		ChainID: r.ChainID, N: r.N, ReceiptID: r.ReceiptID, ConsentID: r.ConsentID, Site: r.Site,
		Time: r.Time, Expires: r.Expires, Notice: r.Notice, NoticeHash: r.NoticeHash, ShownHash: r.ShownHash,
		Language: r.Language, Variant: r.Variant, Method: string(r.Method), LegalBasis: r.LegalBasis, GPC: r.GPC,
		Purposes: purposes, Services: services, Country: r.Country, PrevHash: r.PrevHash, Hash: r.Hash,
		Body: string(body), origin: at,
	}
}

type forwardRow struct {
	Site        string    `ch:"site"`
	EventID     string    `ch:"event_id"`
	EventSeq    uint64    `ch:"event_seq"`
	ReceiptID   uuid.UUID `ch:"receipt_id"`
	Destination string    `ch:"destination"`
	State       string    `ch:"state"`
	Reason      string    `ch:"reason"`
	Attempts    uint32    `ch:"attempts"`
	PayloadHash string    `ch:"payload_hash"`
	Time        time.Time `ch:"ts"`
	ChainID     uuid.UUID `ch:"chain_id"`
	N           uint64    `ch:"n"`
	PrevHash    string    `ch:"prev_hash"`
	Salt        string    `ch:"salt"`
	Mark        string    `ch:"mark"`
	Hash        string    `ch:"hash"`
	Sent        string    `ch:"sent"`
	SentUntil   time.Time `ch:"sent_until"`
	origin
}

func newForwardRow(f *collector.Forward, at origin, keep Retention) *forwardRow {
	at.KeepUntil = keepUntil(f.Time, keep.Forwards)
	until := earlier(at.KeepUntil, keepUntil(f.Time, keep.Events))
	if f.Token.Issued != 0 { // outcomes of earlier versions do not say
		until = earlier(until, keepUntil(f.Token.IssuedAt(), keep.Receipts))
	}
	return &forwardRow{
		Sent: f.Sent, SentUntil: until,
		Site: f.Site, EventID: f.EventID, EventSeq: f.EventSeq, ReceiptID: f.ReceiptID, Destination: f.Destination,
		State: string(f.State), Reason: f.Reason, Attempts: uint32(max(f.Attempts, 0)), PayloadHash: f.PayloadHash, Time: f.Time,
		ChainID: f.ChainID, N: f.N, PrevHash: f.PrevHash, Salt: f.Salt, Mark: f.Mark, Hash: f.Hash, origin: at,
	}
}

type counterRow struct {
	Site     string    `ch:"site"`
	Hour     time.Time `ch:"hour"`
	Kind     string    `ch:"kind"`
	Key      string    `ch:"key"`
	Notice   string    `ch:"notice"`
	Language string    `ch:"language"`
	Country  string    `ch:"country"`
	N        uint64    `ch:"n"`
	origin
}

func newCounterRow(c consent.Count, at origin, keep Retention) *counterRow {
	at.KeepUntil = keepUntil(c.Hour, keep.Counters)
	return &counterRow{
		Site: c.Site, Hour: c.Hour.UTC().Truncate(time.Hour), Kind: string(c.Kind), Key: c.Key,
		Notice: c.Notice, Language: c.Language, Country: c.Country, N: c.N, origin: at,
	}
}

// count is what the row was made from.
func (c *counterRow) count() consent.Count {
	return consent.Count{
		Site: c.Site, Hour: c.Hour, Kind: consent.CountKind(c.Kind), Key: c.Key,
		Notice: c.Notice, Language: c.Language, Country: c.Country, N: c.N,
	}
}

// identity tells a row from every other of its table. The seq does, except for
// counters, of which one record makes several.
type identity struct {
	Seq uint64 `ch:"seq"`
	Of  string `ch:"of"`
}

// row is a row of a table, or what one is made from.
type row interface {
	identity() identity
	// made returns a pointer to a struct with ch tags; an error says that no row
	// can be made. room is where that of an event is put.
	made(room *eventRow) (any, error)
}

func (o *origin) identity() identity { return identity{Seq: o.Seq} }

func (r *receiptRow) made(*eventRow) (any, error) { return r, nil }
func (r *forwardRow) made(*eventRow) (any, error) { return r, nil }
func (c *counterRow) made(*eventRow) (any, error) { return c, nil }

// eventRecord is an event that becomes a row only on its way into the columns:
// tens of thousands as rows would be most of the server's memory, and work for
// the garbage collector.
type eventRecord struct {
	*spool.Record
	batch *spool.Batch
	store *Store
}

func (r *eventRecord) identity() identity { return identity{Seq: r.Seq} }

func (r *eventRecord) made(room *eventRow) (any, error) {
	e, err := collector.DecodeEvent(r.Data)
	if err != nil {
		return nil, err
	}
	return room, room.fill(&e, origin{SpoolID: r.batch.Spool, Seq: r.Seq}, r.store.o.Retention(e.Site))
}

func (c *counterRow) identity() identity {
	return identity{c.Seq, strings.Join([]string{
		c.Site, strconv.FormatInt(c.Hour.Unix(), 10), c.Kind, c.Key, c.Notice, c.Language, c.Country,
	}, "\x00")}
}

// counterIdentity is counterRow.identity in SQL.
const counterIdentity = `concat(site, '\0', toString(toUnixTimestamp(hour)), '\0', kind, '\0', key, '\0', notice, '\0', language, '\0', country)`

// columns lists what the ch tags of a row type name.
func columns(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		switch f := t.Field(i); {
		case f.Anonymous:
			out = append(out, columns(f.Type)...)
		case f.Tag.Get("ch") != "":
			out = append(out, f.Tag.Get("ch"))
		}
	}
	return out
}
