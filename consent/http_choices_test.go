package consent

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// page opens the preferences.
func (d *doors) page(t *testing.T, target string, headers ...string) (string, http.Header) {
	t.Helper()
	w := d.send(d.handler.GetChoices, "GET", target, "", headers...)
	if d.error != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d, %v", target, w.Code, d.error)
	}
	return w.Body.String(), w.Header()
}

// submit sends the page's form.
func (d *doors) submit(target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)
	return d.send(d.handler.PostChoices, "POST", target, form.Encode(), headers...)
}

var box = regexp.MustCompile(`<input type="checkbox" name="([a-z]+)" value="([a-z-]+)"( checked)?>`)

// boxes lists the page's boxes, "+" before those that are ticked.
func boxes(page string) []string {
	var out []string
	for _, m := range box.FindAllStringSubmatch(page, -1) {
		mark := "-"
		if m[3] != "" {
			mark = "+"
		}
		out = append(out, mark+m[1]+"="+m[2])
	}
	return out
}

// TestChoicesTell is what GDPR Art. 13 wants visitors to be told, on the page
// that needs no script.
func TestChoicesTell(t *testing.T) {
	t.Parallel()
	site := shop()
	site.Controller = Controller{Name: "Example GmbH", Address: "Hauptstr. 1", Contact: "privacy@example.com", DPO: "dpo@example.com", Authority: "The Commissioner"}
	site.Services = nil
	for _, name := range []string{"hotjar", "vimeo", "green-api", "stripe"} {
		s, ok := PresetFor(name)
		if !ok {
			t.Fatalf("no preset %s", name)
		}
		site.Services = append(site.Services, s)
	}
	site.Services = append(site.Services, Service{Name: "basket", Purpose: Essential, Provider: "Example GmbH", Necessary: "Keeps what you put into the basket."})
	d := newDoors(t, site)
	for lang, wants := range map[string][]string{
		"en": {
			"Provider", "Vimeo.com, Inc.", "United States", "Green-API LLC", "Kazakhstan", "Standard contractual clauses", "EU-US Data Privacy Framework",
			"Recipient", "Contentsquare SAS, FR", "Plays videos from Vimeo.", "Takes the payment", "Keeps what you put into the basket.",
			"Cloudflare, Inc.", "localStorage", "sessionStorage", "until it is deleted", "13 months", "Tells visitors apart", "Always on",
			"Hauptstr. 1", "dpo@example.com", "The Commissioner", "rests on your consent", "right to complain",
		},
		"de": {"Anbieter", "Kasachstan", "Standardvertragsklauseln", "Empfänger", "Spielt Videos von Vimeo ab.", "13 Monate", "bis zur Löschung", "zu beschweren"},
	} {
		page, _ := d.page(t, "/_s/choices?site=example.com&lang="+lang)
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page does not say %q", lang, want)
			}
		}
	}
}

func TestChoicesRoundTrip(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	page, header := d.page(t, "/_s/choices?site=example.com")
	if diff := cmp.Diff([]string{"-service=statistics", "-service=hotjar", "-purpose=preference", "-service=chat", "-purpose=research"}, boxes(page)); diff != "" {
		t.Errorf("before a choice: %s", diff)
	}
	for _, want := range []string{
		"Example GmbH", "mailto:privacy@example.com", "https://example.com/privacy", "Hotjar Ltd", "Malta", "EU-US Data Privacy Framework",
		"You have not agreed to anything.", "_hj*", "sl_choice", "__stripe_mid", "Nothing is held about this browser", `name="notice" value="2025-07"`,
		">Accept all<", ">Reject all<", ">Save<",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if first := regexp.MustCompile(`<button[^>]* value="([a-z_]+)"`).FindStringSubmatch(page); first == nil || first[1] != "save" {
		t.Errorf("Enter presses %q, want the button that saves", first)
	}
	if strings.Contains(page, "<script") || header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("a script, or cached: %v", header)
	}

	w := d.submit("/_s/choices?site=example.com", url.Values{"action": {"save"}, "notice": {"2025-07"}, "service": {"hotjar"}, "purpose": {"preference"}})
	if d.error != nil || w.Code != http.StatusSeeOther || w.Header().Get("Location") != "choices?done=saved&site=example.com" {
		t.Fatalf("%d to %q, %v", w.Code, w.Header().Get("Location"), d.error)
	}
	r := d.journal.last(t).Receipt
	if r.Method != Form || !r.Services["hotjar"] || r.Services[Statistics] || !r.Purposes[Analytics] || !r.Purposes[Preference] || r.Purposes[Media] {
		t.Errorf("recorded %+v", r)
	}
	page, _ = d.page(t, "/_s/choices?done=saved&site=example.com")
	if diff := cmp.Diff([]string{"-service=statistics", "+service=hotjar", "+purpose=preference", "-service=chat", "-purpose=research"}, boxes(page)); diff != "" {
		t.Errorf("after the choice: %s", diff)
	}
	for _, want := range []string{"Your choice is saved.", "Your choice of 2026-11-23 stands", "Saved on this page", r.ReceiptID.String(), "2026-11-23 12:00 UTC", `href="me?site=example.com"`} {
		if !strings.Contains(page, want) {
			t.Errorf("after the choice the page does not say %q", want)
		}
	}
}

func TestChoicesActions(t *testing.T) {
	t.Parallel()
	everything := []string{"analytics", "media", "preference", "research"}
	for _, tc := range []struct {
		name     string
		form     url.Values
		done     string
		method   Method
		purposes []string
		services []string
	}{
		{"accept all", url.Values{"action": {"accept_all"}, "notice": {"2025-07"}}, "saved", AcceptAll, everything, []string{"chat", "hotjar", "statistics"}},
		{"reject all", url.Values{"action": {"reject_all"}}, "saved", RejectAll, []string{}, []string{}},
		{"withdraw", url.Values{"action": {"withdraw"}}, "withdrawn", Withdraw, []string{}, []string{}},
		{"save nothing", url.Values{"action": {"save"}, "notice": {"2025-07"}}, "saved", Form, []string{}, []string{}},
		{"save a purpose alone", url.Values{"action": {"save"}, "notice": {"2025-07"}, "purpose": {"analytics"}}, "saved", Form, []string{"analytics"}, []string{"hotjar", "statistics"}},
		{"save a service alone", url.Values{"action": {"save"}, "notice": {"2025-07"}, "service": {"statistics"}}, "saved", Form, []string{"analytics"}, []string{"statistics"}},
		{"save both", url.Values{"action": {"save"}, "notice": {"2025-07"}, "purpose": {"analytics", "media"}, "service": {"statistics", "chat"}}, "saved", Form, []string{"analytics", "media"}, []string{"chat", "statistics"}},
		{"a page of an older notice", url.Values{"action": {"save"}, "notice": {"2024-01"}, "service": {"chat"}}, "changed", "", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := newDoors(t)
			w := d.submit("/_s/choices?lang=de", tc.form)
			if d.error != nil || w.Code != http.StatusSeeOther || w.Header().Get("Location") != "choices?done="+tc.done+"&lang=de" {
				t.Fatalf("%d to %q, %v", w.Code, w.Header().Get("Location"), d.error)
			}
			if tc.method == "" {
				if len(d.journal.commitments) > 0 {
					t.Error("something was recorded")
				}
				return
			}
			r := d.journal.last(t).Receipt
			if r.Method != tc.method || r.Language != "de" {
				t.Errorf("recorded %s in %s, want %s in de", r.Method, r.Language, tc.method)
			}
			if diff := cmp.Diff(tc.purposes, r.GrantedPurposes()) + cmp.Diff(tc.services, r.GrantedServices()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChoicesUnderGPC(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	page, _ := d.page(t, "/_s/choices", "Sec-GPC", "1")
	if !strings.Contains(page, "Global Privacy Control") {
		t.Error("the page does not say that the signal is honoured")
	}
	d.submit("/_s/choices", url.Values{"action": {"accept_all"}, "notice": {"2025-07"}}, "Sec-GPC", "1")
	if got := d.journal.last(t).Receipt.GrantedServices(); !slices.Equal(got, []string{Statistics}) {
		t.Errorf("accept all under the signal: %v, want recipients elsewhere off", got)
	}
	d.clock.Add(time.Second)
	d.submit("/_s/choices", url.Values{"action": {"save"}, "notice": {"2025-07"}, "service": {"chat"}}, "Sec-GPC", "1")
	if r := d.journal.last(t).Receipt; !r.Services["chat"] || !r.GPC {
		t.Errorf("switched on singly under the signal: %+v", r)
	}
}

func TestChoicesErase(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	erase := url.Values{"action": {"erase"}}
	if w := d.submit("/_s/choices", erase); w.Header().Get("Location") != "choices?done=nothing" || d.error != nil {
		t.Errorf("nothing to erase: %q, %v", w.Header().Get("Location"), d.error)
	}
	d.submit("/_s/choices", url.Values{"action": {"accept_all"}, "notice": {"2025-07"}})
	page, _ := d.page(t, "/_s/choices")
	if strings.Contains(page, `value="erase"`) || !strings.Contains(page, `href="choices?erase=1"`) {
		t.Error("erasing does not ask first")
	}
	page, _ = d.page(t, "/_s/choices?erase=1")
	if !strings.Contains(page, `value="erase"`) || !strings.Contains(page, "cannot be brought back") {
		t.Error("the question is not put")
	}
	w := d.submit("/_s/choices", erase)
	if w.Header().Get("Location") != "choices?done=erased" || d.journal.last(t).Tombstone == nil {
		t.Errorf("to %q, recorded %+v", w.Header().Get("Location"), d.journal.last(t))
	}
	if d.jar[ProofCookie] == "" {
		t.Error("erasing withdrew the consent as well")
	}
}

func TestChoicesForgery(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	d.submit("/_s/choices", url.Values{"action": {"accept_all"}, "notice": {"2025-07"}})
	recorded := len(d.journal.commitments)
	for name, headers := range map[string][]string{
		"another site's page":                 {"Origin", "https://evil.example"},
		"another site's page, modern":         {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		"a sibling's page":                    {"Origin", "https://blog.example.com"},
		"a sibling's page, modern":            {"Origin", "https://blog.example.com", "Sec-Fetch-Site", "same-site"},
		"a sandboxed frame":                   {"Origin", "null"},
		"no origin at all":                    {"Origin", ""},
		"another site on the same server":     {"Origin", "https://other.example", "Host", "other.example"},
		"a claim by a cross-site Referer":     {"Origin", "", "Referer", "https://evil.example/"},
		"cross-site with a site's own Origin": {"Sec-Fetch-Site", "cross-site"},
	} {
		if d.submit("/_s/choices?site=example.com", url.Values{"action": {"withdraw"}}, headers...); !errors.Is(d.error, ErrForbiddenOrigin) {
			t.Errorf("%s: %v, want ErrForbiddenOrigin", name, d.error)
		}
	}
	for name, headers := range map[string][]string{
		"an old browser":                        nil,
		"a modern browser":                      {"Sec-Fetch-Site", "same-origin"},
		"behind a proxy that replaces the host": {"Sec-Fetch-Site", "same-origin", "Host", "127.0.0.1:8080"},
	} {
		if d.submit("/_s/choices?site=example.com", url.Values{"action": {"save"}, "notice": {"2025-07"}}, headers...); d.error != nil {
			t.Errorf("%s: %v", name, d.error)
		}
		d.clock.Add(time.Second)
	}
	if got := len(d.journal.commitments) - recorded; got != 3 {
		t.Errorf("%d decisions recorded, want those 3 of the page itself", got)
	}
}

func TestChoicesBadForms(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	for name, form := range map[string]url.Values{
		"no action": {}, "an unknown action": {"action": {"sell"}}, "an unknown purpose": {"action": {"save"}, "notice": {"2025-07"}, "purpose": {"x"}},
		"an unknown service": {"action": {"save"}, "notice": {"2025-07"}, "service": {"x"}}, "no notice": {"action": {"save"}},
	} {
		if d.submit("/_s/choices", form); !errors.As(d.error, new(*FieldError)) {
			t.Errorf("%s: %v, want a *FieldError", name, d.error)
		}
	}
	if d.submit("/_s/choices", url.Values{"action": {strings.Repeat("x", maxForm)}}); !errors.Is(d.error, ErrTooLarge) {
		t.Errorf("too large: %v, want ErrTooLarge", d.error)
	}
	if d.send(d.handler.PostChoices, "POST", "/_s/choices", `{"action":"withdraw"}`); !errors.Is(d.error, ErrNotForm) {
		t.Errorf("JSON: %v, want ErrNotForm", d.error)
	}
	if d.submit("/_s/choices?site=example.net", url.Values{}); !errors.Is(d.error, ErrUnknownSite) {
		t.Errorf("unknown site: %v", d.error)
	}
}

// The page's policy names its style sheet as it is sent, byte for byte.
func TestChoicesPolicy(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	page, header := d.page(t, "/_s/choices")
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, found := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	policy := header.Get("Content-Security-Policy")
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !found || !strings.Contains(policy, want) {
		t.Errorf("%s\nwant %s", policy, want)
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(page, "style=") || strings.Contains(page, " on") && regexp.MustCompile(` on[a-z]+=`).MatchString(page) {
		t.Error("the page needs what its policy forbids")
	}
}

func TestChoicesSaysItInTheVisitorsLanguage(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "de"} {
		d := newDoors(t)
		d.submit("/_s/choices", url.Values{"action": {"accept_all"}, "notice": {"2025-07"}})
		for _, target := range []string{"/_s/choices?lang=" + lang, "/_s/choices?erase=1&lang=" + lang, "/_s/choices?done=changed&lang=" + lang} {
			page, header := d.page(t, target)
			if !strings.Contains(page, `<html lang="`+lang+`" dir="ltr">`) || header.Get("Content-Language") != lang {
				t.Errorf("%s: another language", target)
			}
			if missing := regexp.MustCompile(`>(choices|method|purpose|cookie|lasts|transfer|service)\.[a-z_.]+<`).FindString(page); missing != "" {
				t.Errorf("%s: no words for %s", target, missing)
			}
		}
	}
	d := newDoors(t)
	if page, _ := d.page(t, "/_s/choices", "Accept-Language", "de-CH"); !strings.Contains(page, "Alle ablehnen") || !strings.Contains(page, "180 Tage") {
		t.Error("German is not German")
	}
}

// What the page says comes from the operator, the database and the address
// bar; none of it may become markup.
func TestChoicesEscapes(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script>`
	site := shop()
	site.Controller = Controller{Name: evil, Address: evil, Contact: evil, DPO: evil, Authority: evil}
	site.Notice.PolicyURL = "javascript:alert(1)"
	site.Services[0].Title, site.Services[0].Provider, site.Services[0].PolicyURL = evil, evil, "javascript:alert(1)"
	site.Purposes[0].Title = evil
	d := newDoors(t, site)
	d.submit("/_s/choices", url.Values{"action": {"accept_all"}, "notice": {"2025-07"}})
	d.handler.Receipts = func(context.Context, ID) ([]json.RawMessage, error) {
		return []json.RawMessage{[]byte(`{"method":"<script>","purposes":{"<script>":true}}`)}, nil
	}
	page, _ := d.page(t, "/_s/choices?site=example.com&lang="+url.QueryEscape(evil)+"&done="+url.QueryEscape(evil))
	if strings.Contains(page, "<script>") || strings.Contains(page, `href="javascript:`) {
		t.Error("markup got through")
	}
}

func TestChoicesWithoutDatabase(t *testing.T) {
	t.Parallel()
	d := newDoors(t)
	d.submit("/_s/choices", url.Values{"action": {"accept_all"}, "notice": {"2025-07"}})
	d.handler.Receipts = func(context.Context, ID) ([]json.RawMessage, error) { return nil, errors.New("away") }
	if page, _ := d.page(t, "/_s/choices"); !strings.Contains(page, "cannot be read at the moment") || !strings.Contains(page, `value="withdraw"`) {
		t.Error("without the database the page does not work, or does not say so")
	}
	d.handler.Receipts = nil
	d.page(t, "/_s/choices")
}
