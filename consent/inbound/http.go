package inbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/consent"
)

// Errors of the doors, beside those of package consent.
var (
	ErrNotConfigured = errors.New("no secret is configured for this provider")
	ErrSignature     = errors.New("the request is not signed by the provider")
)

// A message that is older than a grant is passed over, for it was answered by
// that. Clocks differ, so it has to be older by late; and one that comes fresh
// counts whatever the clocks say.
const (
	late  = time.Minute
	fresh = 15 * time.Minute
)

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
	// Limit is asked about a request that is not the provider's: nil, or why it
	// has to wait. What a provider signed is never held up.
	Limit func(echo.Context) error
}

// Handler is the doors of the providers. It is safe for concurrent use.
type Handler struct {
	o       Options
	words   words
	seen    seen
	refused refusals
}

// New prepares the doors.
func New(o Options) *Handler { return &Handler{o: o, words: newWords(o.Keywords)} }

// PostTwilio takes a message from Twilio and answers with an empty TwiML. Errors
// of all doors: ErrNotConfigured, ErrSignature or that of Options.Limit,
// consent.ErrTooLarge, ErrNotJSON, and ErrUnavailable where a withdrawal is in
// force and not yet on disk.
func (h *Handler) PostTwilio(c echo.Context) error {
	t := &h.o.Twilio
	body, err := h.read(c, t.AuthToken != "", t.signature(c.Request()) != nil, maxTwilio)
	if err == nil && !t.verify(c.Request(), body) {
		err = ErrSignature
	}
	if err != nil {
		return h.refuse(c, "twilio", err)
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
		return h.refuse(c, "meta", ErrSignature)
	}
	return c.String(http.StatusOK, q.Get("hub.challenge"))
}

// PostMeta takes a notification of the WhatsApp Cloud API.
func (h *Handler) PostMeta(c echo.Context) error {
	t := &h.o.Meta
	body, err := h.read(c, t.AppSecret != "", t.signature(c.Request()) != nil, maxMeta)
	if err == nil && !t.verify(c.Request(), body) {
		err = ErrSignature
	}
	return h.answer(c, "meta", body, err, t.read)
}

// PostGreenAPI takes a notification of Green API.
func (h *Handler) PostGreenAPI(c echo.Context) error {
	t := &h.o.GreenAPI
	body, err := h.read(c, t.Token != "", t.verify(c.Request()), maxGreen)
	return h.answer(c, "green-api", body, err, t.read)
}

func (h *Handler) answer(c echo.Context, provider string, body []byte, err error, decode func([]byte) ([]Message, error)) error {
	var messages []Message
	if err == nil {
		if messages, err = decode(body); err != nil {
			err = fmt.Errorf("%s: %w", provider, consent.ErrNotJSON)
		}
	}
	if err != nil {
		return h.refuse(c, provider, err)
	}
	if err := h.take(c.Request().Context(), provider, messages); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// read returns the bytes of a body, as they were signed. What does not even look
// signed is not read.
func (h *Handler) read(c echo.Context, configured, looksSigned bool, limit int64) ([]byte, error) {
	private(c)
	switch {
	case !configured:
		return nil, ErrNotConfigured
	case !looksSigned:
		return nil, ErrSignature
	case c.Request().ContentLength > limit:
		return nil, fmt.Errorf("message of %d bytes: %w", c.Request().ContentLength, consent.ErrTooLarge)
	}
	body, err := io.ReadAll(io.LimitReader(c.Request().Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read message: %w: %w", consent.ErrNotJSON, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("message of more than %d bytes: %w", limit, consent.ErrTooLarge)
	}
	return body, nil
}

// refuse tells the operator, for a provider that is refused brings no STOP, and
// has whoever sent it wait where there are too many of them.
func (h *Handler) refuse(c echo.Context, provider string, err error) error {
	if errors.Is(err, ErrNotConfigured) {
		return err
	}
	if h.refused.first(provider, h.o.Ledger.Now()) {
		h.o.Logger.WarnContext(c.Request().Context(), "a request to a provider's door is refused; if it was the provider's, its secret or its address is another one than is configured",
			"provider", provider, "err", err)
	}
	if h.o.Limit != nil {
		if wait := h.o.Limit(c); wait != nil {
			return wait
		}
	}
	return err
}

// refusals tells when a refusal is worth a line in the log: once a minute.
type refusals struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (r *refusals) first(provider string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, told := r.last[provider]; told && now.Sub(last) < time.Minute {
		return false
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[provider] = now
	return true
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
// Somebody who has never agreed objects where that is one site: nobody knows to
// which of several they wrote.
func (h *Handler) heed(ctx context.Context, provider string, m *Message, v verdict) error {
	address, err := consent.ParseAddress(m.Channel, m.From)
	if err != nil {
		h.o.Logger.WarnContext(ctx, "a message comes from no phone number, so nobody can be found", "provider", provider, "channel", string(m.Channel))
		return nil //nolint:nilerr // sent again, it would come from nobody again
	}
	sites := h.sites(provider)
	var failed error
	for _, p := range sites {
		a := h.o.Addresses.Key(p.Site.Domain, m.Channel, address)
		known := h.o.Ledger.Index.Contact(a)
		if known == nil && len(sites) > 1 {
			continue
		}
		word := map[verdict]string{stop: consent.ChannelStop, start: consent.ChannelStart}[v]
		h.o.Counter.Count(consent.NewCount(p.Site.Domain, consent.CountChannel, string(m.Channel)+" "+word, h.o.Ledger.Now()))
		if v != stop || h.answered(m, known) {
			continue
		}
		if _, err := h.o.Ledger.OptOut(ctx, p, m.Channel, a); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// answered reports whether what a message says was said before the last decision.
func (h *Handler) answered(m *Message, known *consent.Contact) bool {
	return known != nil && !m.At.IsZero() && m.At.Add(late).Before(known.Time) && h.o.Ledger.Now().Sub(m.At) > fresh
}

// sites are those whose numbers a provider serves.
func (h *Handler) sites(provider string) (out []*consent.Policy) {
	served, some := h.o.Sites[provider]
	for _, p := range h.o.Ledger.Sites.All() {
		if !some || slices.Contains(served, p.Site.Domain) {
			out = append(out, p)
		}
	}
	return out
}
