package server

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// maxBody bounds every request; the doors have lower limits of their own, but for
// that of Meta, whose notifications may be larger.
const (
	maxBody     = 1 << 20
	maxMetaBody = 4 << 20
)

// requestIDHeader is echo.HeaderXRequestID as net/http writes it.
const requestIDHeader = "X-Request-Id"

// requestID names the request in answers and logs. One sent by the client is
// not taken over: it would be its word in our log.
func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		var b [8]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		c.Response().Header()[requestIDHeader] = []string{hex.EncodeToString(b[:])}
		return next(c)
	}
}

// secure sets what every answer carries; a handler may set its own instead.
// The policy fits everything that is no page: nothing may run and nobody may
// frame it.
func secure(next echo.HandlerFunc) echo.HandlerFunc {
	// Every answer shares the values, which nobody changes in place.
	var (
		nosniff  = []string{"nosniff"}
		referrer = []string{"strict-origin-when-cross-origin"}
		cache    = []string{"private, no-store"}
		policy   = []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	)
	return func(c echo.Context) error {
		h := c.Response().Header()
		h["X-Content-Type-Options"], h["Referrer-Policy"] = nosniff, referrer
		h["Cache-Control"], h["Content-Security-Policy"] = cache, policy
		return next(c)
	}
}

// limitBody ends a body, whoever reads it.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, limit := c.Request(), int64(maxBody)
		if strings.HasSuffix(c.Path(), "/hooks/meta") {
			limit = maxMetaBody
		}
		r.Body = http.MaxBytesReader(c.Response(), r.Body, limit)
		return next(c)
	}
}

// recoverer turns a panic into an error, so that it is a 500 with a request
// id. net/http's own signal to drop the connection passes.
func recoverer(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is never wrapped
				panic(p)
			}
			if p != nil {
				err = &panicError{p, debug.Stack()}
			}
		}()
		return next(c)
	}
}

// panicError is what a handler panicked with, and where.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// accessLog writes one line per request, at debug level: the door (never the
// path as sent, nor a query), no address, no user agent.
func accessLog(log *slog.Logger, m *metrics) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			if err := next(c); err != nil {
				c.Error(err)
			}
			r, took := c.Request(), time.Since(start)
			m.served(r.Method, c.Path(), c.Response().Status, took)
			if log.Enabled(r.Context(), slog.LevelDebug) {
				log.DebugContext(r.Context(), "served", "method", r.Method, "door", c.Path(),
					"status", c.Response().Status, "bytes", c.Response().Size, "took", took,
					"request_id", c.Response().Header().Get(echo.HeaderXRequestID))
			}
			return nil
		}
	}
}

// sameOrigin refuses state changes that a browser sends from another origin.
func sameOrigin() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := protection.Check(c.Request()); err != nil {
				return fmt.Errorf("%w: %w", errCrossOrigin, err)
			}
			return next(c)
		}
	}
}

// isolate keeps the dashboards apart from other pages and, where they are
// reached over https, on https for a year (ASVS 3.4.1, 3.4.8).
func (m *machine) isolate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if m.auth.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}
