package collector

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"sluice/collector/enrich"
	"sluice/consent"
)

// hosting is a database of networks with one data centre, 198.18.0.0/15.
func hosting(t *testing.T) *enrich.Hosting {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-ASN", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	_, network, err := net.ParseCIDR("198.18.0.0/15")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Insert(network, mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(24940)}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "asn.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.WriteTo(f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	h, err := enrich.OpenHosting(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// Whatever keeps an event out is told as one word and counted by its detail;
// a site that counts bots counts each of them.
func TestWhatKeepsEventsOut(t *testing.T) {
	t.Parallel()
	from := func(addr string) requestOption { return func(r *http.Request) { r.RemoteAddr = addr + ":1" } }
	event := func(fields string) string { return `{"name":"x","url":"https://example.com/"` + fields + `}` }
	tests := []struct {
		name    string
		event   string
		body    string // beside site, token and events
		options []requestOption
		want    string
	}{
		{"a visitor", event(""), "", nil, ""},
		{"a visitor from a page that spammers do not have", event(`,"referrer":"https://news.test/semalt.com"`), "", nil, ""},
		{"a visitor without any header", event(""), "", []requestOption{without("User-Agent"), without("Accept-Language")}, ""},
		{"a browser that nobody drives", event(""), `,"driven":false`, nil, ""},
		{"a browser that says nothing of it", event(""), `,"driven":"yes"`, nil, ""},

		{"a crawler", event(""), "", []requestOption{with("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")}, "bot/crawler"},
		{"a program", event(""), "", []requestOption{with("User-Agent", "curl/8.9")}, "bot/crawler"},
		{"headless", event(""), "", []requestOption{with("User-Agent", strings.Replace(chrome, "Chrome/", "HeadlessChrome/", 1))}, "bot/headless"},
		{"a browser that a program drives", event(""), `,"driven":true`, nil, "bot/headless"},
		{"headers that contradict each other", event(""), "", []requestOption{with("Sec-Ch-Ua-Platform", `"Linux"`)}, "bot/headers"},
		{"a data centre", event(""), "", []requestOption{from("198.18.0.9")}, "bot/data_centre"},
		{"referrer spam", event(`,"referrer":"https://www.semalt.com/crawler.php"`), "", nil, "bot/spam_address"},

		{"an excluded address", event(""), "", []requestOption{from("198.51.100.9")}, "excluded/address"},
		{"an excluded page", `{"name":"x","url":"https://example.com/admin/users"}`, "", nil, "excluded/path"},
		{"an excluded host", `{"name":"x","url":"https://a.internal.example.com/"}`, "", nil, "excluded/hostname"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, bots := range []bool{true, false} {
				h := newHouse(t, func(o *Options) {
					o.Hosting = hosting(t)
					site := o.Sites["example.com"]
					site.ExcludeBots, site.ExcludeHosts = bots, []string{"*.internal.example.com"}
					o.Sites["example.com"] = site
				})
				want := tt.want
				if !bots && strings.HasPrefix(want, "bot/") {
					want = ""
				}
				body := `{"site":"example.com","token":"` + h.sign(h.grant()) + `","events":[` + tt.event + `]` + tt.body + `}`
				word, _, _ := strings.Cut(want, "/")
				if got := h.post(body, tt.options...); got.reasons() != word || got.header.Get(DroppedHeader) != word {
					t.Errorf("bots excluded %v: dropped as %q and %q, want %q", bots, got.reasons(), got.header.Get(DroppedHeader), word)
				}
				if n := h.disk.counted(consent.CountRefusal, want); want != "" && n != 1 {
					t.Errorf("bots excluded %v: counted %d times as %q, want once", bots, n, want)
				}
			}
		})
	}
	t.Run("as GoatCounter's script tells it", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, everyDoor)
		if _, err := h.ask(h.handler.CountGoatCounter, http.MethodGet, "/count?p=/&b=153", "", h.consented()); err != nil {
			t.Fatal(err)
		}
		if h.disk.counted(consent.CountRefusal, "bot/headless") != 1 {
			t.Errorf("counted: %+v", h.disk.counts)
		}
	})
	t.Run("the site's own backend is none", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, func(o *Options) {
			o.Hosting, o.APIKey = hosting(t), func(*http.Request, string) bool { return true }
		})
		if got := h.post(envelopeOf(h.sign(h.grant()), pageview), from("198.18.0.9"), with("User-Agent", "curl/8.9"), with("Authorization", "Bearer k")); got.Accepted != 1 {
			t.Errorf("dropped as %s, want kept", got.reasons())
		}
	})
}
