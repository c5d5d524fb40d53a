package enrich

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"
)

const (
	safariMac    = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"
	firefoxLinux = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	chrome142    = `"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"`
)

func TestBot(t *testing.T) {
	t.Parallel()
	ua := func(s string) Agent { return Agent{UserAgent: s} }
	tests := []struct {
		name  string
		agent Agent
		want  Bot
	}{
		{"Google's", ua("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"), Crawler},
		{"Google's telephone", ua("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"), Crawler},
		{"a link's preview", ua("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"), Crawler},
		{"a language model's", ua("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"), Crawler},
		{"one that fetches for a chat", ua("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot"), Crawler},
		{"a shop of links'", ua("Mozilla/5.0 (compatible; AhrefsBot/7.0)"), Crawler},
		{"a monitor that only the list knows", ua("Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0 Safari/537.36 Site24x7"), Crawler},
		{"a feed reader that only the list knows", ua("Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)"), Crawler},
		{"curl", ua("curl/8.9.1"), Crawler},
		{"Python", ua("python-requests/2.32"), Crawler},
		{"Go", ua("Go-http-client/2.0"), Crawler},
		{"Node", ua("undici"), Crawler},
		{"headless by name", ua("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36"), Headless},
		{"headless by its hints", Agent{UserAgent: chromeWindows, Brands: `"Chromium";v="142", "HeadlessChrome";v="142"`}, Headless},
		{"a driven browser", ua(chromeWindows + " Playwright/1.55"), Headless},

		{"hints of another version", Agent{UserAgent: chromeWindows, Brands: `"Chromium";v="120", "Google Chrome";v="120"`}, Headers},
		{"Chromium's hints of Firefox", Agent{UserAgent: firefoxLinux, Brands: chrome142}, Headers},
		{"Chromium's hints of a telephone of Apple's", Agent{UserAgent: safariIPhone, Brands: chrome142}, Headers},
		{"Windows on Linux", Agent{UserAgent: chromeWindows, Brands: chrome142, Platform: `"Linux"`}, Headers},
		{"a Mac on Windows", Agent{UserAgent: safariMac, Platform: `"Windows"`}, Headers},

		{"nothing at all", Agent{}, ""},
		{"hints without a user agent", Agent{Brands: chrome142, Platform: `"Windows"`, Mobile: "?0"}, ""},
		{"a user agent without hints", ua(chromeWindows), ""},
		{"an iPhone", ua(safariIPhone), ""},
		{"Firefox", ua(firefoxLinux), ""},
		{"Chrome as it is", Agent{UserAgent: chromeWindows, Brands: chrome142, Platform: `"Windows"`, Mobile: "?0"}, ""},
		{"Edge", Agent{UserAgent: chromeWindows + " Edg/142.0.3595.53", Brands: `"Chromium";v="142", "Microsoft Edge";v="142", "Not_A Brand";v="99"`, Platform: `"Windows"`}, ""},
		{"Opera, whose own version is another", Agent{UserAgent: strings.Replace(chromeWindows, "142", "140", 1) + " OPR/124.0.0.0", Brands: `"Chromium";v="140", "Opera";v="124"`, Platform: `"Windows"`}, ""},
		{"the desktop site on a telephone", Agent{UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", Brands: chrome142, Platform: `"Android"`}, ""},
		{"hints that say nothing", Agent{UserAgent: safariMac, Brands: `"";v=""`, Platform: `""`}, ""},
		{"a telephone called like a bot", ua("Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.agent.Device().Bot; got != tt.want {
				t.Errorf("%+v is %q, want %q", tt.agent, got, tt.want)
			}
		})
	}
}

func TestHosting(t *testing.T) {
	t.Parallel()
	asn := func(n uint32) mmdbtype.Map { return mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(n)} }
	databases := map[string]map[string]mmdbtype.Map{
		"GeoLite2-ASN": {"198.51.100.0/24": asn(24940), "203.0.113.0/24": asn(3320), "2001:db8:1::/48": asn(16509)},
		"GeoIP2-Anonymous-IP": {
			"198.51.100.0/24": {"is_hosting_provider": mmdbtype.Bool(true), "is_anonymous": mmdbtype.Bool(true)},
			"203.0.113.0/24":  {"is_anonymous_vpn": mmdbtype.Bool(true), "is_anonymous": mmdbtype.Bool(true)},
			"2001:db8:1::/48": {"is_hosting_provider": mmdbtype.Bool(true)},
		},
	}
	for kind, records := range databases {
		h, err := OpenHosting(writeDB(t, kind, records))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		for addr, want := range map[string]bool{"198.51.100.9": true, "2001:db8:1::9": true, "203.0.113.9": false, "192.0.2.1": false, "::1": false} {
			if got := h.Holds(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s: %s in a data centre: %v, want %v", kind, addr, got, want)
			}
		}
	}
	if (*Hosting)(nil).Holds(netip.MustParseAddr("198.51.100.9")) {
		t.Error("no database knows a data centre")
	}
	if _, err := OpenHosting(writeDB(t, "GeoLite2-Country", nil)); err == nil {
		t.Error("a database of countries is taken for one of networks")
	}
}

func TestSpammers(t *testing.T) {
	t.Parallel()
	s, err := ReadSpammers(strings.NewReader("# ours\n\nBad.Example\n"))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"semalt.com": true, "www.semalt.com": true, "bad.example": true, "a.b.bad.example": true,
		"notsemalt.com": false, "semalt.com.example": false, "good.example": false, "": false, "com": false,
	} {
		if got := s.Holds(host); got != want {
			t.Errorf("%q is a spammer's: %v, want %v", host, got, want)
		}
	}
	if (*Spammers)(nil).Holds("bad.example") || !(*Spammers)(nil).Holds("semalt.com") {
		t.Error("without a file the built-in list counts, and nothing else")
	}
	if _, err := ReadSpammers(strings.NewReader("good.example\nhttps://bad.example/\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line that is no host: %v", err)
	}
}
