package consent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// preferences is the body of POST /_s/p: null takes a preference away.
type preferences struct {
	Site  string                     `json:"site"`
	Token string                     `json:"token"`
	Set   map[string]json.RawMessage `json:"set"`
}

// Limits of sl_pref, which browsers send with every request of the site: the
// number of preferences, the characters of one, and the bytes of all as they
// stand in the cookie.
const (
	maxPreferences     = 30
	maxPreferenceValue = 500
	maxPreferenceBytes = 3000
)

var preferenceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// PostPreferences sets and clears preferences of a visitor who has granted
// them, in the cookie sl_pref: JSON, percent-encoded, so that a page reads it
// with JSON.parse(decodeURIComponent(value)). It answers 204. Errors:
// ErrMediaType, ErrTooLarge, ErrNotJSON, ErrUnknownSite, ErrForbiddenOrigin,
// ErrNotGranted, *FieldError.
func (h *Handler) PostPreferences(c echo.Context) error {
	r := c.Request()
	h.open(c)
	var in preferences
	if err := ReadJSON(r, maxPreference, &in); err != nil {
		return fmt.Errorf("read preferences: %w", err)
	}
	policy, err := h.from(c, in.Site)
	if err != nil {
		return fmt.Errorf("preferences: %w", err)
	}
	token, reason := h.Ledger.Authenticate(h.Ledger.RawToken(r, in.Token, policy), policy)
	if reason == Live {
		reason = h.Ledger.Live(policy, token, Use{Purpose: Preference})
	}
	if reason != Live {
		return fmt.Errorf("preferences: %s: %w", reason, ErrNotGranted)
	}
	jar := policy.Site.newJar(r, h.Ledger.Now())
	kept := readPreferences(jar.sent[PreferenceCookie])
	if err := in.apply(kept); err != nil {
		return err
	}
	if len(kept) == 0 {
		jar.expire([]string{PreferenceCookie})
	} else {
		value, err := writePreferences(kept)
		if err != nil {
			return err
		}
		until := jar.now.AddDate(0, preferenceMonths, 0)
		if expires := policy.Expires(token); expires.Before(until) {
			until = expires
		}
		jar.keep(PreferenceCookie, value, "/", false, until)
	}
	jar.write(c.Response().Header())
	return c.NoContent(http.StatusNoContent)
}

// apply changes kept as the request says. Error: *FieldError.
func (p *preferences) apply(kept map[string]any) error {
	var bad FieldError
	if len(p.Set) == 0 {
		bad.Add("set", "is missing: name the preferences to set, or null to take one away")
	}
	for name, raw := range p.Set {
		at := "set." + name
		if !preferenceName.MatchString(name) {
			bad.Add(at, "a name has 1 to 64 letters, digits, dots, hyphens and underscores")
			continue
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			bad.Add(at, "is not JSON")
			continue
		}
		switch v := value.(type) {
		case nil:
			delete(kept, name)
		case string:
			if utf8.RuneCountInString(v) > maxPreferenceValue {
				bad.Add(at, "is longer than %d characters", maxPreferenceValue)
			}
			kept[name] = v
		case bool, float64:
			kept[name] = v
		default:
			bad.Add(at, "is neither string, number, boolean nor null")
		}
	}
	if len(kept) > maxPreferences {
		bad.Add("set", "makes %d preferences; %d is the most", len(kept), maxPreferences)
	}
	return bad.OrNil()
}

// readPreferences reads the cookie; what cannot be read counts as nothing.
func readPreferences(cookie string) map[string]any {
	kept := map[string]any{}
	text, err := url.PathUnescape(cookie)
	if err != nil || cookie == "" || json.Unmarshal([]byte(text), &kept) != nil || kept == nil {
		return map[string]any{}
	}
	return kept
}

func writePreferences(kept map[string]any) (string, error) {
	b, err := json.Marshal(kept)
	if err != nil {
		return "", fmt.Errorf("encode preferences: %w", err)
	}
	value := encodeURIComponent(string(b))
	if len(value) > maxPreferenceBytes {
		bad := &FieldError{}
		bad.Add("set", "makes a cookie of %d bytes; %d is the most", len(value), maxPreferenceBytes)
		return "", bad
	}
	return value, nil
}
