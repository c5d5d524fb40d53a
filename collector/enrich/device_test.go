package enrich

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	chromeWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	safariIPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1"
)

func TestAgentDevice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		agent Agent
		want  Device
	}{
		{"nothing sent is no bot", Agent{}, Device{}},
		{"Chrome on Windows", Agent{UserAgent: chromeWindows}, Device{Browser: "Chrome", BrowserVersion: "142", OS: "Windows", OSVersion: "10", Class: "desktop"}},
		{"Edge", Agent{UserAgent: chromeWindows + " Edg/142.0.3595.53"}, Device{Browser: "Edge", BrowserVersion: "142", OS: "Windows", OSVersion: "10", Class: "desktop"}},
		{"Opera", Agent{UserAgent: chromeWindows + " OPR/124.0.0.0"}, Device{Browser: "Opera", BrowserVersion: "124", OS: "Windows", OSVersion: "10", Class: "desktop"}},
		{"Chrome on a Mac", Agent{UserAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
			Device{Browser: "Chrome", BrowserVersion: "142", OS: "macOS", OSVersion: "10.15", Class: "desktop"}},
		{"Safari on a Mac", Agent{UserAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"},
			Device{Browser: "Safari", BrowserVersion: "17.4", OS: "macOS", OSVersion: "10.15", Class: "desktop"}},
		{"Safari on an iPhone", Agent{UserAgent: safariIPhone}, Device{Browser: "Safari", BrowserVersion: "17.4", OS: "iOS", OSVersion: "17.4", Class: "mobile"}},
		{"Safari on an iPad", Agent{UserAgent: "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1"},
			Device{Browser: "Safari", BrowserVersion: "16.6", OS: "iPadOS", OSVersion: "16.6", Class: "tablet"}},
		{"Chrome on an iPhone", Agent{UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1"},
			Device{Browser: "Chrome", BrowserVersion: "142", OS: "iOS", OSVersion: "17.4", Class: "mobile"}},
		{"Chrome on Android", Agent{UserAgent: "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"},
			Device{Browser: "Chrome", BrowserVersion: "142", OS: "Android", OSVersion: "10", Class: "mobile"}},
		{"an Android tablet", Agent{UserAgent: "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
			Device{Browser: "Chrome", BrowserVersion: "142", OS: "Android", OSVersion: "13", Class: "tablet"}},
		{"Samsung Internet", Agent{UserAgent: "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"},
			Device{Browser: "Samsung Internet", BrowserVersion: "28", OS: "Android", OSVersion: "10", Class: "mobile"}},
		{"Firefox on Linux", Agent{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"},
			Device{Browser: "Firefox", BrowserVersion: "145", OS: "Linux", Class: "desktop"}},
		{"Firefox on Ubuntu", Agent{UserAgent: "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"},
			Device{Browser: "Firefox", BrowserVersion: "145", OS: "Linux", Class: "desktop"}},
		{"a Chromebook", Agent{UserAgent: "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
			Device{Browser: "Chrome", BrowserVersion: "142", OS: "Chrome OS", Class: "desktop"}},
		{"hints name the browser", Agent{UserAgent: chromeWindows, Brands: `"Chromium";v="142", "Brave";v="142", "Not_A Brand";v="99"`, Mobile: "?0", Platform: `"Windows"`},
			Device{Browser: "Brave", BrowserVersion: "142", OS: "Windows", OSVersion: "10", Class: "desktop"}},
		{"hints without a user agent", Agent{Brands: `"Google Chrome";v="142"`, Mobile: "?1", Platform: `"Android"`},
			Device{Browser: "Chrome", BrowserVersion: "142", OS: "Android", Class: "mobile"}},
		{"hints that are none", Agent{UserAgent: chromeWindows, Brands: `"";"";v="`, Mobile: "yes", Platform: `"`},
			Device{Browser: "Chrome", BrowserVersion: "142", OS: "Windows", OSVersion: "10", Class: "desktop"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.agent.Device()); diff != "" {
				t.Errorf("device (-want +got):\n%s", diff)
			}
		})
	}
}

// The parser of user agents is not ours; no header may stop a request.
func FuzzAgentDevice(f *testing.F) {
	for _, s := range []string{chromeWindows, safariIPhone, "", "(", "Mozilla/5.0 (", "Mozilla/5.0 (X) A B C", "Opera/9.8 (", "; ; ;", "Windows XP x64 Edition", "Mozilla ()"} {
		f.Add(s, `"Chromium";v="1"`, `"Windows"`)
	}
	f.Fuzz(func(t *testing.T, ua, brands, platform string) {
		d := ReadAgent(http.Header{"User-Agent": {ua}, "Sec-Ch-Ua": {brands}, "Sec-Ch-Ua-Platform": {platform}}).Device()
		if longer, _ := Cut(d.Browser, 64); longer != d.Browser {
			t.Errorf("browser %q is too long", d.Browser)
		}
	})
}

func TestDevicesForget(t *testing.T) {
	t.Parallel()
	m := NewDevices(10)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 100 {
				a := Agent{UserAgent: fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:1%d.0) Gecko/20100101 Firefox/1%d.0", i*100+j, i*100+j)}
				if got, want := m.Read(a), a.Device(); got != want {
					t.Errorf("Read(%v) = %v, want %v", a, got, want)
				}
			}
		})
	}
	wg.Wait()
	if n := len(m.young) + len(m.old); n > 20 {
		t.Errorf("%d agents are remembered, want at most 20", n)
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	tests := []struct{ header, want string }{
		{"", ""},
		{"de", "de"},
		{"de-DE,de;q=0.9,en;q=0.8", "de-DE"},
		{"EN-us;q=0.9", "en-US"},
		{"zh-Hant-TW", "zh-TW"},
		{"es-419", "es"},
		{"*", ""},
		{"<script>", ""},
		{"d", ""},
		{"deutsch", ""},
		{"de-", "de"},
	}
	for _, tt := range tests {
		if got := Language(tt.header); got != tt.want {
			t.Errorf("Language(%q) = %q, want %q", tt.header, got, tt.want)
		}
	}
}
