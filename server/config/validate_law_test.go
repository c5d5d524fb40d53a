package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sluice/consent"
)

// webhookKey is a secret of the shape that webhooks want.
const webhookKey = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// TestLaw: what check refuses of a service, at which place and with which
// remedy. Every file has one service, on line 4.
func TestLaw(t *testing.T) {
	t.Parallel()
	own := func(fields string) string { return "name: x, provider: X, " + fields }
	tests := []struct {
		name, service string
		path, says    string // "" where it is allowed
	}{
		{"advertising preset as statistics", "preset: meta-pixel, purpose: analytics", "purpose", "Meta pixel advertises, which analytics does not cover; leave purpose out"},
		{"advertising preset as a setting", "preset: google-ads, purpose: preference", "purpose", "Google Ads advertises, which preference does not cover"},
		{"advertising preset as media", "preset: tiktok-pixel, purpose: media", "purpose", "TikTok pixel advertises, which media does not cover"},
		{"advertising preset as essential", "preset: hubspot, purpose: essential", "purpose", "hubspot is not strictly necessary, so it needs consent; leave purpose out, which makes it marketing"},
		{"advertising preset under a purpose of its own", "preset: linkedin-insight, purpose: sponsors", "", ""},
		{"advertising preset as it is", "preset: meta-pixel", "", ""},
		{"advertising signals as statistics", own("country: DE, purpose: analytics, consent_mode: [ad_storage]"), "consent_mode", "turns on advertising, which analytics does not cover; write purpose: marketing"},
		{"advertising signals as a setting", own("country: DE, purpose: preference, consent_mode: [ad_user_data]"), "consent_mode", "which preference does not cover"},
		{"advertising signals on a preset", "preset: google-tag-manager, consent_mode: [ad_personalization]", "consent_mode", "which analytics does not cover"},
		{"advertising signals as essential", own("country: DE, purpose: essential, necessary: Y, consent_mode: [ad_storage]"), "consent_mode", "which is never essential"},
		{"advertising signals as marketing", own("country: DE, purpose: marketing, consent_mode: [ad_storage]"), "", ""},
		{"tag manager as marketing", "preset: google-tag-manager, purpose: marketing, consent_mode: [ad_storage]", "", ""},

		{"statistics as essential", "preset: statistics, purpose: essential", "purpose", "statistics is not strictly necessary, so it needs consent; leave purpose out, which makes it analytics"},
		{"statistics as a setting", "preset: statistics, purpose: preference", "purpose", "is not analytics, under which the site's own events are asked for"},
		{"statistics as advertising", "name: statistics, provider: X, country: DE, purpose: marketing", "purpose", "is not analytics"},
		{"recaptcha as essential", "preset: recaptcha, purpose: essential", "purpose", "recaptcha is not strictly necessary"},
		{"own service as essential, for no reason", own("country: DE, purpose: essential"), "necessary", "is missing; an essential service runs without consent"},
		{"own service as essential, for a reason", own("country: DE, purpose: essential, necessary: Keeps the basket."), "", ""},
		{"stripe everywhere", "preset: stripe, pages: []", "pages", "is empty, and Stripe is essential only where it is needed; name those pages: [/checkout]"},
		{"stripe where one pays", "preset: stripe, pages: [/pay]", "", ""},
		{"turnstile on a form", "preset: turnstile, pages: [/contact]", "", ""},
		{"turnstile after asking", "preset: turnstile, purpose: media", "", ""},

		{"a webhook that leaves the EEA", "preset: webhook, name: w, purpose: analytics, provider: X, country: US, url: \"https://x.example\", secret: " + webhookKey, "transfer", "is missing: US"},
		{"a webhook to nobody knows where", "preset: webhook, name: w, purpose: analytics, provider: X, url: \"https://x.example\", secret: " + webhookKey, "country", "is missing"},
		{"a webhook to the site itself", "preset: webhook, name: w, purpose: analytics, provider: Example GmbH, url: \"https://x.example\", secret: " + webhookKey, "", ""},
		{"a webhook without a grant", "preset: webhook, name: w, purpose: essential, necessary: Y, provider: Example GmbH, url: \"https://x.example\", secret: " + webhookKey, "purpose", "w is sent the site's events, which takes a grant"},
		{"a Matomo without a grant", "preset: matomo, purpose: essential, necessary: Y, provider: Example GmbH", "purpose", "matomo is not strictly necessary"},
		{"somebody else's Matomo, nobody knows where", "preset: matomo, provider: X", "country", "is missing"},
		{"the site's own Matomo", "preset: matomo", "", ""},
		{"the site's own Plausible, wherever it is", "preset: plausible, provider: Example GmbH, country: US", "", ""},
		{"nobody knows where", own("purpose: media"), "country", "is missing; visitors read where their data goes"},
		{"the controller's own", "name: x, provider: Example GmbH, purpose: media", "", ""},
		{"outside the EEA without a basis", own("purpose: media, country: US"), "transfer", "is missing: US is outside the EEA; write dpf where dataprivacyframework.gov lists the company, or scc where"},
		{"outside the EEA, none on purpose", own("purpose: media, country: US, transfer: none"), "transfer", "is missing: US"},
		{"a preset without its basis", "preset: calendly, transfer: none", "transfer", "is missing: US"},
		{"without a basis where adequacy would do", own("purpose: media, country: JP"), "transfer", "write adequacy"},
		{"without a basis where clauses alone would do", own("purpose: media, country: IN"), "transfer", "is missing: IN is outside the EEA; write scc where"},
		{"adequacy of a country without", own("purpose: media, country: US, transfer: adequacy"), "transfer", "there is none for US; write dpf"},
		{"a framework of another country", own("purpose: media, country: KZ, transfer: dpf"), "transfer", "KZ is not the United States; write scc"},
		{"moved to another country", "preset: crisp, country: RU", "transfer", "is missing: RU"},
		{"inside the EEA", own("purpose: media, country: NO"), "", ""},
		{"framework", own("purpose: media, country: US, transfer: dpf"), "", ""},
		{"clauses", own("purpose: media, country: IN, transfer: scc"), "", ""},
		{"adequacy", own("purpose: media, country: BR, transfer: adequacy"), "", ""},
		{"adequacy of Switzerland", own("purpose: media, country: CH, transfer: adequacy"), "", ""},
		{"inside, with recipients elsewhere", own("purpose: media, country: IE, transfer: dpf"), "", ""},

		{"a duration that no language knows", own("purpose: media, country: DE, cookies: [{name: c, lasts: for ages}]"), "cookies[0].lasts", "write 180 days, session or persistent"},
		{"a kind of storage that there is not", own("purpose: media, country: DE, cookies: [{name: c, lasts: session, kind: idb}]"), "cookies[0].kind", `"idb" is not one of cookie, local, session`},
		{"a kind of service that there is not", own("purpose: media, country: DE, kind: film"), "kind", `"film" is not one of advertising, booking, captcha, chat`},
		{"a language that there is not", own("purpose: media, country: DE, texts: {german: Film}"), "texts.german", `"german" is not a language`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := fmt.Sprintf("sites:\n  - {domain: example.com, controller: {name: Example GmbH},\n    purposes: [{name: sponsors, title: S, description: D}],\n    services: [{%s}]}\n", tt.service)
			_, err := Parse([]byte(file), t.TempDir())
			if tt.says == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var problems *Problems
			if !errors.As(err, &problems) || len(problems.List) != 1 {
				t.Fatalf("got %v, want one problem", err)
			}
			p := problems.List[0]
			if p.Line != 4 || p.Path != "sites[0].services[0]."+tt.path || !strings.Contains(p.Text, tt.says) {
				t.Errorf("got %s\nwant line 4, %s: … %s …", p, tt.path, tt.says)
			}
		})
	}
}

// TestPresetsAreLawful: each of them passes as it is.
func TestPresetsAreLawful(t *testing.T) {
	t.Parallel()
	for _, name := range presetNames() {
		account := ""
		if name == GoogleAnalytics {
			account = ", measurement_id: G-XXXXXXX, api_secret: s"
		}
		file := fmt.Sprintf("sites: [{domain: example.com, services: [{preset: %s%s}]}]\n", name, account)
		c, err := Parse([]byte(file), t.TempDir())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sites, err := c.ConsentSites()
		if err != nil {
			t.Fatal(err)
		}
		got := sites[0].Services[0]
		if want, _ := consent.PresetFor(name); got.Kind != want.Kind || len(got.Texts) != len(want.Texts) || len(got.Cookies) != len(want.Cookies) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// TestServiceFields: what a file says of a service reaches the visitor's side.
func TestServiceFields(t *testing.T) {
	t.Setenv("GA_API_SECRET", "secret")
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := c.ConsentSites()
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]consent.Service{}
	for _, s := range sites[0].Services {
		services[s.Name] = s
	}
	chat := services["chat"]
	if chat.Kind != "chat" || chat.Texts["en"] == "" || len(chat.Recipients) != 1 || !chat.External {
		t.Errorf("chat: %+v", chat)
	}
	want := []consent.Cookie{
		{Name: "chat_id", Lasts: "180 days", Purpose: "keeps the conversation", Provider: "Chat Hosting Inc."},
		{Name: "chat_log", Lasts: "persistent", Purpose: "chat", Kind: consent.LocalStorage},
	}
	for i, cookie := range chat.Cookies {
		if cookie != want[i] {
			t.Errorf("cookie %d: %+v, want %+v", i, cookie, want[i])
		}
	}
	if basket := services["basket"]; basket.External || basket.Necessary == "" {
		t.Errorf("basket: %+v", basket)
	}
}
