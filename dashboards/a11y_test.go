package dashboards

import (
	"net/http/httptest"
	"testing"
	"time"

	"sluice/static/browsertest"
)

// TestAccessible looks for faults in every page, with all that can be opened
// opened, in both colour schemes.
func TestAccessible(t *testing.T) {
	t.Parallel()
	balance := &Balance{Since: now, Total: Account{Received: 1200, Stored: 1100, Refused: map[string]uint64{"bot": 100}}}
	for i := range shownMinutes {
		balance.Minutes = append(balance.Minutes, Minute{Start: now.Add(time.Duration(i) * time.Minute), Account: Account{Received: 20, Stored: 20}})
	}
	e := open(t, openHostile(t), nil, func(o *Options) { o.Balance = func(string) *Balance { return balance } })
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	for name, path := range map[string]string{
		"sites": "", "login": "/login", "by hour": "/shop.example?period=day&f=is,visit:country,DE", "by day": "/shop.example",
		"panel": "/shop.example?panel=pages", "google analytics": "/shop.example/google-analytics",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browsertest.Open(t)
			b.Visit(server.URL + "/dashboards" + path)
			b.Axe()
			b.Run(`document.querySelectorAll('details').forEach((details) => (details.open = true))`)
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int64{412, 1280} {
					b.Look(browsertest.View{Width: width, Height: 900, Media: map[string]string{"prefers-color-scheme": scheme}})
					for _, fault := range b.Faults("color-contrast-enhanced") { // level AAA
						t.Errorf("%s, %d px: %s", scheme, width, fault)
					}
				}
			}
		})
	}
}
