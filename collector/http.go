package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/collector/enrich"
	"sluice/consent"
)

// DroppedHeader names the reasons for which events of a request were dropped,
// for whoever embeds the script and looks at the network panel.
const DroppedHeader = "Sluice-Dropped"

// NoticeHeader is "changed" where something has changed since the visitor
// decided: the script fetches the banner, which asks about that.
const NoticeHeader = "Sluice-Notice"

// Counter counts without waiting for the disk.
type Counter interface {
	Count(c consent.Count)
}

// Options are what the doors need. Ledger, Appender, Counter, ClientIP and
// ClientIDKey are required.
type Options struct {
	Ledger   *consent.Ledger
	Appender Appender
	Counter  Counter
	Sites    map[string]SiteOptions // by domain; a site that is missing excludes nothing, forwards nothing
	Geo      *enrich.Geo            // nil: every place is unknown
	Hosting  *enrich.Hosting        // nil: no address is known to be a data centre's
	Spammers *enrich.Spammers       // nil: the built-in ones
	// ClientIP returns the visitor's address; the zero Addr where unknown.
	ClientIP func(echo.Context) netip.Addr
	// APIKey reports whether the request carries an API key of the site; nil:
	// there are none.
	APIKey func(r *http.Request, site string) bool
	// Limit refuses a request for events of a site, with what its error says;
	// nil: it never does.
	Limit func(site string) error
	// Forwards tells what becomes of an event of the site at each of its
	// destinations, for a visitor who looks at their own events; nil: nothing.
	Forwards func(*Event) []any
	// ClientIDKey, 32 bytes, derives client ids for Google Analytics. It must
	// stay the same for as long as visitors are to be recognised there.
	ClientIDKey []byte
	// Balance is told what the doors received and refused; nil: nobody is.
	Balance *Balance
}

// SiteOptions is what the collector needs to know of a site beside its policy.
type SiteOptions struct {
	ExcludeIPs       []netip.Prefix
	ExcludePaths     []string // "/admin", "/admin/*"
	ExcludeHosts     []string // "internal.example.com", "*.example.com"
	ExcludeCountries []string // ISO 3166-1 alpha-2
	ExcludeBots      bool
	Accept           Accept
	Rules            *enrich.Rules // what is kept of addresses, and what is masked; nil: the defaults
	Google           []GoogleService
	HashRoutes       bool // "#/cart" is part of a page's path
}

// GoogleService is a service whose events go to Google Analytics.
type GoogleService struct {
	Service, MeasurementID string
	Relay                  bool // hits of gtag.js go on as such
}

// Handler holds the doors of the collector. It is safe for concurrent use; Run
// must run beside it.
type Handler struct {
	ledger   *consent.Ledger
	appender Appender
	counter  Counter
	sites    map[string]*SiteOptions
	geo      *enrich.Geo
	hosting  *enrich.Hosting
	spammers *enrich.Spammers
	clientIP func(echo.Context) netip.Addr
	apiKey   func(*http.Request, string) bool
	forwards func(*Event) []any
	limit    func(site string) error

	balance    *Balance
	clients    *mac
	days       dayKeys
	devices    *enrich.Devices
	duplicates *duplicates
	sessions   *sessions
	intakes    sync.Pool // of *intake
}

// maxAgents bounds the memory of user agents that were read.
const maxAgents = 2000

// NewHandler checks its options and draws the key of the day.
func NewHandler(o Options) (*Handler, error) {
	if o.Ledger == nil || o.Appender == nil || o.Counter == nil || o.ClientIP == nil {
		return nil, errors.New("collector needs a ledger, an appender, a counter and the client's address")
	}
	if len(o.ClientIDKey) != 32 {
		return nil, fmt.Errorf("the key of client ids has %d bytes, want 32", len(o.ClientIDKey))
	}
	h := &Handler{
		ledger: o.Ledger, appender: o.Appender, counter: o.Counter, sites: map[string]*SiteOptions{},
		geo: o.Geo, hosting: o.Hosting, spammers: o.Spammers, balance: o.Balance,
		clientIP: o.ClientIP, apiKey: o.APIKey, forwards: o.Forwards, limit: o.Limit,
		clients: newMAC(o.ClientIDKey), devices: enrich.NewDevices(maxAgents),
		duplicates: newDuplicates(maxSets), sessions: newSessions(),
	}
	for _, policy := range o.Ledger.Sites.All() {
		site := o.Sites[policy.Site.Domain]
		h.sites[policy.Site.Domain] = &site
	}
	h.intakes.New = func() any { return new(intake) }
	h.days.now = func() time.Time { return h.ledger.Now() }
	h.days.today()
	return h, nil
}

// Restore takes up sessions that may still go on. It may come late: what has
// been opened since stays.
func (h *Handler) Restore(states []SessionState) {
	for _, s := range states {
		h.sessions.restore(s)
	}
}

// Run forgets what has to be forgotten, every minute on the minute, until ctx
// is done: at 00:00 UTC the key under which addresses were hashed, also when
// nobody comes by.
func (h *Handler) Run(ctx context.Context) error {
	for {
		now := h.ledger.Now()
		h.days.today()
		h.sessions.sweep(now)
		h.duplicates.sweep(now)
		next := time.NewTimer(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		}
	}
}

// PostEvents takes events (design, section 6) and answers 202 once those it
// accepted are on disk. Errors: consent.ErrMediaType, ErrTooLarge, ErrNotJSON,
// *FieldError, ErrUnknownSite, ErrForbiddenOrigin, ErrUnavailable.
func (h *Handler) PostEvents(c echo.Context) error {
	r := c.Request()
	h.ledger.Sites.CORS(c.Response().Header(), r)
	body, err := consent.ReadBody(r, maxBody)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	in, err := decodeEnvelope(body)
	if err != nil {
		return fmt.Errorf("decode events: %w", err)
	}
	policy, err := h.ledger.Sites.Lookup(in.site)
	if err != nil {
		return fmt.Errorf("site %q: %w", in.site, err)
	}
	out, err := h.take(c, policy, in)
	if err != nil {
		return err
	}
	return out.answer(c, http.StatusAccepted)
}

// take brings events that a door has read to the spool. Errors:
// consent.ErrForbiddenOrigin, ErrUnavailable, and that of Options.Limit.
func (h *Handler) take(c echo.Context, policy *consent.Policy, in envelope) (outcome, error) {
	r := c.Request()
	byKey := h.apiKey != nil && r.Header.Get("Authorization") != "" && h.apiKey(r, policy.Site.Domain)
	test, err := policy.Site.CheckOrigin(r, func(*http.Request) bool { return byKey })
	if err != nil {
		return outcome{}, fmt.Errorf("events of %s: %w", policy.Site.Domain, err)
	}
	policy.Site.CORS(c.Response().Header(), r)
	policy.Site.Vary(c.Response().Header())
	if h.limit != nil {
		if err := h.limit(policy.Site.Domain); err != nil {
			return outcome{}, fmt.Errorf("take events: %w", err)
		}
	}
	work := h.intakes.Get().(*intake)
	defer h.intakes.Put(work)
	defer work.reuse()
	work.h, work.ctx, work.policy, work.site = h, r.Context(), policy, h.sites[policy.Site.Domain]
	work.header, work.ip, work.received, work.sent = r.Header, ClientIP(h.clientIP(c)), h.ledger.Now(), in.sent
	work.driven, work.test, work.byKey, work.debug = in.driven, test, byKey, in.debug
	return work.accept(h.ledger.RawToken(r, in.token, policy), in.events)
}

// answer writes the outcome as JSON; reasons and details are plain words, so
// nothing needs escaping.
func (o outcome) answer(c echo.Context, status int) error {
	b := strconv.AppendInt([]byte(`{"accepted":`), int64(o.accepted), 10)
	b = append(b, `,"dropped":[`...)
	for i, d := range o.dropped {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"index":`...), int64(d.Index), 10)
		b = append(append(append(b, `,"reason":"`...), d.Reason...), '"')
		if d.Detail != "" {
			b = append(append(append(b, `,"detail":"`...), d.Detail...), '"')
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if o.explained != nil {
		detail, err := json.Marshal(o.explained)
		if err != nil {
			return fmt.Errorf("explain events: %w", err)
		}
		b = append(append(b, `,"debug":`...), detail...)
	}
	o.header(c)
	return c.JSONBlob(status, append(b, '}'))
}

// header names the reasons for which events were dropped.
func (o outcome) header(c echo.Context) {
	if o.changed {
		c.Response().Header().Set(NoticeHeader, "changed")
	}
	if reasons := o.reasons(); len(reasons) > 0 {
		c.Response().Header().Set(DroppedHeader, strings.Join(reasons, ", "))
	}
}

// reasons lists why events were dropped, each once.
func (o outcome) reasons() (out []string) {
	for _, d := range o.dropped {
		if !slices.Contains(out, string(d.Reason)) {
			out = append(out, string(d.Reason))
		}
	}
	return out
}
