package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/collector"
	"sluice/consent"
	"sluice/consent/inbound"
	"sluice/dashboards/query"
)

// Errors that the server itself raises.
var (
	errNotLoggedIn  = errors.New("not logged in")
	errWrongLogin   = errors.New("e-mail address or password is wrong")
	errBadKey       = errors.New("API key is not valid")
	errNotAllowed   = errors.New("not allowed for this user or key")
	errCrossOrigin  = errors.New("request comes from another origin")
	errNotSupported = errors.New("not available yet")
)

// problem is an answer: RFC 9457.
type problem struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Detail    string          `json:"detail"`
	Fields    []consent.Field `json:"fields,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	retry     time.Duration
}

// answers is the one table from error to status and public sentence. Clients
// never see anything else; what is not listed is a 500 with a request id.
var answers = []struct {
	err    error
	status int
	title  string
	detail string
	retry  time.Duration // 0: no Retry-After
}{
	{err: consent.ErrNotJSON, status: http.StatusBadRequest, title: "Not JSON",
		detail: "The body is not one JSON value. Send a single JSON object in UTF-8."},
	{err: errWrongLogin, status: http.StatusUnauthorized, title: "Login refused",
		detail: "E-mail address or password is wrong."},
	{err: errNotLoggedIn, status: http.StatusUnauthorized, title: "Login needed",
		detail: "Log in at /dashboards/login."},
	{err: errBadKey, status: http.StatusUnauthorized, title: "API key needed",
		detail: "Send a key of this server as `Authorization: Bearer KEY`."},
	{err: consent.ErrUnauthorised, status: http.StatusUnauthorized, title: "No valid token",
		detail: "This asks for the token that a decision returned: in the cookie sl_proof, or in the header Sluice-Token."},
	{err: consent.ErrNotGranted, status: http.StatusForbidden, title: "Not granted",
		detail: "The visitor has not granted this, or no longer. Ask with sluice.open(), and send the token with the request."},
	{err: consent.ErrForbiddenOrigin, status: http.StatusForbidden, title: "Wrong origin",
		detail: "The request does not come from a page of this site. Send it from the site's own domain, a subdomain or one of its test_hosts, or with an API key of the site."},
	{err: errCrossOrigin, status: http.StatusForbidden, title: "Wrong origin",
		detail: "The request comes from a page of another origin. Send it from the page that this server served."},
	{err: errForDoctor, status: http.StatusForbidden, title: "For sluice doctor",
		detail: "This door answers `sluice doctor` alone, and no page."},
	{err: errNotAllowed, status: http.StatusForbidden, title: "Not allowed",
		detail: "This login or key does not include the site."},
	{err: consent.ErrNotCovered, status: http.StatusForbidden, title: "Not allowed",
		detail: "This login or key does not include the site."},
	{err: inbound.ErrSignature, status: http.StatusForbidden, title: "Not signed",
		detail: "The request is not signed by the provider, or with another secret than the one under hooks in sluice.yaml. Twilio signs the address that it was told: it has to be that of public_url."},
	{err: inbound.ErrNotConfigured, status: http.StatusNotFound, title: "Door not open",
		detail: "No secret of this provider is configured: hooks in sluice.yaml."},
	{err: consent.ErrUnknownChannel, status: http.StatusNotFound, title: "Unknown channel",
		detail: "The channels are whatsapp, sms and email."},
	{err: consent.ErrUnknownGrant, status: http.StatusNotFound, title: "Unknown grant",
		detail: "No grant has this id, among those of the key's sites. It is the id that POST …/grants answered with; look the number up with POST …/grants/lookup."},
	{err: consent.ErrUnknownSite, status: http.StatusNotFound, title: "Unknown site",
		detail: "No site of this name is configured here. `site` is the domain as it stands under sites in sluice.yaml."},
	{err: collector.ErrDoorShut, status: http.StatusNotFound, title: "Door not open",
		detail: "The site does not take events of this tracker. Its entry in sluice.yaml turns that on: accept: {plausible: true}, or umami, goatcounter, gtag."},
	{err: consent.ErrStaleNotice, status: http.StatusConflict, title: "The notice has changed",
		detail: "The visitor answered an older notice. Load the banner again and ask once more; a decision that only lowers consent is always accepted."},
	{err: consent.ErrTooLarge, status: http.StatusRequestEntityTooLarge, title: "Too large",
		detail: "The body is larger than this door accepts: 100 events or 64 KiB of them, 64 KiB for a query, 8 KiB for a decision, a form or a grant, 2 KiB for preferences, and 16 KiB, 256 KiB or 3 MiB for a message of Twilio, Green API or Meta."},
	{err: consent.ErrMediaType, status: http.StatusUnsupportedMediaType, title: "Content type not accepted",
		detail: "Send application/json (or text/plain that holds JSON, for sendBeacon), without Content-Encoding."},
	{err: consent.ErrNotForm, status: http.StatusUnsupportedMediaType, title: "Content type not accepted",
		detail: "This door takes a form: send application/x-www-form-urlencoded."},
	{err: consent.ErrTooMany, status: http.StatusTooManyRequests, title: "Too many requests", retry: time.Minute,
		detail: "Wait as long as Retry-After says. The operator sets how much is too much: limits in sluice.yaml."},
	{err: consent.ErrUnavailable, status: http.StatusServiceUnavailable, title: "Cannot keep this now", retry: 30 * time.Second,
		detail: "Disk or database cannot be used now. A withdrawal is in force all the same. Send the same request again after Retry-After."},
	{err: query.ErrUnavailable, status: http.StatusServiceUnavailable, title: "No statistics now", retry: 10 * time.Second,
		detail: "Statistics cannot be read now. Ask again after Retry-After, or for a shorter period."},
	{err: context.DeadlineExceeded, status: http.StatusServiceUnavailable, title: "Took too long", retry: 10 * time.Second,
		detail: "Ask again after Retry-After, or for a shorter period."},
	{err: errNotSupported, status: http.StatusNotImplemented, title: "Not available yet",
		detail: "This door comes with a later version."},
}

// problemOf translates an error. ok is false for one that nobody listed.
func problemOf(err error) (p problem, ok bool) {
	p = problem{Type: "about:blank"}
	var fields *consent.FieldError
	if errors.As(err, &fields) {
		p.Title, p.Status, p.Fields = "Wrong shape", http.StatusUnprocessableEntity, fields.Fields
		p.Detail = "The request was read, but these fields cannot be used."
		return p, true
	}
	for _, a := range answers {
		if errors.Is(err, a.err) {
			p.Title, p.Status, p.Detail, p.retry = a.title, a.status, a.detail, a.retry
			var wait *waitError
			if errors.As(err, &wait) {
				p.retry = wait.after
			}
			return p, true
		}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problemOf(consent.ErrTooLarge)
	}
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code >= 400 && he.Code < 500 {
		p.Title, p.Status = http.StatusText(he.Code), he.Code
		p.Detail = routeDetail(he.Code)
		return p, true
	}
	p.Title, p.Status = http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError
	p.Detail = "Something went wrong here. The request id finds it in the server's log."
	return p, false
}

func routeDetail(status int) string {
	switch status {
	case http.StatusNotFound:
		return "There is no such door. docs/doors.md lists them all."
	case http.StatusMethodNotAllowed:
		return "This door does not take that method; Allow lists those that it takes."
	}
	return "The request cannot be served as it is."
}

// waitError is a refusal that knows when to come back.
type waitError struct{ after time.Duration }

func (e *waitError) Error() string { return "try again in " + e.after.String() }
func (e *waitError) Unwrap() error { return consent.ErrTooMany }

// errorHandler is Echo's last stop. page answers a person who looks at the
// dashboards; everybody else gets the problem as JSON.
func errorHandler(log *slog.Logger, page func(echo.Context, problem) error) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		r := c.Request()
		if c.Response().Committed {
			log.DebugContext(r.Context(), "answer broke off", "door", c.Path(), "err", err)
			return
		}
		p, listed := problemOf(err)
		id := c.Response().Header().Get(echo.HeaderXRequestID)
		switch {
		case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
			return // nobody is listening any more
		case !listed:
			p.RequestID = id
			attrs := []any{"door", c.Path(), "request_id", id, "err", err}
			var panicked *panicError
			if errors.As(err, &panicked) {
				attrs = append(attrs, "stack", string(panicked.stack))
			}
			log.ErrorContext(r.Context(), "request failed", attrs...)
		case p.Status >= http.StatusInternalServerError:
			log.WarnContext(r.Context(), "request refused", "door", c.Path(), "request_id", id, "err", err)
		}
		if forPerson(r) {
			p.header(c.Response().Header())
			if err := page(c, p); err == nil {
				return
			}
		}
		writeProblem(c.Response(), r, p)
	}
}

// forPerson reports whether a browser asks for a page of the dashboards to show.
func forPerson(r *http.Request) bool {
	under := r.URL.Path == "/dashboards" || strings.HasPrefix(r.URL.Path, "/dashboards/")
	return under && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (p *problem) header(h http.Header) {
	h.Set("Cache-Control", "private, no-store")
	h.Del("Content-Encoding")
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
}

func writeProblem(w http.ResponseWriter, r *http.Request, p problem) {
	p.header(w.Header())
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Type == "" {
		p.Type = "about:blank"
	}
	body, err := json.Marshal(p)
	if err != nil { // cannot happen: strings and numbers alone
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500}`)
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // the client may be gone
	}
}
