package collector

import (
	"testing"

	"sluice/consent"
)

// TestAnswerSaysThatSomethingChanged: events under an analytics grant that still
// stands are kept, and the answer says that there is something else to ask.
func TestAnswerSaysThatSomethingChanged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, added string
		purpose     consent.Purpose
		want        string
		accepted    int
	}{
		{"nothing", "", "", "", 1},
		{"a purpose that nobody was asked about", "maps", consent.Media, "changed", 1},
		{"what the events rest on", "clarity", consent.Analytics, "changed", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			token := h.sign(h.grant())
			if tt.added != "" {
				site := *h.policy.Site
				site.Services = append(site.Services[:1:1], consent.Service{Name: tt.added, Purpose: tt.purpose})
				now := newPolicy(t, &site)
				h.ledger.Sites = consent.NewSites(consent.NewPolicy(&site, now.Current, []*consent.Notice{h.policy.Current}), h.other)
			}
			got := h.post(envelopeOf(token, pageview))
			if header := got.header.Get(NoticeHeader); header != tt.want || got.Accepted != tt.accepted {
				t.Errorf("%s is %q and %d kept, want %q and %d", NoticeHeader, header, got.Accepted, tt.want, tt.accepted)
			}
		})
	}
}
