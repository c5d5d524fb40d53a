package consent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Handler is the doors at which visitors decide. Ledger, Counter, Banner,
// Match and Texts are required. Its methods are safe for concurrent use.
type Handler struct {
	Ledger  *Ledger
	Counter Counter
	Banner  Banner
	// Match returns the language to speak: the one that suits the first of what
	// is wanted that suits any, language tags or values of an Accept-Language
	// header. Texts are all its texts by name.
	Match func(wanted ...string) string
	Texts func(lang string) map[string]string

	// Country is the visitor's, ISO 3166-1 alpha-2, "" where unknown; asked
	// only for a decision. nil: always unknown.
	Country func(echo.Context) string
	// APIKey reports whether a request carries an API key of the site. nil:
	// there are none.
	APIKey func(r *http.Request, site string) bool
	// Subject writes everything stored under a consent as one value of JSON
	// (GDPR Art. 15); Receipts returns its receipts alone, canonical JSON, oldest
	// first. nil: nothing is stored yet.
	Subject  func(ctx context.Context, consent ID, to io.Writer) error
	Receipts func(ctx context.Context, consent ID) ([]json.RawMessage, error)
}

// Counter counts without waiting for the disk.
type Counter interface {
	Count(c Count)
}

// Banner holds the banners that were composed.
type Banner interface {
	// For returns what a view is of.
	For(v View) (http.Handler, error)
}

// View names a banner, and the part of it that is asked for. Views are
// comparable.
type View struct {
	Site     string
	Language string // one of those that there are texts in
	Variant  string // "" the usual one
	Part     Part
	// Since is the fingerprint of the notice that the visitor answered before,
	// 0 for none; Asked the purposes that alone are asked about then, as bits of
	// the current notice.
	Since uint32
	Asked uint16
}

// Part is how a banner travels.
type Part uint8

// The first layer asks. The preferences follow when they are opened from
// there; both come at once where they are opened without having been asked.
const (
	FirstLayer Part = iota
	Preferences
	BothLayers
)

// Limits of request bodies, in bytes.
const (
	maxDecision   = 8 << 10
	maxPreference = 2 << 10
	maxForm       = 8 << 10
)

// decided is the answer to a decision.
type decided struct {
	Token     string          `json:"token"`
	Choice    string          `json:"choice"` // sl_choice, for a browser that is given no cookies
	ConsentID string          `json:"consent_id"`
	Receipt   json.RawMessage `json:"receipt"`
	Expires   time.Time       `json:"expires"`
}

// PostDecision records a choice (Choice as JSON, at most 8 KiB) and answers
// 201 with its receipt and, for a grant, its token. Errors: ErrMediaType,
// ErrTooLarge, ErrNotJSON, ErrUnknownSite, ErrForbiddenOrigin, *FieldError,
// ErrStaleNotice, ErrTooMany, ErrUnavailable.
func (h *Handler) PostDecision(c echo.Context) error {
	r := c.Request()
	h.open(c)
	var in Choice
	if err := ReadJSON(r, maxDecision, &in); err != nil {
		return fmt.Errorf("read decision: %w", err)
	}
	policy, err := h.from(c, in.Site)
	if err != nil {
		return fmt.Errorf("decision: %w", err)
	}
	g, err := h.decide(c, policy, in, h.Ledger.RawToken(r, in.Token, policy))
	if err != nil {
		return err
	}
	receipt, err := g.Receipt.Canonical()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, decided{
		Token: g.Signed, Choice: policy.Site.remembered(&g.Receipt).String(),
		ConsentID: idText(g.Receipt.ConsentID), Receipt: receipt, Expires: g.Receipt.Expires,
	})
}

// decide records a choice and sets its cookies.
func (h *Handler) decide(c echo.Context, policy *Policy, in Choice, raw string) (Grant, error) {
	country := ""
	if h.Country != nil {
		country = h.Country(c)
	}
	r := c.Request()
	g, err := h.Ledger.Decide(r.Context(), policy, in, raw, SignalsOf(r.Header), country)
	if err != nil {
		return Grant{}, err
	}
	if in.Outside {
		h.Counter.Count(NewCount(policy.Site.Domain, CountOutside, "google", h.Ledger.Now()))
	}
	policy.Site.Vary(c.Response().Header())
	jar := policy.Site.newJar(r, h.Ledger.Now())
	jar.decided(&g)
	jar.write(c.Response().Header())
	return g, nil
}

// open begins the answer of a door that pages of the site may call from
// another origin.
func (h *Handler) open(c echo.Context) {
	h.Ledger.Sites.CORS(c.Response().Header(), c.Request())
	private(c)
}

// private keeps an answer out of every cache.
func private(c echo.Context) { c.Response().Header().Set("Cache-Control", "private, no-store") }

// from returns the policy of the named site for a request that comes from it,
// and lets the page read the answer.
func (h *Handler) from(c echo.Context, domain string) (*Policy, error) {
	r := c.Request()
	if domain == "" {
		bad := &FieldError{}
		bad.Add("site", "is missing: send the domain that the script tag names in data-site")
		return nil, bad
	}
	policy, err := h.Ledger.Sites.Lookup(domain)
	if err != nil {
		return nil, fmt.Errorf("site %q: %w", domain, err)
	}
	_, err = policy.Site.CheckOrigin(r, func(r *http.Request) bool {
		return h.APIKey != nil && h.APIKey(r, policy.Site.Domain)
	})
	if err != nil {
		return nil, fmt.Errorf("site %s: %w", policy.Site.Domain, err)
	}
	policy.Site.CORS(c.Response().Header(), r)
	return policy, nil
}

// named returns the policy of the site that ?site= names, else of the one that
// the host belongs to.
func (h *Handler) named(r *http.Request) (*Policy, error) {
	if domain := r.URL.Query().Get("site"); domain != "" {
		p, err := h.Ledger.Sites.Lookup(domain)
		if err != nil {
			return nil, fmt.Errorf("site %q: %w", domain, err)
		}
		return p, nil
	}
	p, err := h.Ledger.Sites.ForHost(r.Host)
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", r.Host, err)
	}
	return p, nil
}

// Preflight answers OPTIONS of every door that other origins may call. Error:
// ErrForbiddenOrigin.
func (h *Handler) Preflight(c echo.Context) error {
	private(c)
	return h.Ledger.Sites.Preflight(c.Response(), c.Request())
}

// GetBanner serves the banner (?site=&lang=) and counts a view. Under a signal
// that the site honours it answers 204, unless the visitor opens the
// preferences: &open=1 without having been asked, &more=1 from the first layer
// (of &variant=), which was counted. Where a choice stands, only what changed
// since is asked, else the answer is 204 as well. Error: ErrUnknownSite.
func (h *Handler) GetBanner(c echo.Context) error {
	r := c.Request()
	header := c.Response().Header()
	private(c)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin") // a script of a page elsewhere
	policy, err := h.named(r)
	if err != nil {
		return fmt.Errorf("banner: %w", err)
	}
	policy.Site.Vary(header)
	query := r.URL.Query()
	view := View{Site: policy.Site.Domain, Language: h.speak(r, query.Get("lang"))}
	key := ""
	switch {
	case query.Get("more") == "1":
		view.Part, view.Variant = Preferences, policy.Site.variant(query.Get("variant")).Name
	case query.Get("open") == "1":
		view.Part, key = BothLayers, ViewOpened
	case !h.renew(c.Response(), r, policy, &view):
		return c.NoContent(http.StatusNoContent)
	case policy.Site.Signalled(r.Header):
		if view.Since == 0 {
			h.count(r, policy, CountGPC, "", "")
		}
		return c.NoContent(http.StatusNoContent)
	case view.Since != 0:
		key = ViewRenewed
	default:
		view.Variant = policy.Site.drawVariant()
		if view.Variant != "" {
			key = ViewVariant + view.Variant
		}
	}
	asset, err := h.Banner.For(view)
	if err != nil {
		return fmt.Errorf("banner of %s: %w", policy.Site.Domain, err)
	}
	if view.Part != Preferences {
		h.count(r, policy, CountView, key, view.Language)
	}
	asset.ServeHTTP(c.Response(), r)
	return nil
}

// speak returns the language to speak: the page's, else the browser's.
func (h *Handler) speak(r *http.Request, page string) string {
	return h.Match(page, r.Header.Get("Accept-Language"))
}

// count counts a GET; a HEAD shows nothing to anybody.
func (h *Handler) count(r *http.Request, policy *Policy, kind CountKind, key, lang string) {
	if r.Method != http.MethodGet {
		return
	}
	n := NewCount(policy.Site.Domain, kind, key, h.Ledger.Now())
	n.Notice, n.Language = policy.Current.Version, lang
	h.Counter.Count(n)
}

// GetGPC says that the site honours Global Privacy Control (W3C GPC, "GPC
// Support Resource"); a site that does not has no such resource.
func (h *Handler) GetGPC(c echo.Context) error {
	private(c)
	policy, err := h.named(c.Request())
	if err != nil {
		return fmt.Errorf("gpc.json: %w", err)
	}
	if !policy.Site.HonourGPC {
		return echo.ErrNotFound
	}
	updated := policy.Site.Notice.Updated
	if updated == "" {
		updated = policy.Current.Since.Format(time.DateOnly)
	}
	return c.JSON(http.StatusOK, struct {
		GPC        bool   `json:"gpc"`
		LastUpdate string `json:"lastUpdate"`
	}{true, updated})
}

// idText is an id on the wire: "" for none.
func idText(id ID) string {
	if id == (ID{}) {
		return ""
	}
	return id.String()
}

// ownCookieNames are what Sluice may have set in a browser.
var ownCookieNames = []string{ChoiceCookie, ProofCookie, KeptCookie, VisitorCookie, SessionCookie, PreferenceCookie}

// held is the answer to a visitor who asks for everything, but for its last
// member: "stored".
type held struct {
	Site      string            `json:"site"`
	ConsentID string            `json:"consent_id"`
	ReceiptID string            `json:"receipt_id"`
	Notice    string            `json:"notice,omitempty"`
	Issued    time.Time         `json:"issued"`
	Expires   time.Time         `json:"expires"`
	Purposes  map[Purpose]bool  `json:"purposes"` // what the token covers now
	Services  map[string]bool   `json:"services"`
	Cookies   map[string]string `json:"cookies"`
}

// subjectWait is how long a visitor waits for the database: less than the
// server takes to give up writing (15 s), or nobody is told why.
const subjectWait = 10 * time.Second

// GetMe answers with everything held about the browser that proves itself by
// its token (GDPR Art. 15 and 20). Errors: ErrUnknownSite, ErrUnauthorised,
// ErrUnavailable.
func (h *Handler) GetMe(c echo.Context) error {
	r := c.Request()
	h.open(c)
	policy, token, err := h.subject(r)
	if err != nil {
		return fmt.Errorf("show what is held: %w", err)
	}
	out := held{
		Site: policy.Site.Domain, ConsentID: idText(token.Consent), ReceiptID: idText(token.Receipt),
		Issued: token.IssuedAt(), Expires: policy.Expires(token),
		Purposes: map[Purpose]bool{}, Services: map[string]bool{}, Cookies: map[string]string{},
	}
	if n := policy.Notice(token.Notice); n != nil {
		out.Notice = n.Version
	}
	for _, p := range policy.Current.Purposes {
		out.Purposes[p.Name] = h.Ledger.Live(policy, token, Use{Purpose: p.Name}) == Live
	}
	for _, s := range policy.Current.Services {
		out.Services[s.Name] = h.Ledger.Live(policy, token, Use{Purpose: s.Purpose, Service: s.Name}) == Live
	}
	for _, name := range ownCookieNames {
		if cookie, err := r.Cookie(name); err == nil {
			out.Cookies[name] = cookie.Value
		}
	}
	head, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("show what is held: %w", err)
	}
	to := &lateAnswer{Response: c.Response(), head: append(bytes.TrimSuffix(head, []byte("}")), `,"stored":`...)}
	if err := h.stored(r.Context(), token.Consent, to); err != nil {
		if to.Committed {
			panic(http.ErrAbortHandler) // half of it must not pass for the whole
		}
		return fmt.Errorf("show what is held: %w: %w", ErrUnavailable, err)
	}
	_, err = io.WriteString(to, "}\n")
	return err
}

// stored writes what the database holds on a consent.
func (h *Handler) stored(ctx context.Context, consent ID, to io.Writer) error {
	if h.Subject == nil {
		_, err := io.WriteString(to, "null")
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, subjectWait)
	defer cancel()
	return h.Subject(ctx, consent, to)
}

// lateAnswer writes head before the first bytes: until there are some it can
// still become an error.
type lateAnswer struct {
	*echo.Response
	head []byte
}

func (a *lateAnswer) Write(b []byte) (int, error) {
	if a.head != nil {
		a.Header().Set("Content-Type", "application/json")
		if _, err := a.Response.Write(a.head); err != nil {
			return 0, err
		}
		a.head = nil
	}
	return a.Response.Write(b)
}

// DeleteMe asks for the erasure of everything collected under the consent of
// the browser's token (GDPR Art. 17) and answers 202 once that is on disk;
// rows go within seconds. Receipts stay, as proof (Art. 17(3)(e)). Errors:
// ErrUnknownSite, ErrForbiddenOrigin, ErrUnauthorised, ErrUnavailable.
func (h *Handler) DeleteMe(c echo.Context) error {
	r := c.Request()
	h.open(c)
	policy, token, err := h.subject(r)
	if err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	// A token in a header was put there on purpose; a cookie rides along with
	// whatever another page sends.
	byHeader := r.Header.Get(TokenHeader) != "" && r.Header.Get("Origin") == ""
	if _, err := policy.Site.CheckOrigin(r, nil); err != nil && !byHeader {
		return fmt.Errorf("erase: %w", err)
	}
	if err := h.Ledger.Erase(r.Context(), policy, token); err != nil {
		return err
	}
	return c.NoContent(http.StatusAccepted)
}

// subject returns whom a request's token speaks for. An expired token still
// proves who asks.
func (h *Handler) subject(r *http.Request) (*Policy, Token, error) {
	policy, err := h.named(r)
	if err != nil {
		return nil, Token{}, err
	}
	token, reason := h.Ledger.Authenticate(h.Ledger.RawToken(r, "", policy), policy)
	if reason != Live {
		return nil, Token{}, fmt.Errorf("%s: %w", reason, ErrUnauthorised)
	}
	return policy, token, nil
}
