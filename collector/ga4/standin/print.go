package standin

import (
	"encoding/json"
	"fmt"
	"strings"

	"sluice/collector/ga4/judge"
)

// String tells a person what arrived and what the judge says of it, on a line
// for the request, one for each event and one for each complaint. The API
// secret is not in it.
func (h Hit) String() string {
	var body struct {
		ClientID string `json:"client_id"`
		Location struct {
			Country string `json:"country_id"`
		} `json:"user_location"`
		Consent struct {
			UserData string `json:"ad_user_data"`
		} `json:"consent"`
	}
	// What cannot be read is shown by the verdict.
	_ = json.Unmarshal(h.Body, &body)

	var b strings.Builder
	property := or(h.Query.Get("measurement_id"), h.Query.Get("tid"))
	if h.Path == HitPath {
		body.ClientID = h.Query.Get("cid")
		body.Consent.UserData = h.Query.Get("gcd")
	}
	fmt.Fprintf(&b, "%s %s %s %s → %s", h.At.UTC().Format("15:04:05"), h.Method, h.Path, property, h.outcome())
	fmt.Fprintf(&b, "  client %s  country %s  ad_user_data %s\n", or(body.ClientID, "-"), or(body.Location.Country, "-"), or(body.Consent.UserData, "-"))
	told := h.told()
	line := func(e judge.Event, fate string) {
		page := ""
		if e.Index < len(told) {
			page = told[e.Index].page
		}
		fmt.Fprintf(&b, "  %-9s %s %s\n", fate, e.Name, page)
	}
	for _, e := range h.Verdict.Accepted {
		line(e, "accepted")
	}
	for _, e := range h.Verdict.Dropped {
		line(e, "dropped")
	}
	for _, m := range h.Verdict.Messages {
		fmt.Fprintf(&b, "  rule %d: %s: %s\n", m.Rule, m.Code, m.Description)
	}
	for _, m := range h.Verdict.Flags {
		fmt.Fprintf(&b, "  passed over in silence, rule %d: %s\n", m.Rule, m.Description)
	}
	for _, v := range h.Verdict.Violations {
		fmt.Fprintf(&b, "  MUST NOT BE SENT: %s\n", v)
	}
	if h.Verdict.Clean() {
		b.WriteString("  the validator has nothing to say\n")
	}
	return b.String()
}

func (h Hit) outcome() string {
	if h.Status == 0 {
		return "connection cut"
	}
	return fmt.Sprint(h.Status)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
