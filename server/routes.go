package server

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"sluice/consent"
	"sluice/dashboards"
	"sluice/server/config"
	"sluice/server/doctor"
	"sluice/static"
)

// routes binds every path there is.
func (m *machine) routes() (http.Handler, error) {
	pages, err := m.newDashboards()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = errorHandler(m.log, func(c echo.Context, p problem) error {
		shown := dashboards.Problem{Title: p.Title, Detail: p.Detail, RequestID: p.RequestID}
		if p.Status == http.StatusNotFound {
			shown.Title, shown.Detail = "There is no such page", "Either it does not exist, or your login does not include its site."
		}
		return pages.RenderProblem(c, p.Status, shown)
	})
	e.IPExtractor = echo.ExtractIPDirect() // origins has put the client in the peer's place
	e.Use(requestID, accessLog(m.log, m.metrics), recoverer, secure, limitBody)

	for _, base := range m.bases() {
		m.bindDoors(e, base)
	}
	doors{echo: e}.get("/.well-known/gpc.json", m.consents.GetGPC)

	// The dashboards, behind a login.
	d := doors{e, "/dashboards", []echo.MiddlewareFunc{sameOrigin(), m.isolate}}
	d.get("/login", m.getLogin(pages))
	d.post("/login", m.postLogin(pages))
	d.post("/logout", m.postLogout)
	d.get("/assets/:name", getAsset)
	d.through = append(d.through, m.loggedIn)
	d.get("", pages.GetSites)
	d.get("/:site", pages.GetSite)
	d.get("/:site/google-analytics", pages.GetGoogleAnalytics)
	for _, path := range []string{"/", "/:site/", "/:site/google-analytics/"} {
		d.get(path, withoutSlash)
	}
	e.POST("/api/v2/query", pages.PostQuery)
	bindChannels(doors{echo: e}, m.channels)

	return newOrigins(m.config.Server).wrap(e), nil
}

// bindDoors binds the doors of browsers below base: with the prefix kept or
// stripped. What visitors decide, read and erase has a limit of its own; what
// providers of messages sign has none.
func (m *machine) bindDoors(e *echo.Echo, base string) {
	own := doors{e, base, []echo.MiddlewareFunc{m.limits.byNetwork(m.limits.choices)}}
	own.post("/d", m.consents.PostDecision)
	own.get("/choices", m.consents.GetChoices)
	own.post("/choices", m.consents.PostChoices)
	own.get("/me", m.consents.GetMe)
	own.bind("/me", m.consents.DeleteMe, http.MethodDelete)

	bindHooks(doors{echo: e, base: base}, m.inbound)

	d := doors{e, base, []echo.MiddlewareFunc{m.limits.byNetwork(m.limits.traffic)}}
	d.get("/s.js", m.getScript)
	for _, name := range static.Chunks() {
		d.get("/"+name, getChunk)
	}
	d.get("/c.js", func(c echo.Context) error { serveScript(c, static.Button()); return nil })
	d.get("/g.js", func(c echo.Context) error { serveScript(c, static.Defaults()); return nil })
	d.get("/"+static.ExtrasName(), m.getExtras)
	d.get("/b", m.consents.GetBanner)
	d.get("/m", m.consents.GetMarked)
	d.post("/e", m.collector.PostEvents)
	d.post("/api/event", m.collector.PostPlausible)
	d.post("/api/send", m.collector.PostUmami)
	d.bind("/count", m.collector.CountGoatCounter, http.MethodGet, http.MethodPost)
	d.bind("/g/collect", m.collector.CollectGtag, http.MethodGet, http.MethodPost)
	d.post("/p", m.consents.PostPreferences)
	d.get("/gpc.json", m.consents.GetGPC)
	d.bind(doctor.Door, m.arrival, http.MethodGet, http.MethodPost)
	for _, door := range []string{"/d", "/e", "/p", "/me", "/api/event", "/api/send", "/g/collect"} {
		d.bind(door, m.consents.Preflight, http.MethodOptions)
	}
}

// doors binds paths below a base, with what every request to them goes through.
// A group of Echo's with middleware would do, but answers 404 where the method
// alone is wrong.
type doors struct {
	echo    *echo.Echo
	base    string
	through []echo.MiddlewareFunc
}

func (d doors) bind(path string, h echo.HandlerFunc, methods ...string) {
	for _, method := range methods {
		d.echo.Add(method, d.base+path, h, d.through...)
	}
}

// get binds GET and HEAD.
func (d doors) get(path string, h echo.HandlerFunc) { d.bind(path, h, http.MethodGet, http.MethodHead) }

func (d doors) post(path string, h echo.HandlerFunc) { d.bind(path, h, http.MethodPost) }

// withoutSlash leads to the page whose address has one slash too many.
func withoutSlash(c echo.Context) error {
	u := url.URL{Path: strings.TrimRight(c.Request().URL.Path, "/"), RawQuery: c.Request().URL.RawQuery}
	return c.Redirect(http.StatusPermanentRedirect, u.String())
}

// bases lists the prefixes under which the doors of browsers answer: none,
// server.base_path, and where a site's public_url has another path.
func (m *machine) bases() []string {
	bases := []string{"", m.config.Server.BasePath}
	for _, p := range m.ledger.Sites.All() {
		bases = append(bases, p.Site.BasePath)
	}
	slices.Sort(bases)
	return slices.Compact(bases)
}

func (m *machine) newDashboards() (*dashboards.Handler, error) {
	return dashboards.New(dashboards.Options{
		Sites: m.ledger.Sites, DB: m.store.Conn(), Logger: m.log.With("room", "dashboards"), Now: m.now,
		User: func(c echo.Context) (dashboards.User, bool) {
			u, ok := c.Get(userKey).(config.User)
			return dashboards.User{Email: u.Email, Sees: func(site string) bool { return sees(u, site) }}, ok
		},
		Key: func(c echo.Context) (mayQuery func(site string) error, err error) {
			k, ok := m.auth.key(c.Request())
			if !ok {
				return nil, errBadKey
			}
			return func(site string) error {
				if !slices.Contains(k.sites, site) {
					return fmt.Errorf("key %s for %s: %w", k.name, site, errNotAllowed)
				}
				return nil
			}, nil
		},
		Asset: func(name string) string {
			if hashed := static.Path(name); hashed != "" {
				return "/dashboards/assets/" + hashed
			}
			return ""
		},
		Waiting: m.waiting,
		Balance: m.account,
	})
}

// getScript serves the script and counts it, by site and hour; no cookie is
// read.
func (m *machine) getScript(c echo.Context) error {
	r := c.Request()
	host := consent.HostOf(r.Referer())
	if host == "" {
		host = r.Host
	}
	if p, err := m.ledger.Sites.ForHost(host); err == nil && r.Method == http.MethodGet {
		m.state.journal.Count(consent.NewCount(p.Site.Domain, consent.CountScript, "", m.now()))
	}
	serveScript(c, static.Script())
	return nil
}

// getChunk serves what the script loads later, by its hashed name: the last
// part of the path.
func getChunk(c echo.Context) error {
	a, ok := static.File(path.Base(c.Path()))
	if !ok {
		return echo.ErrNotFound
	}
	serveScript(c, a)
	return nil
}

// getExtras serves what measures beyond pageviews, with the settings of
// ?site=. The script asks for it under a grant.
func (m *machine) getExtras(c echo.Context) error {
	p, err := m.ledger.Sites.Lookup(c.QueryParam("site"))
	if err != nil {
		return fmt.Errorf("extras of %q: %w", c.QueryParam("site"), err)
	}
	serveScript(c, m.extras[p.Site.Domain])
	return nil
}

// serveScript answers with a script that pages of any origin may load.
func serveScript(c echo.Context, a static.Asset) {
	h := c.Response().Header()
	h.Del("Cache-Control") // the script's own
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	a.ServeHTTP(c.Response(), c.Request())
}

// getAsset serves a bundle of the dashboards by its hashed name.
func getAsset(c echo.Context) error {
	a, ok := static.File(c.Param("name"))
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Del("Cache-Control") // the file's own
	a.ServeHTTP(c.Response(), c.Request())
	return nil
}
