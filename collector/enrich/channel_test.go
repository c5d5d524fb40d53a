package enrich

import (
	"strings"
	"testing"
)

// defaults are the rules of a site that has none of its own.
var defaults *Rules

func own(host string) bool { return host == "example.com" || strings.HasSuffix(host, ".example.com") }

func TestReadArrival(t *testing.T) {
	t.Parallel()
	tests := []struct {
		query, referrer string
		source          string
		channel         Channel
	}{
		{"", "", "", Direct},
		{"q=x", "", "", Direct},
		{"", "https://example.com/home", "", Direct},
		{"", "https://shop.example.com/home", "", Direct},
		{"", "not a url", "", Direct},

		{"", "https://www.google.com/", "Google", OrganicSearch},
		{"", "https://www.google.co.uk/", "Google", OrganicSearch},
		{"", "https://google.de/search?q=secret", "Google", OrganicSearch},
		{"", "https://duckduckgo.com/", "DuckDuckGo", OrganicSearch},
		{"", "https://search.yahoo.co.jp/", "Yahoo", OrganicSearch},
		{"", "https://search.brave.com/", "Brave", OrganicSearch},
		{"", "android-app://com.google.android.googlequicksearchbox/", "Google", OrganicSearch},
		{"", "https://mail.google.com/", "Gmail", EmailChannel},
		{"", "https://docs.google.com/document/1", "Google Docs", ReferralChannel},
		{"", "https://l.facebook.com/l.php?u=x", "Facebook", OrganicSocial},
		{"", "https://t.co/abc", "X", OrganicSocial},
		{"", "https://old.reddit.com/r/golang", "Reddit", OrganicSocial},
		{"", "https://news.ycombinator.com/item?id=1", "Hacker News", OrganicSocial},
		{"", "https://www.youtube.com/watch?v=1", "YouTube", OrganicVideo},
		{"", "https://www.amazon.co.uk/dp/1", "Amazon", OrganicShopping},
		{"", "https://chatgpt.com/", "ChatGPT", ReferralChannel},
		{"", "https://www.news.test/article", "news.test", ReferralChannel},
		{"", "https://google.com.evil.test/", "google.com.evil.test", ReferralChannel},
		{"", "android-app://com.unknown.app/", "com.unknown.app", ReferralChannel},

		{"utm_source=google&utm_medium=cpc", "https://www.google.com/", "Google", PaidSearch},
		{"utm_source=Google&utm_medium=CPC", "", "Google", PaidSearch},
		{"utm_source=fb&utm_medium=paid_social", "", "Facebook", PaidSocial},
		{"utm_source=youtube&utm_medium=cpv-cpm", "", "YouTube", PaidVideo},
		{"utm_source=amazon&utm_medium=ppc", "", "Amazon", PaidShopping},
		{"utm_source=x.test&utm_medium=cpc&utm_campaign=spring-shopping", "", "x.test", PaidShopping},
		{"utm_source=adnet&utm_medium=cpc", "", "adnet", PaidOther},
		{"utm_source=adnet&utm_medium=retargeting", "", "adnet", PaidOther},
		{"utm_source=adnet&utm_medium=cpm", "", "adnet", Display},
		{"utm_source=adnet&utm_medium=banner", "", "adnet", Display},
		{"utm_source=google&utm_medium=cpc&utm_campaign=x-cross-network-y", "", "Google", CrossNetwork},
		{"utm_source=newsletter&utm_medium=email", "", "newsletter", EmailChannel},
		{"utm_source=e-mail", "", "e-mail", EmailChannel},
		{"utm_source=partner&utm_medium=affiliate", "", "partner", Affiliates},
		{"utm_source=partner&utm_medium=referral", "", "partner", ReferralChannel},
		{"utm_source=partner&utm_medium=social", "", "partner", OrganicSocial},
		{"utm_source=partner&utm_medium=video-ad", "", "partner", OrganicVideo},
		{"utm_source=partner&utm_medium=organic", "", "partner", OrganicSearch},
		{"utm_source=radio&utm_medium=audio", "", "radio", Audio},
		{"utm_source=shop&utm_medium=sms", "", "shop", SMS},
		{"utm_source=sms", "", "sms", SMS},
		{"utm_source=app&utm_medium=web-push", "", "app", MobilePush},
		{"utm_source=firebase", "", "firebase", MobilePush},
		{"utm_source=newsletter", "", "newsletter", Unassigned},
		{"utm_source=poster&utm_medium=qr", "", "poster", Unassigned},
		{"utm_campaign=summer", "", "", Unassigned},
		{"utm_source=(direct)&utm_medium=(none)", "", "(direct)", Direct},
		{"utm_source=www.linkedin.com&utm_medium=post", "", "LinkedIn", OrganicSocial},
		{"utm_source=news&utm_medium=e_mail", "https://www.google.com/", "news", EmailChannel},
		{"utm_medium=cpc", "https://www.google.com/", "Google", PaidSearch},

		{"gclid=abc", "https://www.google.com/", "Google", PaidSearch},
		{"gclid=abc", "", "Google", PaidSearch},
		{"msclkid=abc", "https://www.bing.com/", "Bing", PaidSearch},
		{"dclid=abc", "https://site.test/", "Google", Display},
		{"fbclid=abc", "https://l.facebook.com/", "Facebook", OrganicSocial},
		{"fbclid=abc", "", "Facebook", OrganicSocial},
		{"fbclid=abc", "https://news.test/", "news.test", ReferralChannel},
		{"ttclid=abc", "", "TikTok", PaidSocial},
		{"gclid=abc&utm_source=google", "", "Google", PaidSearch},
		{"srsltid=abc", "https://www.google.com/", "Google", OrganicSearch},

		{"ref=producthunt", "", "Product Hunt", OrganicSocial},
		{"ref=blog.test", "", "blog.test", ReferralChannel},
		{"source=partner", "https://www.google.com/", "partner", ReferralChannel},
	}
	for _, tt := range tests {
		t.Run("?"+tt.query+" from "+tt.referrer, func(t *testing.T) {
			t.Parallel()
			a, _ := ParseAddress("https://example.com/?" + tt.query)
			page := defaults.Page(a)
			got := ReadArrival(&page, defaults.Referrer(tt.referrer, own).From)
			if got.Source.Name != tt.source || got.Channel != tt.channel {
				t.Errorf("arrival is %q by %q, want %q by %q", got.Source.Name, got.Channel, tt.source, tt.channel)
			}
		})
	}
}

func TestReadReferrer(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, raw, want string }{
		{"none", "", ""},
		{"our own", "https://www.example.com/x", ""},
		{"the query goes", "https://www.google.com/search?q=secret#x", "https://www.google.com/search"},
		{"credentials go", "https://ada:pw@news.test/", "https://news.test/"},
		{"plain http", "http://news.test", "http://news.test/"},
		{"capitals", "HTTPS://News.Test/A", "https://news.test/A"},
		{"IPv6", "https://[2001:db8::1]:8080/path", "https://[2001:db8::1]/path"},
		{"an address goes", "https://mail.test/u/ada@example.org/", "https://mail.test/u/*email*/"},
		{"an app", "android-app://com.google.android.gm/", "android-app://com.google.android.gm"},
		{"an app that is none", "android-app://<b>/", ""},
		{"script", "javascript:alert(1)", ""},
		{"words", "</script>", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := defaults.Referrer(tt.raw, own).URL; got != tt.want {
				t.Errorf("ReadReferrer(%q) = %q, want %q", tt.raw, got, tt.want)
			}
		})
	}
}
