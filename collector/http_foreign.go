package collector

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"sluice/consent"
)

// Accept names the trackers of other products whose events a site takes. Each
// door reads their wire format into events of our own; from there on nothing
// differs: the same token, the same gate.
type Accept struct {
	Plausible   bool // POST /api/event
	Umami       bool // POST /api/send
	GoatCounter bool // GET and POST /count
	Gtag        bool // GET and POST /g/collect
}

// ErrDoorShut is an event of another product's tracker for a site that does
// not take it.
var ErrDoorShut = errors.New("site does not take events of this tracker")

// Headers by which other products' servers say that an event was not counted.
const (
	plausibleDropped = "X-Plausible-Dropped" // how many
	goatCounterNote  = "X-Goatcounter"       // a sentence
)

// PostPlausible takes one event of Plausible's trackers and answers 202 "ok".
// Of several domains the first that is a site of this server counts: a token
// belongs to one. Errors: those of PostEvents and ErrDoorShut.
func (h *Handler) PostPlausible(c echo.Context) error {
	body, err := h.readForeign(c)
	if err != nil {
		return err
	}
	events, domains, err := readPlausible(body)
	if err != nil {
		return fmt.Errorf("decode an event of Plausible: %w", err)
	}
	out, err := h.takeForeign(c, events, func(a Accept) bool { return a.Plausible }, append(domains, consent.HostOf(events[0].url))...)
	if err != nil {
		return err
	}
	out.header(c)
	if len(out.dropped) > 0 {
		c.Response().Header().Set(plausibleDropped, "1")
	}
	return c.String(http.StatusAccepted, "ok")
}

// PostUmami takes one event of Umami's tracker and answers 200 with JSON, and
// without the cache that Umami's own server hands out: it identifies visitors.
// The site is that of the page's host: Umami's own ids mean nothing here.
func (h *Handler) PostUmami(c echo.Context) error {
	body, err := h.readForeign(c)
	if err != nil {
		return err
	}
	u, err := readUmami(body)
	if err != nil {
		return fmt.Errorf("decode an event of Umami: %w", err)
	}
	out, err := h.takeForeign(c, []wireEvent{u.wireEvent}, func(a Accept) bool { return a.Umami }, u.hostname, u.website)
	if err != nil {
		return err
	}
	return out.answer(c, http.StatusOK)
}

// pixel is a transparent GIF of one pixel.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// CountGoatCounter takes one event of GoatCounter's count.js, whose query holds
// all of it, and answers with a pixel. The site is that of the page which
// asks, else that of the door.
func (h *Handler) CountGoatCounter(c echo.Context) error {
	r := c.Request()
	page := r.Referer()
	host := consent.HostOf(page)
	if host == "" {
		if host = consent.HostOf(r.Header.Get("Origin")); host == "" {
			host = r.Host
		}
	}
	w := readGoatCounter(c.QueryParams(), page, host)
	out, err := h.takeForeign(c, []wireEvent{w}, func(a Accept) bool { return a.GoatCounter }, host)
	if err != nil {
		return err
	}
	out.header(c)
	if reasons := out.reasons(); len(reasons) > 0 {
		c.Response().Header().Set(goatCounterNote, "not counted: "+strings.Join(reasons, ", "))
	}
	return c.Blob(http.StatusOK, "image/gif", []byte(pixel))
}

// readForeign reads a body of JSON, whatever its members.
func (h *Handler) readForeign(c echo.Context) (string, error) {
	h.ledger.Sites.CORS(c.Response().Header(), c.Request())
	body, err := consent.ReadBody(c.Request(), maxBody)
	if err != nil {
		return "", fmt.Errorf("read an event: %w", err)
	}
	return string(body), nil
}

// takeForeign takes events for the first site that one of the names means,
// where that site takes those of the tracker.
func (h *Handler) takeForeign(c echo.Context, events []wireEvent, open func(Accept) bool, names ...string) (outcome, error) {
	policy, err := h.siteNamed(names)
	if err != nil {
		return outcome{}, fmt.Errorf("sites %q: %w", names, err)
	}
	if domain := policy.Site.Domain; !open(h.sites[domain].Accept) {
		return outcome{}, fmt.Errorf("site %s: %w", domain, ErrDoorShut)
	}
	return h.take(c, policy, envelope{events: events})
}

// siteNamed finds the site that a domain or host belongs to, by the first name
// that any does.
func (h *Handler) siteNamed(names []string) (*consent.Policy, error) {
	for _, name := range names {
		if p, err := h.ledger.Sites.Lookup(name); err == nil {
			return p, nil
		}
		if p, err := h.ledger.Sites.ForHost(name); err == nil {
			return p, nil
		}
	}
	return nil, consent.ErrUnknownSite
}
