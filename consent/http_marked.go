package consent

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
)

// GetMarked tells a page with marked elements (?site=&lang=) what to put in the
// place of a frame that waits, and which services need a reload to stop. It is
// no view of the banner and counts nothing. Error: ErrUnknownSite.
func (h *Handler) GetMarked(c echo.Context) error {
	r := c.Request()
	h.open(c)
	policy, err := h.named(r)
	if err != nil {
		return fmt.Errorf("marked elements: %w", err)
	}
	lang := h.speak(r, r.URL.Query().Get("lang"))
	return c.JSON(http.StatusOK, policy.marked(lang, h.Texts(lang)))
}
