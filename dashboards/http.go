package dashboards

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/consent"
	"sluice/dashboards/query"
)

// User is who is logged in.
type User struct {
	Email string
	Sees  func(site string) bool // nil: no site
}

// Options are what the dashboards need of the server.
type Options struct {
	Sites *consent.Sites
	DB    query.Querier
	// User returns who made a request. The server has checked the login before;
	// ok is false on the login page alone.
	User func(echo.Context) (u User, ok bool)
	// Key looks for the API key of a request; mayQuery says whether that covers a
	// site. The errors are the server's own.
	Key func(c echo.Context) (mayQuery func(site string) error, err error)
	// Asset returns where browsers find a bundle (dashboard.js, dashboard.css);
	// "" leaves it out of pages.
	Asset func(name string) string
	// Waiting returns how many events of a site wait for each destination; nil,
	// or a nil map, where nobody knows.
	Waiting func(site string) Waiting
	// Balance returns what became of a site's events since the server started;
	// nil, or a nil balance, where nobody counts.
	Balance func(site string) *Balance
	// PageTime is how long the queries of a page may take; 0 means 10 s.
	PageTime time.Duration
	Logger   *slog.Logger     // nil discards
	Now      func() time.Time // nil means time.Now
}

// Handler serves the pages and the Stats API. It is safe for concurrent use.
type Handler struct {
	sites    *consent.Sites
	db       query.Querier
	user     func(echo.Context) (User, bool)
	key      func(echo.Context) (func(string) error, error)
	waiting  func(string) Waiting
	balance  func(string) *Balance
	pageTime time.Duration
	pages    *pages
	log      *slog.Logger
	now      func() time.Time
}

// New checks the options and parses the templates.
func New(o Options) (*Handler, error) {
	if o.Sites == nil || o.DB == nil || o.User == nil || o.Key == nil {
		return nil, errors.New("dashboards need Sites, DB, User and Key")
	}
	h := &Handler{sites: o.Sites, db: o.DB, user: o.User, key: o.Key, waiting: o.Waiting, balance: o.Balance, pageTime: cmp.Or(o.PageTime, pageTime), log: o.Logger, now: o.Now}
	if h.waiting == nil {
		h.waiting = func(string) Waiting { return nil }
	}
	if h.balance == nil {
		h.balance = func(string) *Balance { return nil }
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	var err error
	if h.pages, err = newPages(o.Asset); err != nil {
		return nil, fmt.Errorf("parse dashboard templates: %w", err)
	}
	return h, nil
}

// GetSites lists the sites that the user sees.
func (h *Handler) GetSites(c echo.Context) error {
	u, _ := h.user(c)
	var sites []*consent.Site
	for _, p := range h.sites.All() {
		if u.sees(p.Site.Domain) {
			sites = append(sites, p.Site)
		}
	}
	slices.SortFunc(sites, func(a, b *consent.Site) int { return strings.Compare(a.Domain, b.Domain) })
	return h.render(c, http.StatusOK, "sites", sitesPage{chrome{"Sites", u.Email}, h.summaries(c.Request().Context(), sites)})
}

// GetSite shows one site (parameter site). Errors: ErrUnknownSite, also for a
// site that the user may not see.
func (h *Handler) GetSite(c echo.Context) error {
	u, _ := h.user(c)
	p, err := h.sites.Lookup(c.Param("site"))
	if err != nil {
		return err
	}
	if !u.sees(p.Site.Domain) {
		return fmt.Errorf("site %s: %w", p.Site.Domain, consent.ErrUnknownSite)
	}
	v := ReadView(p.Site, c.QueryParams(), h.now())
	page := sitePage{chrome: chrome{p.Site.Domain, u.Email}, Report: h.report(c.Request().Context(), v, p)}
	return h.render(c, http.StatusOK, "site", page)
}

func (u User) sees(site string) bool { return u.Sees != nil && u.Sees(site) }

// Login is what the login page shows.
type Login struct {
	Email   string // as typed before
	Next    string // where to go afterwards, "" for the list of sites
	Problem string // why the last attempt failed, "" for the first
}

// RenderLogin answers with the login page, a form that posts email, password
// and next to /dashboards/login.
func (h *Handler) RenderLogin(c echo.Context, status int, l Login) error {
	return h.render(c, status, "login", loginPage{chrome{"Sign in", ""}, l})
}

// Problem is what the page about a refused request says.
type Problem struct {
	Title, Detail string
	RequestID     string // where the server's log has more, "" otherwise
}

// RenderProblem answers with a page that says what is wrong.
func (h *Handler) RenderProblem(c echo.Context, status int, p Problem) error {
	u, _ := h.user(c)
	return h.render(c, status, "problem", problemPage{chrome{p.Title, u.Email}, p})
}

func (h *Handler) render(c echo.Context, status int, name string, data any) error {
	body, err := h.pages.execute(name, data)
	if err != nil {
		return err
	}
	for name, value := range pageHeaders {
		c.Response().Header().Set(name, value)
	}
	return c.HTMLBlob(status, body)
}

// maxQueryBytes bounds a query's JSON.
const maxQueryBytes = 64 << 10

// PostQuery answers a statistics query (query.Request as JSON, at most 64 KiB)
// with a query.Response. Errors: *consent.FieldError, ErrUnknownSite,
// query.ErrUnavailable and those of consent.ReadJSON and Options.Key, which come
// first: who has no key learns of nothing else.
func (h *Handler) PostQuery(c echo.Context) error {
	mayQuery, err := h.key(c)
	if err != nil {
		return err
	}
	var in query.Request
	if err := consent.ReadJSON(c.Request(), maxQueryBytes, &in); err != nil {
		return err
	}
	if in.SiteID == "" {
		var bad consent.FieldError
		bad.Add("site_id", "is missing: send the site's domain")
		return &bad
	}
	p, err := h.sites.Lookup(in.SiteID)
	if err != nil {
		return err
	}
	if err := mayQuery(p.Site.Domain); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), h.pageTime)
	defer cancel()
	out, err := query.Answer(ctx, h.db, in, p.Site, h.now())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}
