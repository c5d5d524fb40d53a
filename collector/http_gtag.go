package collector

import (
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"sluice/consent"
)

// CollectGtag takes hits of gtag.js, one or many, by GET or POST, and answers
// 204 with nothing in it, as Google's own server does: what became of them is
// told in Sluice-Dropped. They become events as any other, and are counted and
// forwarded only under a live grant of the Google service whose property they
// name. Errors: consent.ErrMediaType, ErrTooLarge, *FieldError, those of take,
// and ErrDoorShut.
func (h *Handler) CollectGtag(c echo.Context) error {
	r := c.Request()
	h.ledger.Sites.CORS(c.Response().Header(), r)
	body, err := readLines(r)
	if err != nil {
		return fmt.Errorf("read hits of gtag: %w", err)
	}
	events, property, err := readGtag(r.URL.Query(), body)
	if err != nil {
		return err
	}
	names := []string{consent.HostOf(events[0].url), consent.HostOf(r.Header.Get("Origin")), consent.HostOf(r.Referer())}
	policy, err := h.siteNamed(names)
	if err != nil {
		return fmt.Errorf("hits of gtag from %q: %w", names, err)
	}
	site := h.sites[policy.Site.Domain]
	if !site.Accept.Gtag {
		return fmt.Errorf("site %s: %w", policy.Site.Domain, ErrDoorShut)
	}
	if !slices.ContainsFunc(site.Google, func(g GoogleService) bool { return g.MeasurementID == property }) {
		var bad consent.FieldError
		bad.Add("tid", "names a property that is not this site's: configure gtag with the measurement_id of its google-analytics service")
		return &bad
	}
	out, err := h.take(c, policy, envelope{events: events})
	if err != nil {
		return err
	}
	out.header(c)
	return c.NoContent(http.StatusNoContent)
}

// readLines reads a body whatever its type: beacons say text/plain, others
// nothing.
func readLines(r *http.Request) (string, error) {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return "", fmt.Errorf("encoding %q: %w", enc, consent.ErrMediaType)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return "", fmt.Errorf("read body: %w", err)
	}
	if len(b) > maxBody {
		return "", fmt.Errorf("more than %d bytes: %w", maxBody, consent.ErrTooLarge)
	}
	return string(b), nil
}
