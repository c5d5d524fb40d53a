package consent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// browser builds a request of a page to a door on host.
func browser(method, host, path, body string, cookies ...string) *http.Request {
	r := httptest.NewRequest(method, "http://"+host+path, strings.NewReader(body))
	r.Host = host
	if len(cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	return r
}

// lines are the Set-Cookie lines of a decision.
func lines(t *testing.T, s *Site, r *http.Request, g *Grant) []string {
	t.Helper()
	h := http.Header{}
	j := s.newJar(r, noon)
	j.decided(g)
	j.write(h)
	return h.Values("Set-Cookie")
}

// cookieNamed returns the line that sets a cookie; "" where none does.
func cookieNamed(lines []string, name string) string {
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+"=") })
	if i < 0 {
		return ""
	}
	return lines[i]
}

// granting is a Grant as the ledger returns it.
func granting(t *testing.T, signed string, purposes ...Purpose) *Grant {
	t.Helper()
	policy := testPolicy(t, shop())
	in := Choice{Method: Custom, Notice: "2025-07", Purposes: map[string]bool{}}
	for _, p := range purposes {
		in.Purposes[string(p)] = true
	}
	d, err := policy.Decide(in, Circumstances{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return &Grant{Decision: d, Signed: signed}
}

func TestCookiesOfAGrant(t *testing.T) {
	t.Parallel()
	const days180 = 180 * 24 * 60 * 60
	got := lines(t, shop(), browser("POST", "www.example.com", "/_s/d", ""), granting(t, "TOKEN", Analytics))
	want := []string{
		fmt.Sprintf("sl_choice=1:2025-07:analytics:hotjar+statistics:%d; Path=/; Domain=example.com; Max-Age=%d; Secure; SameSite=Lax", noon.Unix(), days180),
		fmt.Sprintf("sl_proof=TOKEN; Path=/_s; Domain=example.com; Max-Age=%d; HttpOnly; Secure; SameSite=Lax", days180),
	}
	if diff := cmp.Diff(want, got[:2]); diff != "" {
		t.Error(diff)
	}
	id := got[2]
	if !strings.HasPrefix(id, "sl_id=1.") || !strings.Contains(id, fmt.Sprintf(".%d; Path=/; Domain=example.com; Max-Age=%d; Secure; SameSite=Lax", noon.Unix(), days180)) {
		t.Errorf("got %s", id)
	}
	if value := strings.TrimPrefix(strings.Split(id, ";")[0], "sl_id="); !visitorPattern.MatchString(value) || len(strings.Split(value, ".")[1]) != 22 {
		t.Errorf("visitor %q, want 16 random bytes as base64url", value)
	}
	if len(got) != 3 {
		t.Errorf("%d cookies, want 3: %q", len(got), got)
	}
	if again := lines(t, shop(), browser("POST", "example.com", "/_s/d", ""), granting(t, "TOKEN", Analytics)); again[2] == id {
		t.Error("two visitors got one id")
	}
}

func TestCookiesOfARefusal(t *testing.T) {
	t.Parallel()
	got := lines(t, shop(), browser("POST", "example.com", "/_s/d", ""), granting(t, ""))
	if len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf("sl_choice=1:2025-07:::%d; ", noon.Unix())) {
		t.Errorf("got %q, want sl_choice alone", got)
	}
}

func TestCookieScope(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*Site)
		host   string
		origin string
		want   string // attributes of sl_choice, without Max-Age
		proof  string // Path of sl_proof
	}{
		{"the site", nil, "example.com", "", "Path=/; Domain=example.com; Secure", "/_s"},
		{"with a port", nil, "example.com:8443", "", "Path=/; Domain=example.com; Secure", "/_s"},
		{"a subdomain", nil, "shop.example.com", "", "Path=/; Domain=example.com; Secure", "/_s"},
		{"a proxy that replaces the host", nil, "127.0.0.1:8080", "https://www.example.com", "Path=/; Domain=example.com; Secure", "/_s"},
		{"a proxy that replaces the host, nothing else known", nil, "127.0.0.1:8080", "", "Path=/; Domain=example.com; Secure", "/_s"},
		{"a test host", nil, "localhost:3000", "http://localhost:3000", "Path=/", "/_s"},
		{"a test host with a certificate", nil, "a.preview.example.dev", "https://a.preview.example.dev", "Path=/; Secure", "/_s"},
		{"a test host behind a proxy that replaces the host", nil, "127.0.0.1:8080", "http://localhost:3000", "Path=/", "/_s"},
		{"without a certificate", func(s *Site) { s.PublicURL = "http://example.com/_s" }, "example.com", "", "Path=/; Domain=example.com", "/_s"},
		{"an address", func(s *Site) { s.Domain, s.PublicURL = "127.0.0.1", "http://127.0.0.1/_s" }, "127.0.0.1:8080", "", "Path=/", "/_s"},
		{"an IPv6 address", func(s *Site) { s.Domain, s.PublicURL = "::1", "http://[::1]/_s" }, "[::1]:8080", "", "Path=/", "/_s"},
		{"a single label", func(s *Site) { s.Domain, s.PublicURL = "intranet", "http://intranet/_s" }, "intranet", "", "Path=/", "/_s"},
		{"another site lies below", func(s *Site) { s.HostCookies = true }, "www.example.com", "", "Path=/; Secure", "/_s"},
		{"a root door is on", func(s *Site) { s.RootDoors = true }, "example.com", "", "Path=/; Domain=example.com; Secure", "/"},
		{"mounted at the root", func(s *Site) { s.BasePath = "" }, "example.com", "", "Path=/; Domain=example.com; Secure", "/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			site := shop()
			if tc.change != nil {
				tc.change(site)
			}
			r := browser("POST", tc.host, "/_s/d", "")
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			got := lines(t, site, r, granting(t, "TOKEN", Analytics))
			_, attributes, _ := strings.Cut(cookieNamed(got, "sl_choice"), "; ")
			attributes = strings.Replace(attributes, fmt.Sprintf("; Max-Age=%d", 180*24*60*60), "", 1)
			if want := tc.want + "; SameSite=Lax"; attributes != want {
				t.Errorf("sl_choice: got %q, want %q", attributes, want)
			}
			if proof := cookieNamed(got, "sl_proof"); !strings.Contains(proof, "; Path="+tc.proof+";") {
				t.Errorf("sl_proof: got %q, want Path=%s", proof, tc.proof)
			}
		})
	}
}

func TestVisitorRenewed(t *testing.T) {
	t.Parallel()
	at := func(first time.Time) string { return fmt.Sprintf("1.abcDEF-_123.%d", first.Unix()) }
	thirteen := noon.AddDate(0, -13, 0)
	for name, tc := range map[string]struct {
		sent  string
		kept  bool
		until time.Time
	}{
		"none":                        {"", false, noon.AddDate(0, 13, 0)},
		"of today":                    {at(noon), true, noon.AddDate(0, 13, 0)},
		"of last month":               {at(noon.AddDate(0, -1, 0)), true, noon.AddDate(0, 12, 0)},
		"of almost 13 months ago":     {at(thirteen.Add(time.Hour)), true, noon.Add(time.Hour)},
		"of 13 months ago":            {at(thirteen), false, noon.AddDate(0, 13, 0)},
		"of the future":               {at(noon.Add(time.Hour)), false, noon.AddDate(0, 13, 0)},
		"of another layout":           {"2.abc.1795435200", false, noon.AddDate(0, 13, 0)},
		"without a first visit":       {"1.abc", false, noon.AddDate(0, 13, 0)},
		"with characters that hurt":   {"1.a<b.1795435200", false, noon.AddDate(0, 13, 0)},
		"longer than an id":           {"1." + strings.Repeat("a", 65) + ".1795435200", false, noon.AddDate(0, 13, 0)},
		"first visit beyond all time": {"1.abc.999999999999", false, noon.AddDate(0, 13, 0)},
	} {
		value, until := renewVisitor(tc.sent, noon)
		if (value == tc.sent) != tc.kept || !visitorPattern.MatchString(value) {
			t.Errorf("%s: got %q, kept: want %t", name, value, tc.kept)
		}
		if until.Sub(tc.until).Abs() > 24*time.Hour && !until.Equal(tc.until) {
			t.Errorf("%s: until %s, want %s", name, until, tc.until)
		}
	}
	// Never longer than the consent, never beyond 13 months.
	short := lines(t, shop(), browser("POST", "example.com", "/_s/d", "", "sl_id="+at(thirteen.Add(time.Hour))), granting(t, "TOKEN", Analytics))
	if id := cookieNamed(short, "sl_id"); !strings.Contains(id, "abcDEF-_123") || !strings.Contains(id, "Max-Age=3600;") {
		t.Errorf("got %q, want the id kept for its last hour", id)
	}
}

// TestCookiesBeforeAnotherSiteBelow: cookies that were set for all subdomains go
// where that is no more, or the site below would have them for months.
func TestCookiesBeforeAnotherSiteBelow(t *testing.T) {
	t.Parallel()
	site := shop()
	site.HostCookies = true
	got := lines(t, site, browser("POST", "example.com", "/_s/d", "", "sl_choice=x", "sl_proof=x", "sl_id=x"), granting(t, "TOKEN", Analytics))
	for _, want := range []string{
		"sl_choice=; Path=/; Domain=example.com; Max-Age=0; Secure",
		"sl_proof=; Path=/_s; Domain=example.com; Max-Age=0; Secure",
		"sl_id=; Path=/; Domain=example.com; Max-Age=0; Secure",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %q in %q", want, got)
		}
	}
	many := []string{"sl_proof=x"}
	for i := range 200 {
		many = append(many, fmt.Sprintf("_hj%d=x", i))
	}
	got = lines(t, site, browser("POST", "example.com", "/_s/d", "", many...), granting(t, ""))
	if want := "sl_proof=; Path=/_s; Domain=example.com; Max-Age=0; Secure"; !slices.Contains(got, want) {
		t.Errorf("refused, among many cookies: no line %q in %q", want, got)
	}
}

// TestProofAtAnotherPath: a door outside the base path was opened or closed, and
// the cookie of before would go on beside the new one.
func TestProofAtAnotherPath(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		root bool
		want string
	}{
		"opened": {true, "sl_proof=; Path=/_s; Domain=example.com; Max-Age=0; Secure"},
		"closed": {false, "sl_proof=; Path=/; Domain=example.com; Max-Age=0; Secure"},
	} {
		site := shop()
		site.RootDoors = tc.root
		got := lines(t, site, browser("POST", "example.com", "/_s/d", "", "sl_proof=a", "sl_proof=b"), granting(t, "TOKEN", Analytics))
		if !slices.Contains(got, tc.want) {
			t.Errorf("%s: no line %q in %q", name, tc.want, got)
		}
	}
}

func TestCookiesThatGo(t *testing.T) {
	t.Parallel()
	carried := []string{
		"sl_choice=x", "sl_proof=x", "sl_kept=x", "sl_id=x", "sl_s=x", "sl_pref=x", "_hjSession_1=x", "chat_id=x", "shared=x",
		"__stripe_mid=x", "session=x", "_h=x",
	}
	for _, tc := range []struct {
		name   string
		grants []Purpose
		gone   []string
	}{
		{"everything refused", nil, []string{"_hjSession_1", "chat_id", "shared", "sl_id", "sl_pref", "sl_proof", "sl_s"}},
		{"analytics alone", []Purpose{Analytics}, []string{"chat_id", "sl_pref"}},
		{"media and preference", []Purpose{Media, Preference}, []string{"_hjSession_1", "sl_id", "sl_s"}},
		{"everything granted", []Purpose{Analytics, Preference, Media, "research"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			signed := ""
			if len(tc.grants) > 0 {
				signed = "TOKEN"
			}
			var gone []string
			for _, l := range lines(t, shop(), browser("POST", "example.com", "/_s/d", "", carried...), granting(t, signed, tc.grants...)) {
				if name, _, _ := strings.Cut(l, "="); strings.Contains(l, "Max-Age=0") && !slices.Contains(gone, name) {
					gone = append(gone, name)
				}
			}
			slices.Sort(gone)
			if diff := cmp.Diff(tc.gone, gone); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhereCookiesExpire(t *testing.T) {
	t.Parallel()
	site := shop()
	site.Domain = "example.co.uk"
	var got []string
	for _, l := range lines(t, site, browser("POST", "a.b.example.co.uk", "/_s/d", "", "chat_id=1"), granting(t, "")) {
		if rest, ok := strings.CutPrefix(l, "chat_id=; "); ok {
			got = append(got, rest)
		}
	}
	var want []string
	for _, path := range []string{"/", "/_s"} {
		for _, domain := range []string{"", "; Domain=a.b.example.co.uk", "; Domain=b.example.co.uk", "; Domain=example.co.uk"} {
			want = append(want, "Path="+path+domain+"; Max-Age=0; Secure")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	local := shop()
	local.Domain, local.PublicURL = "127.0.0.1", "http://127.0.0.1/_s"
	for _, l := range lines(t, local, browser("POST", "127.0.0.1:80", "/_s/d", "", "chat_id=1"), granting(t, "")) {
		if strings.Contains(l, "Domain=") {
			t.Errorf("%s: an address takes no Domain", l)
		}
	}
}

// A proxy's buffer for headers is small; a long list must not turn a
// withdrawal into an error page.
func TestExpiryIsBounded(t *testing.T) {
	t.Parallel()
	cookies := []string{"sl_proof=x"}
	for i := range 200 {
		cookies = append(cookies, fmt.Sprintf("_hj%d=x", i))
	}
	size := 0
	got := lines(t, shop(), browser("POST", "www.example.com", "/_s/d", "", cookies...), granting(t, ""))
	for _, l := range got {
		size += len("Set-Cookie: \r\n") + len(l)
	}
	if size > 4000 {
		t.Errorf("%d bytes of Set-Cookie, want fewer than a proxy's 4 KiB", size)
	}
	set := cookieNamed(lines(t, shop(), browser("POST", "www.example.com", "/_s/d", ""), granting(t, "TOKEN", Analytics)), "sl_proof")
	_, where, _ := strings.Cut(set, "; ")
	where, _, _ = strings.Cut(where, "; Max-Age=")
	if want := "sl_proof=; " + where + "; Max-Age=0; Secure"; !slices.Contains(got, want) {
		t.Errorf("%q is not expired where it was set: %q", "sl_proof", want)
	}
}

// TestTestHostBehindTLS: a GET of the same origin carries no Origin; there the
// proxy's word on the scheme counts (see server's origins).
func TestTestHostBehindTLS(t *testing.T) {
	t.Parallel()
	for scheme, want := range map[string]bool{"https": true, "http": false, "": false} {
		r := browser("GET", "a.preview.example.dev", "/_s/b", "")
		r.URL.Scheme = scheme
		got := cookieNamed(lines(t, shop(), r, granting(t, "TOKEN", Analytics)), "sl_choice")
		if secure := strings.Contains(got, "; Secure"); secure != want {
			t.Errorf("scheme %q: Secure is %v, want %v: %s", scheme, secure, want, got)
		}
	}
}
