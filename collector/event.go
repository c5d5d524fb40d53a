package collector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"sluice/consent"
)

// Event is one enriched event: a row of the table events, and all that a
// destination is told. It holds no address and no user agent string.
type Event struct {
	ID   string // unique within site and consent: the client's, else drawn
	Seq  uint64 // of its record in the spool, set by who reads it there; not encoded
	Site string
	Test bool // from a test host: shown apart, never forwarded, kept 7 days
	Time time.Time

	Name    string
	Visitor string // cookie, body, or hash of the day
	// Session names the visit; SessionStart is its first second, Unix.
	// SessionFirst marks the first event of the session seen here.
	Session      string
	SessionStart int64
	SessionFirst bool

	Hostname string
	Path     string
	Query    string // allow-listed parameters only, without "?"; for page_location
	Title    string
	Referrer string // scheme, host and path; never a query

	Source, Channel                                          string
	UTMSource, UTMMedium, UTMCampaign, UTMTerm, UTMContent   string
	Country, Region, City                                    string
	Browser, BrowserVersion, OS, OSVersion, Device, Language string
	ScreenWidth, ScreenHeight                                uint16

	Props        []Prop
	Revenue      string // decimal, "" for none
	Currency     string // ISO 4217
	Items        string // JSON array, "" for none
	EngagementMS uint32

	IPHash     string // keyed, of the day; hex
	GAClientID string // number.number; "" where no Google service is granted
	// GASessions are the sessions that gtag's own cookies named, each as
	// MEASUREMENT_ID=number, apart by spaces; read with GoogleSession.
	GASessions string
	// Gtag is what gtag.js said of its hit beside the event (see gtagMarks), as a
	// query; "" where the hit is not to be relayed as gtag wrote it.
	Gtag      string
	NoAds     AdConsentDenied // denied in the browser, whatever the token grants
	NoForward bool            // stored, but sent to nobody: the request carried a signal that its token was not given under

	Notice string        // version of the notice the token was given under
	Token  consent.Token // what the event rests on; checked again before every send
}

// Prop is a custom property; its value is a string, a float64 or a bool.
type Prop struct {
	Key   string
	Value any
}

// eventVersion opens the spool encoding of an event. Version 1 ends its strings
// before GASessions, version 2 before Gtag; they are still read.
const eventVersion = 3

// Value kinds of a property.
const (
	propString = 's'
	propNumber = 'n'
	propBool   = 'b'
)

// Event flags.
const (
	flagTest = 1 << iota
	flagSessionFirst
	flagNoForward
	flagNoAdUserData
	flagNoAdPersonalization
)

// stringFields lists an event's strings in the order of the encoding. New ones
// go to the end, with a new eventVersion.
func (e *Event) stringFields() [34]*string {
	return [...]*string{
		&e.ID, &e.Site, &e.Name, &e.Visitor, &e.Session, &e.Hostname, &e.Path, &e.Query, &e.Title, &e.Referrer,
		&e.Source, &e.Channel, &e.UTMSource, &e.UTMMedium, &e.UTMCampaign, &e.UTMTerm, &e.UTMContent,
		&e.Country, &e.Region, &e.City, &e.Browser, &e.BrowserVersion, &e.OS, &e.OSVersion, &e.Device, &e.Language,
		&e.Revenue, &e.Currency, &e.Items, &e.IPHash, &e.GAClientID, &e.Notice, &e.GASessions, &e.Gtag,
	}
}

// appendTo appends the encoding: version u8, flags u8, time i64 (Unix ms),
// session start i64 (Unix s), screen 2 × u16, engagement u32, token
// (consent [16], receipt [16], notice u32, purposes u16, denied u32, issued
// u32), the strings of stringFields and the properties, each string with a
// uvarint length. Big endian.
func (e *Event) appendTo(dst []byte) []byte {
	flags := flag(e.Test, flagTest) | flag(e.SessionFirst, flagSessionFirst) | flag(e.NoForward, flagNoForward) |
		flag(e.NoAds.UserData, flagNoAdUserData) | flag(e.NoAds.Personalization, flagNoAdPersonalization)
	be := binary.BigEndian
	dst = append(dst, eventVersion, flags)
	dst = be.AppendUint64(dst, uint64(e.Time.UnixMilli()))
	dst = be.AppendUint64(dst, uint64(e.SessionStart))
	dst = be.AppendUint16(dst, e.ScreenWidth)
	dst = be.AppendUint16(dst, e.ScreenHeight)
	dst = be.AppendUint32(dst, e.EngagementMS)
	dst = append(dst, e.Token.Consent[:]...)
	dst = append(dst, e.Token.Receipt[:]...)
	dst = be.AppendUint32(dst, e.Token.Notice)
	dst = be.AppendUint16(dst, e.Token.Purposes)
	dst = be.AppendUint32(dst, e.Token.Denied)
	dst = be.AppendUint32(dst, e.Token.Issued)
	for _, s := range e.stringFields() {
		dst = appendString(dst, *s)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Props)))
	for _, p := range e.Props {
		dst = appendString(dst, p.Key)
		switch v := p.Value.(type) {
		case float64:
			dst = be.AppendUint64(append(dst, propNumber), math.Float64bits(v))
		case bool:
			dst = append(dst, propBool, flag(v, 1))
		case string:
			dst = appendString(append(dst, propString), v)
		default:
			dst = appendString(append(dst, propString), fmt.Sprint(v))
		}
	}
	return dst
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// fixedEvent is the length of the part before the strings.
const fixedEvent = 1 + 1 + 8 + 8 + 2 + 2 + 4 + 16 + 16 + 4 + 2 + 4 + 4

// eventStrings is how many strings a version has.
var eventStrings = map[byte]int{1: 32, 2: 33, 3: 34}

// ErrEventEncoding is a spool record that is not an event of a version known
// here.
var ErrEventEncoding = errors.New("not an event record of version 1, 2 or 3")

// DecodeEventHead reads the site and what has no string: enough to tell
// whether a reader wants the rest, at a tenth of the price.
func DecodeEventHead(b []byte) (Event, error) {
	e, err := decodeFixed(b)
	if err != nil {
		return Event{}, err
	}
	_, rest, ok := cutString(b[fixedEvent:]) // the ID
	site, _, ok2 := cutString(rest)
	if !ok || !ok2 {
		return Event{}, ErrEventEncoding
	}
	e.Site = string(site)
	return e, nil
}

// cutString splits the first string off the encoding of strings.
func cutString(b []byte) (text, rest []byte, ok bool) {
	n, width := binary.Uvarint(b)
	if width <= 0 || n > uint64(len(b)-width) {
		return nil, nil, false
	}
	return b[width : width+int(n)], b[width+int(n):], true
}

// DecodeEvent reads the spool encoding of an admitted event. The strings are
// copies: b may be reused.
func DecodeEvent(b []byte) (Event, error) {
	e, err := decodeFixed(b)
	if err != nil {
		return Event{}, err
	}
	// One copy holds every string of the event.
	d := decoder{rest: string(b[fixedEvent:])}
	fields := e.stringFields()
	for _, s := range fields[:eventStrings[b[0]]] {
		*s = d.text()
	}
	n := d.uvarint()
	for ; n > 0 && !d.failed; n-- {
		e.Props = append(e.Props, d.prop())
	}
	if d.failed || d.rest != "" {
		return Event{}, ErrEventEncoding
	}
	return e, nil
}

// decodeFixed reads the part before the strings.
func decodeFixed(b []byte) (Event, error) {
	if len(b) < fixedEvent || eventStrings[b[0]] == 0 {
		return Event{}, ErrEventEncoding
	}
	be := binary.BigEndian
	return Event{
		Test:         b[1]&flagTest != 0,
		SessionFirst: b[1]&flagSessionFirst != 0,
		NoForward:    b[1]&flagNoForward != 0,
		NoAds:        AdConsentDenied{b[1]&flagNoAdUserData != 0, b[1]&flagNoAdPersonalization != 0},
		Time:         time.UnixMilli(int64(be.Uint64(b[2:]))).UTC(),
		SessionStart: int64(be.Uint64(b[10:])),
		ScreenWidth:  be.Uint16(b[18:]),
		ScreenHeight: be.Uint16(b[20:]),
		EngagementMS: be.Uint32(b[22:]),
		Token: consent.Token{
			Consent: consent.ID(b[26:42]), Receipt: consent.ID(b[42:58]),
			Notice: be.Uint32(b[58:]), Purposes: be.Uint16(b[62:]), Denied: be.Uint32(b[64:]), Issued: be.Uint32(b[68:]),
		},
	}, nil
}

// decoder eats a string from the front; after a failure it returns zeros.
type decoder struct {
	rest   string
	failed bool
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for i := 0; i < binary.MaxVarintLen64 && i < len(d.rest); i++ {
		c := d.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return v
		}
	}
	d.failed, d.rest = true, ""
	return 0
}

func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.rest)) {
		d.failed, d.rest = true, ""
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) text() string { return d.take(d.uvarint()) }

func (d *decoder) prop() Prop {
	p := Prop{Key: d.text()}
	switch d.take(1) {
	case string(propNumber):
		if b := d.take(8); len(b) == 8 {
			p.Value = math.Float64frombits(binary.BigEndian.Uint64([]byte(b)))
		}
	case string(propBool):
		p.Value = d.take(1) == "\x01"
	case string(propString):
		p.Value = d.text()
	default:
		d.failed = true
	}
	return p
}

// PageURL is the address of the event's page, with what is kept of its query.
func (e *Event) PageURL(scheme string) string {
	host := e.Hostname
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // IPv6
	}
	path, fragment, routed := strings.Cut(e.Path, "#") // of a site that routes by it
	page := scheme + "://" + host + path
	switch {
	case e.Query == "":
	case strings.Contains(path, "?"):
		page += "&" + e.Query
	default:
		page += "?" + e.Query
	}
	if routed {
		page += "#" + fragment
	}
	return page
}
