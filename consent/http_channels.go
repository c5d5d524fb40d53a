package consent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// Errors of the doors for channels.
var (
	ErrUnknownGrant   = errors.New("no grant has this id")
	ErrUnknownChannel = errors.New("no such channel")
	ErrNotCovered     = errors.New("the API key does not include the site")
)

// ChannelHandler is the doors by which a site's backend records who may be
// written to, and asks before it writes. All fields are required.
type ChannelHandler struct {
	Ledger    *Ledger
	Addresses *Addresses
	// Key returns the sites of a request's API key, or the server's own error.
	Key func(*http.Request) (sites []string, err error)
}

// Limits of what a backend sends about a channel.
const (
	maxChannelBody = 8 << 10
	maxWording     = 2000 // characters
)

// channelRequest is the body of every POST below /api/v1/channels/{channel}.
type channelRequest struct {
	Site     string `json:"site"` // may be left out with a key of one site
	Phone    string `json:"phone"`
	Email    string `json:"email"`   // the channel email alone has it, instead of phone
	Notice   string `json:"notice"`  // of a grant: version of what the person was told
	Language string `json:"lang"`    // of a grant
	Wording  string `json:"wording"` // of a grant: the sentence that was agreed to
}

// channelQuestion is a request that was read: whom it is about, and where.
type channelQuestion struct {
	channelRequest
	policy  *Policy
	channel Channel
	address AddressKey
}

// channelState is the answer of every door for channels. It holds no address.
type channelState struct {
	ID        string          `json:"id"` // of the last grant, "" where there was none
	Site      string          `json:"site"`
	Channel   Channel         `json:"channel"`
	Granted   bool            `json:"granted"` // may be written to now
	Reason    Reason          `json:"reason"`  // why not: no_consent, withdrawn, expired
	Since     *time.Time      `json:"since"`   // the last decision
	Expires   *time.Time      `json:"expires"` // of a grant
	ReceiptID string          `json:"receipt_id"`
	Receipt   json.RawMessage `json:"receipt,omitempty"` // of a grant that was recorded now
}

// PostGrant records that a person has agreed to be written to: 201. Errors of
// all doors for channels: those of Key, ErrUnknownChannel, ErrUnknownSite,
// ErrNotCovered, *FieldError, and of those that record ErrUnavailable.
func (h *ChannelHandler) PostGrant(c echo.Context) error {
	q, err := h.read(c)
	if err != nil {
		return err
	}
	contact, receipt, err := h.Ledger.OptIn(c.Request().Context(), q.policy, OptIn{
		Channel: q.channel, Address: q.address, Notice: q.Notice, Language: q.Language, Wording: q.Wording,
	})
	if err != nil {
		return err
	}
	out := h.state(q.policy, q.channel, &contact)
	if out.Receipt, err = receipt.Canonical(); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, out)
}

// PostLookup answers whether a person may be written to now: 200, also for one
// who was never heard of.
func (h *ChannelHandler) PostLookup(c echo.Context) error {
	q, err := h.read(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, h.state(q.policy, q.channel, h.Ledger.Index.Contact(q.address)))
}

// PostWithdraw takes back what was granted, and notes an objection where nothing
// was: 200.
func (h *ChannelHandler) PostWithdraw(c echo.Context) error {
	q, err := h.read(c)
	if err != nil {
		return err
	}
	contact, err := h.Ledger.OptOut(c.Request().Context(), q.policy, q.channel, q.address)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, h.state(q.policy, q.channel, &contact))
}

// GetGrant answers what has become of a grant, by the id that it was given: 200.
// Error: ErrUnknownGrant, also for one of another site or channel.
func (h *ChannelHandler) GetGrant(c echo.Context) error {
	policy, contact, id, err := h.grant(c)
	if err != nil {
		return err
	}
	out := h.state(policy, contact.Channel, contact)
	if id != contact.ConsentID { // it ended before another was given
		out.ID, out.Granted, out.Reason, out.Expires = idText(id), false, Withdrawn, nil
	}
	return c.JSON(http.StatusOK, out)
}

// DeleteGrant withdraws what a person has granted for the channel, by the id of
// their last grant or of one before: 200. Error: as of GetGrant.
func (h *ChannelHandler) DeleteGrant(c echo.Context) error {
	policy, contact, _, err := h.grant(c)
	if err != nil {
		return err
	}
	out, err := h.Ledger.OptOut(c.Request().Context(), policy, contact.Channel, contact.Address)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, h.state(policy, out.Channel, &out))
}

// read checks key, channel, body and site, in this order.
func (h *ChannelHandler) read(c echo.Context) (channelQuestion, error) {
	private(c)
	q := channelQuestion{channel: Channel(c.Param("channel"))}
	sites, err := h.Key(c.Request())
	if err != nil {
		return q, err
	}
	if !slices.Contains(Channels, q.channel) {
		return q, fmt.Errorf("%q: %w", q.channel, ErrUnknownChannel)
	}
	if err := ReadJSON(c.Request(), maxChannelBody, &q.channelRequest); err != nil {
		return q, fmt.Errorf("read request about %s: %w", q.channel, err)
	}
	if q.Site == "" && len(sites) == 1 {
		q.Site = sites[0]
	}
	if err := q.check(); err != nil {
		return q, err
	}
	if q.policy, err = h.Ledger.Sites.Lookup(q.Site); err != nil {
		return q, fmt.Errorf("site %q: %w", q.Site, err)
	}
	if !slices.Contains(sites, q.policy.Site.Domain) {
		return q, fmt.Errorf("site %s: %w", q.policy.Site.Domain, ErrNotCovered)
	}
	q.address, err = h.address(&q)
	return q, err
}

// check reports what no site could make right. Error: *FieldError.
func (q *channelRequest) check() error {
	var bad FieldError
	if q.Site == "" {
		bad.Add("site", "is missing: send the site's domain, for the key includes several")
	}
	if len(q.Notice) > maxWords {
		bad.Add("notice", "is longer than %d bytes", maxWords)
	}
	if q.Language != "" && !languageTag.MatchString(q.Language) {
		bad.Add("lang", "is not a language tag: write de or pt-BR, or leave it out")
	}
	if utf8.RuneCountInString(q.Wording) > maxWording {
		bad.Add("wording", "is longer than %d characters", maxWording)
	}
	return bad.OrNil()
}

// address is the key of whom the request is about. Error: *FieldError.
func (h *ChannelHandler) address(q *channelQuestion) (AddressKey, error) {
	name, raw, other := "phone", q.Phone, q.Email
	if q.channel == Email {
		name, raw, other = "email", q.Email, q.Phone
	}
	var bad FieldError
	switch address, err := ParseAddress(q.channel, raw); {
	case raw == "" && other != "":
		bad.Add(name, "is missing: the channel %s is asked for by it", q.channel)
	case raw == "":
		bad.Add(name, "is missing")
	case err != nil:
		bad.Add(name, "%s", err)
	default:
		return h.Addresses.Key(q.policy.Site.Domain, q.channel, address), nil
	}
	return AddressKey{}, &bad
}

// grant finds the contact of the id in the path.
func (h *ChannelHandler) grant(c echo.Context) (*Policy, *Contact, ID, error) {
	private(c)
	sites, err := h.Key(c.Request())
	if err != nil {
		return nil, nil, ID{}, err
	}
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return nil, nil, ID{}, ErrUnknownGrant
	}
	contact := h.Ledger.Index.ContactOf(id)
	if contact == nil || string(contact.Channel) != c.Param("channel") || !slices.Contains(sites, contact.Site) {
		return nil, nil, ID{}, ErrUnknownGrant
	}
	policy, err := h.Ledger.Sites.Lookup(contact.Site)
	return policy, contact, id, err
}

func (h *ChannelHandler) state(policy *Policy, channel Channel, c *Contact) channelState {
	reason := c.Reason(h.Ledger.Now())
	out := channelState{Site: policy.Site.Domain, Channel: channel, Granted: reason == Live, Reason: reason}
	if c == nil {
		return out
	}
	out.ID, out.ReceiptID, out.Since = idText(c.ConsentID), idText(c.ReceiptID), &c.Time
	if c.ConsentID != (ID{}) {
		out.Expires = &c.Expires
	}
	return out
}
