package static_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// googleRequests lists what the page asked Google's hosts for.
func (b *tab) googleRequests() []string {
	var out []string
	for _, r := range b.Requests() {
		if u, err := url.Parse(r.URL); err == nil && strings.Contains(u.Hostname(), "google") {
			out = append(out, r.URL)
		}
	}
	return out
}

// consents lists the consent commands of the data layer: the command and what
// it grants.
const consents = `dataLayer.filter((c) => c[0] === 'consent').map((c) => [c[1], ...Object.keys(c[2]).filter((k) => c[2][k] === 'granted').sort()].join(' '))`

func TestGoogleConsentMode(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.signals = "analytics_storage"
	b := d.open("/google.html")
	b.Asked()
	if got := eval[[]string](b, consents); !slices.Equal(got, []string{"default security_storage"}) {
		t.Errorf("consent commands before a decision: %q, want one default that denies", got)
	}
	if got := eval[int](b, `Object.keys(dataLayer[0][2]).length`); got != 7 {
		t.Errorf("the default names %d signals, want 7", got)
	}
	if got := b.googleRequests(); len(got) > 0 {
		t.Errorf("before a decision Google was asked for %q", got)
	}
	b.Click("Accept all", "section")
	b.Until(`window.log?.includes('sluice_consent')`)
	if got, want := eval[[]string](b, consents), []string{"default security_storage", "update analytics_storage"}; !slices.Equal(got, want) {
		t.Errorf("consent commands after a grant: %q, want %q", got, want)
	}
	b.Gone()
	b.eventually("the tag to be asked for", func() bool { return len(b.googleRequests()) > 0 }) // the tag itself: the hosts were reachable all the time
	b.Run(`gtag('event', 'purchase')`)
	d.wait("/hit", 1)
	if got := eval[string](b, `document.cookie`); !strings.Contains(got, "_ga=") || !strings.Contains(got, "_ga_TEST=") {
		t.Fatalf("cookies under the grant: %q", got)
	}

	// Withdrawn without a reload: off first, then denied, then the cookies, which do not come back.
	b.Run(`log.length = 0`)
	b.withdraw()
	b.Gone()
	d.forget()
	b.Run(`(gtag('event', 'late'), dispatchEvent(new PageTransitionEvent('pagehide')))`)
	b.Settle()
	if diff := cmp.Diff([]string{"update off", "sluice_consent"}, eval[[]string](b, `log`)); diff != "" {
		t.Errorf("what Google's tag was told (-want +got):\n%s", diff)
	}
	if got := eval[string](b, `document.cookie`); strings.Contains(got, "_ga") {
		t.Errorf("cookies after the withdrawal: %q", got)
	}
	if slices.Contains(d.paths(), "GET /hit") {
		t.Error("Google's tag sent a hit after the withdrawal")
	}

	// A later page of a visitor who agreed: one default, one update.
	b.Run(`sluice.open()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Accept all", "dialog")
	b.Gone()
	b.Visit(d.URL + "/google.html?again")
	b.Until(`window.log?.includes('sluice_consent')`)
	if got, want := eval[[]string](b, consents), []string{"default security_storage", "update analytics_storage"}; !slices.Equal(got, want) {
		t.Errorf("consent commands of a later page: %q, want %q", got, want)
	}
}

func TestGoogleOutside(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/outside.html")
	b.Asked()
	b.heard("tag outside the gate: " + d.URL + "/googletagmanager.js?id=G-TEST")
	b.Click("Reject all", "section")
	if got := d.wait("/_s/d", 1).Body["outside"]; got != true {
		t.Errorf("the decision does not carry the warning: outside is %v", got)
	}
}

// TestGoogleInside has a tag that a granted container brought along.
func TestGoogleInside(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/google.html")
	b.Asked()
	b.Click("Accept all", "section")
	b.Gone()
	b.Until(`window.log`)
	b.Run(`document.head.append(Object.assign(document.createElement('script'), {src: '/googletagmanager.js?id=G-TWO'}))`)
	d.wait("/googletagmanager.js", 2)
	b.Settle()
	b.withdraw()
	b.Gone()
	b.Settle()
	if got := strings.Join(b.Console(), "\n"); strings.Contains(got, "outside the gate") {
		t.Errorf("the console warns of a tag that ran under a grant: %q", got)
	}
}
