package consent

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
)

// receiptsWait is how long the page waits for the database; then it says that
// the records are away and does everything else.
const receiptsWait = 2 * time.Second

// outcomes are what an action may come to, each with its text choices.said.…;
// the page is told by ?done= after the redirect.
var outcomes = []string{"saved", "withdrawn", "erased", "nothing", "changed"}

// GetChoices serves the preferences as a plain page (?site=&lang=), that works
// without JavaScript. Error: ErrUnknownSite.
func (h *Handler) GetChoices(c echo.Context) error {
	r := c.Request()
	private(c)
	policy, err := h.named(r)
	if err != nil {
		return fmt.Errorf("choices: %w", err)
	}
	policy.Site.Vary(c.Response().Header())
	query := r.URL.Query()
	lang := h.speak(r, query.Get("lang"))
	page := &choicesPage{
		words: policy.Site.words(lang, h.Texts(lang)), query: backHere(r),
		Language: lang, Direction: direction(lang), Site: policy.Site.Domain, Controller: policy.Site.Controller,
		Notice: policy.Current.Version, Updated: policy.Site.Notice.Updated, PolicyURL: policy.Site.Notice.PolicyURL,
		Signalled: policy.Site.Signalled(r.Header),
	}
	token, reason := h.Ledger.Authenticate(h.Ledger.RawToken(r, "", policy), policy)
	page.Proved = reason == Live
	page.Purposes = policy.choices(lang, page.words, func(use Use) bool {
		return page.Proved && h.Ledger.Live(policy, token, use) == Live
	})
	if slices.ContainsFunc(page.Purposes, func(p choicePurpose) bool { return p.On && !p.Required }) {
		page.Given = token.IssuedAt()
	}
	if done := query.Get("done"); slices.Contains(outcomes, done) {
		page.Said, page.Warns = page.T("choices.said."+done), done == "changed"
	}
	if page.Proved {
		page.Erasing = query.Get("erase") == "1"
		h.addReceipts(r.Context(), page, token)
	}
	body, err := page.render()
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", choicesPolicy)
	c.Response().Header().Set("Content-Language", lang)
	return c.HTMLBlob(http.StatusOK, body)
}

// addReceipts lists the visitor's receipts, where the database answers in time.
func (h *Handler) addReceipts(ctx context.Context, page *choicesPage, token Token) {
	if h.Receipts == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, receiptsWait)
	defer cancel()
	receipts, err := h.Receipts(ctx, token.Consent)
	if err == nil {
		err = page.lines(receipts)
	}
	page.ReceiptsAway = err != nil
}

// backHere keeps the page's site and language in its links.
func backHere(r *http.Request) url.Values {
	q := url.Values{}
	for _, name := range []string{"site", "lang"} {
		if v := r.URL.Query().Get(name); v != "" {
			q.Set(name, v)
		}
	}
	return q
}

// sameOrigin refuses forms that another page sends: by Sec-Fetch-Site, else by
// an Origin equal to the host.
var sameOrigin = http.NewCrossOriginProtection()

// PostChoices takes the page's form: action save, accept_all, reject_all,
// withdraw or erase; purpose and service name what is ticked. It answers 303
// to the page. Errors: ErrNotForm, ErrUnknownSite, ErrForbiddenOrigin,
// *FieldError, ErrTooMany, ErrUnavailable.
func (h *Handler) PostChoices(c echo.Context) error {
	r := c.Request()
	private(c)
	kind, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || kind != echo.MIMEApplicationForm {
		return fmt.Errorf("choices: type %q: %w", r.Header.Get(echo.HeaderContentType), ErrNotForm)
	}
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("choices: %w", formError(err))
	}
	policy, err := h.named(r)
	if err != nil {
		return fmt.Errorf("choices: %w", err)
	}
	if _, err := policy.Site.CheckOrigin(r, nil); err != nil {
		return fmt.Errorf("choices: %w", err)
	}
	if err := sameOrigin.Check(r); err != nil {
		return fmt.Errorf("choices: %w: %w", ErrForbiddenOrigin, err)
	}
	done, err := h.act(c, policy, r.PostForm)
	if err != nil {
		return fmt.Errorf("choices: %w", err)
	}
	back := backHere(r)
	back.Set("done", done)
	return c.Redirect(http.StatusSeeOther, "choices?"+back.Encode())
}

// formError tells a form that is too large from one that is none.
func formError(err error) error {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	bad := &FieldError{}
	bad.Add("body", "is not a form")
	return bad
}

// act carries out the form's action and returns one of outcomes.
func (h *Handler) act(c echo.Context, policy *Policy, form url.Values) (string, error) {
	r := c.Request()
	raw := h.Ledger.RawToken(r, "", policy)
	in := Choice{Site: policy.Site.Domain, Notice: form.Get("notice"), Language: h.speak(r, r.URL.Query().Get("lang"))}
	done := "saved"
	switch form.Get("action") {
	case "erase":
		token, reason := h.Ledger.Authenticate(raw, policy)
		if reason != Live {
			return "nothing", nil
		}
		return "erased", h.Ledger.Erase(r.Context(), policy, token)
	case "withdraw":
		done, in.Method, in.Notice = "withdrawn", Withdraw, policy.Current.Version
	case "reject_all":
		in.Method, in.Notice = RejectAll, policy.Current.Version
	case "accept_all":
		in.Method, in.Purposes = AcceptAll, map[string]bool{}
		for _, p := range policy.Current.Purposes {
			in.Purposes[string(p.Name)] = true
		}
	case "save":
		in.Method = Form
		in.Purposes, in.Services = policy.ticked(form["purpose"], form["service"])
	default:
		bad := &FieldError{}
		bad.Add("action", "%q is not one of save, accept_all, reject_all, withdraw, erase", form.Get("action"))
		return "", bad
	}
	_, err := h.decide(c, policy, in, raw)
	if errors.Is(err, ErrStaleNotice) {
		return "changed", nil
	}
	return done, err
}

// ticked reads the boxes. A purpose is granted where it or one of its services
// is ticked; where services are, it is exactly those. Names that nobody asked
// about are handed on, for the decision to refuse.
func (p *Policy) ticked(purposes, services []string) (map[string]bool, map[string]bool) {
	grants, tools := map[string]bool{}, map[string]bool{}
	for _, name := range purposes {
		grants[name] = true
	}
	for _, name := range services {
		tools[name] = true
	}
	for _, s := range p.Current.Services {
		purpose := string(s.Purpose)
		siblings := func(t NoticeService) bool { return t.Purpose == s.Purpose && slices.Contains(services, t.Name) }
		if !slices.ContainsFunc(p.Current.Services, siblings) {
			continue // follows its purpose
		}
		grants[purpose] = true
		tools[s.Name] = slices.Contains(services, s.Name)
	}
	return grants, tools
}
