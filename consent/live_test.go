package consent

import (
	"fmt"
	"testing"
	"time"
)

// The law of what is live. Every row is a sentence: "a token that grants
// analytics, given under an older notice whose analytics has changed since:
// stale_notice".
func TestLive(t *testing.T) {
	t.Parallel()
	var (
		before = shop() // as it was asked
		now    = shop() // version new, analytics changed, preference and media not
	)
	now.Notice.Version = "2026-01"
	now.Services[0].Provider = "Contentsquare" // hotjar, under analytics
	moved := shop()                            // hotjar under media
	moved.Services[0].Purpose = Media
	added := shop() // a further service under analytics
	added.Services = append(added.Services, Service{Name: "heatmap", Purpose: Analytics})
	dropped := shop() // no media any more
	dropped.Services = dropped.Services[:1]
	reworded := shop()
	reworded.Texts = map[string]map[string]string{"de": {"purpose.analytics.description": "Anders."}}
	shorter := shop()
	shorter.ConsentDays = 90
	longer := shop()
	longer.ConsentDays = 365

	same := testPolicy(t, shop())
	changed := testPolicy(t, now, before)
	all := []Purpose{Analytics, Preference, Media, "research"}
	day := 24 * time.Hour
	use := func(p Purpose, service string) Use { return Use{p, service} }
	cutBefore := uint32(noon.Unix()) + 1 // takes back tokens issued at noon

	for _, tc := range []struct {
		law    string
		policy *Policy
		under  *Site // whose notice the token was given under
		grants []Purpose
		denied []string
		cut    *Cut
		use    Use
		after  time.Duration // since issue
		want   Reason
	}{
		// purpose × service
		{"essential needs no token's grant", same, before, nil, nil, nil, use(Essential, ""), 0, Live},
		{"essential outlives everything", same, before, nil, nil, &Cut{All: Forever}, use(Essential, "stripe"), 999 * day, Live},
		{"analytics granted covers statistics", same, before, []Purpose{Analytics}, nil, nil, StatisticsUse, 0, Live},
		{"analytics granted covers its services", same, before, []Purpose{Analytics}, nil, nil, use(Analytics, "hotjar"), 0, Live},
		{"analytics granted covers no other purpose", same, before, []Purpose{Analytics}, nil, nil, use(Preference, ""), 0, NoConsent},
		{"analytics granted covers no other purpose's service", same, before, []Purpose{Analytics}, nil, nil, use(Media, "chat"), 0, NoConsent},
		{"a service counts under its own purpose alone", same, before, all, nil, nil, use(Analytics, "chat"), 0, NoConsent},
		{"nothing granted covers nothing", same, before, nil, nil, nil, StatisticsUse, 0, NoConsent},
		{"a purpose without services stands for itself", same, before, []Purpose{Preference}, nil, nil, use(Preference, ""), 0, Live},
		{"a purpose of the site's own", same, before, []Purpose{"research"}, nil, nil, use("research", ""), 0, Live},
		{"an unknown purpose", same, before, all, nil, nil, use("profiling", ""), 0, NoConsent},
		{"an unknown service", same, before, all, nil, nil, use(Analytics, "spyware"), 0, NoConsent},
		{"a denied service", same, before, all, []string{"hotjar"}, nil, use(Analytics, "hotjar"), 0, NoConsent},
		{"a denied service leaves its sibling", same, before, all, []string{"hotjar"}, nil, StatisticsUse, 0, Live},
		{"statistics denied leaves its sibling", same, before, all, []string{Statistics}, nil, use(Analytics, "hotjar"), 0, Live},

		// notice
		{"older notice, purpose unchanged", changed, before, all, nil, nil, use(Preference, ""), 0, Live},
		{"older notice, purpose with services unchanged", changed, before, all, nil, nil, use(Media, "chat"), 0, Live},
		{"older notice, a recipient changed", changed, before, all, nil, nil, use(Analytics, "hotjar"), 0, StaleNotice},
		{"older notice, a sibling's recipient changed", changed, before, all, nil, nil, StatisticsUse, 0, StaleNotice},
		{"older notice, changed but never granted", changed, before, []Purpose{Preference}, nil, nil, StatisticsUse, 0, NoConsent},
		{"older notice, reworded", testPolicy(t, reworded, before), before, all, nil, nil, StatisticsUse, 0, StaleNotice},
		{"older notice, others reworded", testPolicy(t, reworded, before), before, all, nil, nil, use(Media, "chat"), 0, Live},
		{"a notice that nobody here has served", testPolicy(t, now), before, all, nil, nil, StatisticsUse, 0, StaleNotice},
		{"a service moved to another purpose, as it was", testPolicy(t, moved, before), before, all, nil, nil, use(Analytics, "hotjar"), 0, StaleNotice},
		{"a service moved to another purpose, as it is", testPolicy(t, moved, before), before, all, nil, nil, use(Media, "hotjar"), 0, StaleNotice},
		{"a service added later", testPolicy(t, added, before), before, all, nil, nil, use(Analytics, "heatmap"), 0, StaleNotice},
		{"a purpose given up", testPolicy(t, dropped, before), before, all, nil, nil, use(Media, "chat"), 0, StaleNotice},
		{"a purpose that the older notice did not name", testPolicy(t, before, dropped), dropped, all, nil, nil, use(Media, "chat"), 0, StaleNotice},

		// time
		{"a second before issue", same, before, all, nil, nil, StatisticsUse, -time.Second, NoConsent},
		{"at issue", same, before, all, nil, nil, StatisticsUse, 0, Live},
		{"in the last second", same, before, all, nil, nil, StatisticsUse, 180*day - time.Second, Live},
		{"when consent_days are over", same, before, all, nil, nil, StatisticsUse, 180 * day, Expired},
		{"long after", same, before, all, nil, nil, StatisticsUse, 500 * day, Expired},
		{"consent_days lowered since: in time", testPolicy(t, shorter, before), before, all, nil, nil, StatisticsUse, 90*day - time.Second, Live},
		{"consent_days lowered since: over", testPolicy(t, shorter, before), before, all, nil, nil, StatisticsUse, 90 * day, Expired},
		{"consent_days raised since prolong nothing", testPolicy(t, longer, before), before, all, nil, nil, StatisticsUse, 180 * day, Expired},

		// cut
		{"nothing cut but the latest issue noted", same, before, all, nil, &Cut{Latest: cutBefore}, StatisticsUse, 0, Live},
		{"all cut for ever", same, before, all, nil, &Cut{All: Forever}, StatisticsUse, 0, Withdrawn},
		{"all cut for ever, other purpose", same, before, all, nil, &Cut{All: Forever}, use(Preference, ""), 0, Withdrawn},
		{"all cut later than issue", same, before, all, nil, &Cut{All: cutBefore}, StatisticsUse, 0, Withdrawn},
		{"all cut before issue", same, before, all, nil, &Cut{All: cutBefore - 1}, StatisticsUse, 0, Live},
		{"the purpose cut", same, before, all, nil, &Cut{Purposes: map[Purpose]uint32{Analytics: cutBefore}}, StatisticsUse, 0, Withdrawn},
		{"another purpose cut", same, before, all, nil, &Cut{Purposes: map[Purpose]uint32{Media: cutBefore}}, StatisticsUse, 0, Live},
		{"the purpose granted again since: this token stays dead", same, before, all, nil, &Cut{Latest: cutBefore + 9, Purposes: map[Purpose]uint32{Analytics: cutBefore}}, StatisticsUse, 0, Withdrawn},
		{"the purpose cut before this token's issue", same, before, all, nil, &Cut{Purposes: map[Purpose]uint32{Analytics: cutBefore - 1}}, StatisticsUse, 0, Live},
		{"the service cut", same, before, all, nil, &Cut{Services: map[string]uint32{"hotjar": cutBefore}}, use(Analytics, "hotjar"), 0, Withdrawn},
		{"a sibling service cut", same, before, all, nil, &Cut{Services: map[string]uint32{"hotjar": cutBefore}}, StatisticsUse, 0, Live},
		{"cut and expired: expired is said first", same, before, all, nil, &Cut{All: Forever}, StatisticsUse, 180 * day, Expired},
	} {
		t.Run(tc.law, func(t *testing.T) {
			t.Parallel()
			token := given(testNotice(t, tc.under), noon, tc.grants, tc.denied...)
			got := tc.policy.Live(token, tc.cut, tc.use, noon.Add(tc.after))
			if got != tc.want {
				t.Errorf("%s/%s, granted %s, denied %v: got %s, want %s",
					tc.use.Purpose, tc.use.Service, joined(tc.grants), tc.denied, verdict(got), verdict(tc.want))
			}
		})
	}
}

// TestGranted: a no stays one, whatever is asked since.
func TestGranted(t *testing.T) {
	t.Parallel()
	before, now := shop(), shop()
	now.Services[0].Provider = "Contentsquare"
	now.Services = append(now.Services, Service{Name: "heatmap", Purpose: Analytics})
	policy := testPolicy(t, now, before)
	for _, tc := range []struct {
		name   string
		policy *Policy
		grants []Purpose
		denied []string
		use    Use
		want   bool
	}{
		{"granted, and changed since", policy, []Purpose{Analytics}, nil, Use{Analytics, "hotjar"}, true},
		{"denied, and changed since", policy, []Purpose{Analytics}, []string{"hotjar"}, Use{Analytics, "hotjar"}, false},
		{"a purpose without its service", policy, []Purpose{Analytics}, []string{"hotjar"}, Use{Analytics, ""}, true},
		{"a purpose not granted", policy, []Purpose{Preference}, nil, Use{Analytics, "hotjar"}, false},
		{"a service under another purpose", policy, []Purpose{Analytics, Media}, nil, Use{Media, "hotjar"}, false},
		{"a service that nobody asked about", policy, []Purpose{Analytics}, nil, Use{Analytics, "heatmap"}, false},
		{"a notice that is not known here", testPolicy(t, now), []Purpose{Preference}, nil, Use{Analytics, "hotjar"}, true},
	} {
		token := given(testNotice(t, before), noon, tc.grants, tc.denied...)
		if got := tc.policy.Granted(token, tc.use); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestLiveEveryCombination goes through every subset of purposes and denied
// services, each use, signal and time, and compares with the law said in
// another way.
func TestLiveEveryCombination(t *testing.T) {
	t.Parallel()
	policy := testPolicy(t, shop())
	n := policy.Current
	lifetime := policy.Site.Lifetime()
	for purposes := range uint16(1 << len(n.Purposes)) {
		for denied := range uint32(1 << len(n.Services)) {
			for _, signal := range []uint16{0, gpcBit} {
				token := Token{Notice: n.Fingerprint, Purposes: purposes | signal, Denied: denied, Issued: uint32(noon.Unix())}
				for s, service := range n.Services {
					granted := purposes&(1<<n.purposeBit(service.Purpose)) != 0 && denied&(1<<s) == 0
					for after, inTime := range map[time.Duration]bool{-1: false, 0: true, lifetime - 1: true, lifetime: false} {
						use := Use{service.Purpose, service.Name}
						got := policy.Live(token, nil, use, noon.Add(after)) == Live
						if want := granted && inTime; got != want {
							t.Fatalf("%v with purposes %04b, denied %03b, %s after issue, signal %t: live %t, want %t",
								use, purposes, denied, after, signal != 0, got, want)
						}
						if token.UnderGPC() != (signal != 0) {
							t.Fatal("the signal's bit is lost")
						}
					}
				}
			}
		}
	}
}

func verdict(r Reason) string {
	if r == Live {
		return "live"
	}
	return fmt.Sprintf("%q", string(r))
}

func TestExpires(t *testing.T) {
	t.Parallel()
	longer := shop()
	longer.ConsentDays = 365
	policy := testPolicy(t, longer, shop())
	for name, tc := range map[string]struct {
		under *Notice
		want  int
	}{"current": {policy.Current, 365}, "older, shorter": {testNotice(t, shop()), 180}, "unknown": {&Notice{Fingerprint: 1}, 365}} {
		token := Token{Notice: tc.under.Fingerprint, Issued: uint32(noon.Unix())}
		if got := policy.Expires(token).Sub(noon); got != days(tc.want) {
			t.Errorf("%s: expires after %s, want %d days", name, got, tc.want)
		}
	}
	if got := policy.longest(); got != days(366) {
		t.Errorf("longest: %s, want 365 days, and one for events that come late", got)
	}
}
