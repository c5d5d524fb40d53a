package matomo

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func website(t *testing.T) *Destination {
	t.Helper()
	d, err := New(Options{URL: "https://matomo.example/stats", SiteID: "7", Token: "t0ken", Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func event(name string, props ...any) *collector.Event {
	ev := &collector.Event{
		ID: "e1", Site: "example.com", Time: noon, Name: name, Visitor: "v-1", Hostname: "example.com", Path: "/cart", Title: "Cart",
		Referrer: "https://search.example/", Country: "DE", Region: "DE-BE", City: "Berlin", Language: "de", ScreenWidth: 1920, ScreenHeight: 1080,
		Browser: "Firefox", IPHash: "feedface",
	}
	for i := 0; i < len(props); i += 2 {
		ev.Props = append(ev.Props, collector.Prop{Key: props[i].(string), Value: props[i+1]})
	}
	return ev
}

func TestRequests(t *testing.T) {
	t.Parallel()
	order := event("purchase", "transaction_id", "T1")
	order.Revenue, order.Currency = "19.90", "EUR"
	order.Items = `[{"item_id":"SKU","item_name":"Shoe","item_category":"Shoes","price":9.95,"quantity":2},{"item_name":"Lace","price":"x"}]`
	numbered := event("purchase", "transaction_id", 20251234.0)
	numbered.Revenue = "1"
	numbered.Items = `[{"item_id":20251234,"price":"NaN","quantity":"Inf"},{"item_id":1e7,"price":9.95,"quantity":2}]`
	bare := event("Purchase")
	bare.Revenue = "1"
	tests := []struct {
		name  string
		event *collector.Event
		want  map[string]string // beside what every request has
	}{
		{"pageview", event("pageview"), map[string]string{"action_name": "Cart"}},
		{"engagement", event("engagement"), map[string]string{"ping": "1"}},
		{"outbound link", event("outbound_link", "link_url", "https://other.example/"), map[string]string{"link": "https://other.example/"}},
		{"download", event("file_download", "link_url", "https://example.com/a.pdf"), map[string]string{"download": "https://example.com/a.pdf"}},
		{"search", event("search", "search_term", "kiln"), map[string]string{"search": "kiln"}},
		{"order", order, map[string]string{"idgoal": "0", "revenue": "19.90", "ec_id": "T1", "ec_items": `[["SKU","Shoe","Shoes",9.95,2],["Lace","Lace","",0,1]]`}},
		{"order whose number is a number", numbered, map[string]string{
			"idgoal": "0", "revenue": "1", "ec_id": "20251234", "ec_items": `[["20251234","","",0,1],["1e7","","",9.95,2]]`,
		}},
		{"order without a number", bare, map[string]string{"idgoal": "0", "revenue": "1", "ec_id": "e1"}},
		{"custom", event("signup"), map[string]string{"ca": "1", "e_c": "Sluice", "e_a": "signup", "e_n": "/cart"}},
	}
	d := website(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := d.Pack([]*collector.Event{tt.event}, collector.AdConsent{}, noon)
			if err != nil {
				t.Fatal(err)
			}
			var body bulk
			if err := json.Unmarshal(p.Body, &body); err != nil || body.Token != "t0ken" || len(body.Requests) != 1 {
				t.Fatalf("body %s, %v", p.Body, err)
			}
			q, err := url.ParseQuery(strings.TrimPrefix(body.Requests[0], "?"))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for name := range q {
				got[name] = q.Get(name)
			}
			want := map[string]string{
				"idsite": "7", "rec": "1", "apiv": "1", "cid": d.visitorID(tt.event), "_id": d.visitorID(tt.event), "cdt": "2026-11-23 12:00:00",
				"url": "https://example.com/cart", "urlref": "https://search.example/", "country": "de", "lang": "de", "res": "1920x1080",
			}
			for name, value := range tt.want {
				want[name] = value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLog: what is kept of a request as proof has everything but the token.
func TestLog(t *testing.T) {
	t.Parallel()
	parcel, err := website(t).Pack([]*collector.Event{event("pageview")}, collector.AdConsent{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(string(parcel.Body), `"token_auth":"t0ken"`, `"token_auth":"redacted"`, 1)
	if got := string(parcel.Logged()); got != want || strings.Contains(got, "t0ken") {
		t.Errorf("kept: %s, want %s", got, want)
	}
}

// TestRefused reads answers as Matomo writes them.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want []int
	}{
		"all kept":             {`{"status":"success","tracked":3,"invalid":0}`, nil},
		"to a superuser":       {`{"status":"success","tracked":3,"invalid":0,"invalid_indices":[]}`, nil},
		"one, and which":       {`{"status":"success","tracked":2,"invalid":1,"invalid_indices":[1]}`, []int{1}},
		"one, and not which":   {`{"status":"success","tracked":2,"invalid":1}`, []int{0, 1, 2}},
		"an unknown website":   {`{"status":"success","tracked":0,"invalid":3,"invalid_indices":[0,1,2]}`, []int{0, 1, 2}},
		"nothing":              {``, nil},
		"an image":             {"GIF89a", nil},
		"cut off, or not JSON": {`{"status":"success","tracked":2,"invalid":1,"inv`, nil},
	} {
		if diff := cmp.Diff(tt.want, website(t).Refused([]byte(tt.body), 3)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestVisitorID(t *testing.T) {
	t.Parallel()
	d := website(t)
	one, other := event("pageview"), event("pageview")
	other.Visitor = "v-2"
	if id := d.visitorID(one); len(id) != 16 || id == d.visitorID(other) || strings.Trim(id, "0123456789abcdef") != "" {
		t.Errorf("id = %q", id)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		o    Options
		want string // URL; "": refused
	}{
		{"a folder", Options{URL: "https://m.example/stats/", SiteID: "1", Token: "t"}, "https://m.example/stats/matomo.php"},
		{"the file", Options{URL: "https://m.example/piwik.php", SiteID: "1", Token: "t"}, "https://m.example/piwik.php"},
		{"no number", Options{URL: "https://m.example/", SiteID: "x", Token: "t"}, ""},
		{"no token", Options{URL: "https://m.example/", SiteID: "1"}, ""},
		{"a query", Options{URL: "https://m.example/?x=1", SiteID: "1", Token: "t"}, ""},
		{"no host", Options{URL: "m.example", SiteID: "1", Token: "t"}, ""},
	}
	for _, tt := range tests {
		d, err := New(tt.o)
		if (err == nil) != (tt.want != "") || err == nil && string(d.URL()) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
