package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/consent"
	"sluice/dashboards"
)

// userKey is where loggedIn leaves the config.User of a request.
const userKey = "sluice.user"

// loggedIn lets people in who have a session and sends the others to the
// login.
func (m *machine) loggedIn(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u, ok := m.auth.user(c.Request())
		if ok {
			c.Set(userKey, u)
			return next(c)
		}
		if m := c.Request().Method; m != http.MethodGet && m != http.MethodHead {
			return errNotLoggedIn
		}
		return c.Redirect(http.StatusSeeOther, "/dashboards/login?"+url.Values{"next": {c.Request().URL.RequestURI()}}.Encode())
	}
}

func (m *machine) getLogin(pages *dashboards.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		next := localPath(c.QueryParam("next"))
		if _, ok := m.auth.user(c.Request()); ok {
			return c.Redirect(http.StatusSeeOther, next)
		}
		return pages.RenderLogin(c, http.StatusOK, dashboards.Login{Next: next})
	}
}

// postLogin checks a password. A session that the browser had before ends
// here, so that no one can plant theirs.
func (m *machine) postLogin(pages *dashboards.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		// Never from the address, which is kept in logs and histories.
		form := dashboards.Login{Email: strings.TrimSpace(r.PostFormValue("email")), Next: localPath(r.PostFormValue("next"))}
		reference, err := m.auth.login(r.Context(), attempt{
			email: form.Email, password: r.PostFormValue("password"), from: clientIP(c), device: m.auth.deviceOf(r),
		})
		var wait *waitError
		switch {
		case errors.As(err, &wait):
			minutes := int((wait.after + time.Minute - 1) / time.Minute)
			form.Problem = fmt.Sprintf("Too many attempts. Try again in %d minutes.", minutes)
			c.Response().Header().Set("Retry-After", fmt.Sprint(minutes*60))
			return pages.RenderLogin(c, http.StatusTooManyRequests, form)
		case errors.Is(err, errWrongLogin):
			form.Problem = "E-mail address or password is wrong."
			return pages.RenderLogin(c, http.StatusUnauthorized, form)
		case err != nil:
			return fmt.Errorf("log in: %w", errors.Join(err, consent.ErrUnavailable))
		}
		m.auth.end(r)
		c.SetCookie(m.auth.cookie(r, sessionCookie, reference, sessionAbsolute))
		c.SetCookie(m.auth.deviceFor(r, strings.ToLower(form.Email)))
		return c.Redirect(http.StatusSeeOther, form.Next)
	}
}

func (m *machine) postLogout(c echo.Context) error {
	m.auth.end(c.Request())
	c.SetCookie(m.auth.cookie(c.Request(), sessionCookie, "", 0))
	return c.Redirect(http.StatusSeeOther, "/dashboards/login")
}

// localPath returns where a login leads: a path of the dashboards, never
// another server (an open redirect).
func localPath(next string) string {
	const home = "/dashboards"
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsAny(next, "\\\r\n\t") {
		return home
	}
	at := path.Clean(u.Path)
	if !strings.HasPrefix(at, home+"/") || strings.HasPrefix(at, home+"/login") {
		return home
	}
	return (&url.URL{Path: at, RawQuery: u.RawQuery}).String()
}
