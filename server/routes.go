package server

import (
	"fmt"
	"net/http"
	"path"
	"slices"

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
	e.HTTPErrorHandler = errorHandler(m.log)
	e.IPExtractor = echo.ExtractIPDirect() // origins has put the client in the peer's place
	e.Use(requestID, accessLog(m.log, m.metrics), recoverer, secure, limitBody)

	for _, base := range m.bases() {
		m.bindDoors(e, base)
	}
	both(e.Group(""), "/.well-known/gpc.json", m.consents.GetGPC)

	// The dashboards, behind a login.
	d := e.Group("/dashboards", sameOrigin(), m.isolate)
	both(d, "/login", m.getLogin(pages))
	d.POST("/login", m.postLogin(pages))
	d.POST("/logout", m.postLogout)
	both(d, "/assets/:name", getAsset)
	in := d.Group("", m.loggedIn)
	both(in, "", pages.GetSites)
	both(in, "/", pages.GetSites)
	both(in, "/:site", pages.GetSite)
	both(in, "/:site/google-analytics", pages.GetGoogleAnalytics)
	e.POST("/api/v2/query", pages.PostQuery)

	return newOrigins(m.config.Server).wrap(e), nil
}

// bindDoors binds the doors of browsers below base: with the prefix kept or
// stripped. What visitors decide, read and erase has a limit of its own.
func (m *machine) bindDoors(e *echo.Echo, base string) {
	limits := m.limits
	own := e.Group(base, limits.byNetwork(limits.choices))
	own.POST("/d", m.consents.PostDecision)
	both(own, "/choices", m.consents.GetChoices)
	own.POST("/choices", m.consents.PostChoices)
	both(own, "/me", m.consents.GetMe)
	own.DELETE("/me", m.consents.DeleteMe)

	g := e.Group(base, limits.byNetwork(limits.traffic))
	both(g, "/s.js", m.getScript)
	for _, name := range static.Chunks() {
		both(g, "/"+name, getChunk)
	}
	both(g, "/c.js", func(c echo.Context) error { serveScript(c, static.Button()); return nil })
	both(g, "/g.js", func(c echo.Context) error { serveScript(c, static.Defaults()); return nil })
	both(g, "/"+static.ExtrasName(), m.getExtras)
	both(g, "/b", m.consents.GetBanner)
	both(g, "/m", m.consents.GetMarked)
	g.POST("/e", m.collector.PostEvents)
	g.POST("/api/event", m.collector.PostPlausible)
	g.POST("/api/send", m.collector.PostUmami)
	g.GET("/count", m.collector.CountGoatCounter)
	g.POST("/count", m.collector.CountGoatCounter)
	g.GET("/g/collect", m.collector.CollectGtag)
	g.POST("/g/collect", m.collector.CollectGtag)
	g.POST("/p", m.consents.PostPreferences)
	both(g, "/gpc.json", m.consents.GetGPC)
	g.GET(doctor.Door, m.arrival)
	g.POST(doctor.Door, m.arrival)
	for _, door := range []string{"/d", "/e", "/p", "/me", "/api/event", "/api/send", "/g/collect"} {
		g.OPTIONS(door, m.consents.Preflight)
	}
}

// both binds GET and HEAD.
func both(g *echo.Group, path string, h echo.HandlerFunc) {
	g.GET(path, h)
	g.HEAD(path, h)
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
		MayQuery: func(c echo.Context, site string) error {
			k, ok := m.auth.key(c.Request())
			if !ok {
				return errBadKey
			}
			if !slices.Contains(k.sites, site) {
				return fmt.Errorf("key %s for %s: %w", k.name, site, errNotAllowed)
			}
			return nil
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
