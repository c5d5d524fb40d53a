package dashboards

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"sluice/consent"
)

type googlePage struct {
	chrome
	GoogleAnalytics
}

// GetGoogleAnalytics shows, per report of Google Analytics, what it has of a
// site (parameter site), and where the events of a period went. Errors:
// ErrUnknownSite.
func (h *Handler) GetGoogleAnalytics(c echo.Context) error {
	u, _ := h.user(c)
	p, err := h.sites.Lookup(c.Param("site"))
	if err != nil {
		return err
	}
	if !u.sees(p.Site.Domain) {
		return fmt.Errorf("site %s: %w", p.Site.Domain, consent.ErrUnknownSite)
	}
	now := h.now()
	v := ReadView(p.Site, c.QueryParams(), now)
	page := GoogleAnalytics{View: v, Dates: dates(v.span), Reports: googleReports}
	ctx, cancel := context.WithTimeout(c.Request().Context(), h.pageTime)
	defer cancel()
	if page.Gaps, err = askGaps(ctx, h.db, v, h.waiting(v.Site.Domain), now); err != nil {
		h.log.ErrorContext(ctx, "panel failed", "panel", "google-analytics", "site", v.Site.Domain, "err", err)
		page.Failed = true
	}
	return h.render(c, http.StatusOK, "google", googlePage{chrome{"Google Analytics · " + p.Site.Domain, u.Email}, page})
}
