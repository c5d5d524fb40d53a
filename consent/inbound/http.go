package inbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/consent"
)

// Errors of the doors, beside those of package consent.
var (
	ErrNotConfigured = errors.New("no secret is configured for this provider")
	ErrSignature     = errors.New("the request is not signed by the provider")
)

// maxBody bounds a provider's request.
const maxBody = 256 << 10

// late is how much older than a grant a message has to be to have come before
// it: clocks differ.
const late = time.Minute

// Options of a [Handler]. Ledger, Addresses, Counter and Logger are required; a
// provider without its secret is refused.
type Options struct {
	Ledger    *consent.Ledger
	Addresses *consent.Addresses
	Counter   consent.Counter
	Logger    *slog.Logger

	Twilio   Twilio
	Meta     Meta
	GreenAPI GreenAPI
	Sites    map[string][]string // whose numbers a provider's are: provider → domains; missing: all sites
	Keywords []string            // that mean STOP as well
}

// Handler is the doors of the providers. It is safe for concurrent use.
type Handler struct {
	o     Options
	words words
	seen  seen
}

// New prepares the doors.
func New(o Options) *Handler { return &Handler{o: o, words: newWords(o.Keywords)} }

// PostTwilio takes a message from Twilio and answers with an empty TwiML. Errors
// of all doors: ErrNotConfigured, ErrSignature, consent.ErrTooLarge,
// ErrNotJSON, and ErrUnavailable where a withdrawal is in force and not yet on
// disk: the provider sends it again.
func (h *Handler) PostTwilio(c echo.Context) error {
	t := &h.o.Twilio
	body, err := read(c, t.AuthToken)
	if err != nil {
		return err
	}
	if !t.verify(c.Request(), body) {
		return ErrSignature
	}
	if err := h.take(c.Request().Context(), "twilio", t.read(body)); err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "text/xml; charset=utf-8", []byte(`<?xml version="1.0" encoding="UTF-8"?><Response/>`))
}

// GetMeta answers the challenge by which Meta learns that the address is ours.
func (h *Handler) GetMeta(c echo.Context) error {
	private(c)
	if h.o.Meta.VerifyToken == "" {
		return ErrNotConfigured
	}
	q := c.Request().URL.Query()
	if q.Get("hub.mode") != "subscribe" || !equal(q.Get("hub.verify_token"), h.o.Meta.VerifyToken) {
		return ErrSignature
	}
	return c.String(http.StatusOK, q.Get("hub.challenge"))
}

// PostMeta takes a notification of the WhatsApp Cloud API.
func (h *Handler) PostMeta(c echo.Context) error {
	t := &h.o.Meta
	body, err := read(c, t.AppSecret)
	if err != nil {
		return err
	}
	if !t.verify(c.Request(), body) {
		return ErrSignature
	}
	return h.answer(c, "meta", body, t.read)
}

// PostGreenAPI takes a notification of Green API.
func (h *Handler) PostGreenAPI(c echo.Context) error {
	t := &h.o.GreenAPI
	body, err := read(c, t.Token)
	if err != nil {
		return err
	}
	if !t.verify(c.Request()) {
		return ErrSignature
	}
	return h.answer(c, "green-api", body, t.read)
}

func (h *Handler) answer(c echo.Context, provider string, body []byte, decode func([]byte) ([]Message, error)) error {
	messages, err := decode(body)
	if err != nil {
		return fmt.Errorf("%s: %w", provider, consent.ErrNotJSON)
	}
	if err := h.take(c.Request().Context(), provider, messages); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// read returns the bytes of a body, as they were signed.
func read(c echo.Context, secret string) ([]byte, error) {
	private(c)
	if secret == "" {
		return nil, ErrNotConfigured
	}
	body, err := io.ReadAll(io.LimitReader(c.Request().Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read message: %w: %w", consent.ErrNotJSON, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("message of more than %d bytes: %w", maxBody, consent.ErrTooLarge)
	}
	return body, nil
}

// private keeps an answer out of every cache.
func private(c echo.Context) { c.Response().Header().Set("Cache-Control", "private, no-store") }

// take withdraws what the messages take back. After an error the rest is taken
// all the same: each is a withdrawal.
func (h *Handler) take(ctx context.Context, provider string, messages []Message) error {
	var failed error
	for i := range messages {
		m := &messages[i]
		verdict := h.words.of(m)
		if verdict == nothing || m.ID != "" && h.seen.has(provider, m.ID) {
			continue
		}
		if err := h.heed(ctx, provider, m, verdict); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if m.ID != "" {
			h.seen.add(provider, m.ID)
		}
	}
	return failed
}

// heed does what a message asks for, on every site whose number it went to.
func (h *Handler) heed(ctx context.Context, provider string, m *Message, v verdict) error {
	address, err := consent.ParseAddress(m.Channel, m.From)
	if err != nil {
		h.o.Logger.WarnContext(ctx, "a message comes from no phone number, so nobody can be found", "provider", provider, "channel", string(m.Channel))
		return nil //nolint:nilerr // sent again, it would come from nobody again
	}
	word := map[verdict]string{stop: consent.ChannelStop, start: consent.ChannelStart}[v]
	var failed error
	for _, p := range h.o.Ledger.Sites.All() {
		if !h.of(provider, p.Site.Domain) {
			continue
		}
		h.o.Counter.Count(consent.NewCount(p.Site.Domain, consent.CountChannel, string(m.Channel)+" "+word, h.o.Ledger.Now()))
		if v != stop {
			continue
		}
		a := h.o.Addresses.Key(p.Site.Domain, m.Channel, address)
		if c := h.o.Ledger.Index.Contact(a); c != nil && !m.At.IsZero() && m.At.Add(late).Before(c.Time) {
			continue // what was said since counts
		}
		if _, err := h.o.Ledger.OptOut(ctx, p, m.Channel, a); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// of reports whether messages of a provider concern a site.
func (h *Handler) of(provider, domain string) bool {
	sites, some := h.o.Sites[provider]
	if !some {
		return true
	}
	for _, s := range sites {
		if s == domain {
			return true
		}
	}
	return false
}
