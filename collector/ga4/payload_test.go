package ga4

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/judge"
)

var update = flag.Bool("update", false, "rewrite the goldens under testdata")

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// visit is an event with everything that enrichment can know.
func visit(change ...func(*collector.Event)) *collector.Event {
	ev := &collector.Event{
		ID: "e1", Site: "example.com", Time: noon, Name: "pageview", Visitor: "v", Session: "s", SessionStart: noon.Add(-time.Minute).Unix(),
		Hostname: "shop.example.com", Path: "/cart", Query: "utm_source=mail", Title: "Cart", Referrer: "https://search.example/",
		Source: "Google", Channel: "Organic Search", Country: "de", Region: "DE-BE", City: "Berlin",
		Browser: "Firefox", BrowserVersion: "145.0", OS: "Linux", OSVersion: "6.1", Device: "Desktop", Language: "de-DE",
		ScreenWidth: 1920, ScreenHeight: 1080, EngagementMS: 4200, IPHash: "feedface", GAClientID: "1234.5678", Notice: "1",
	}
	for _, f := range change {
		f(ev)
	}
	return ev
}

func encoded(t testing.TB, p Payload) []byte {
	t.Helper()
	b, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func judged(body []byte, mode judge.Mode) judge.Verdict {
	return judge.Judge(judge.Request{
		Method: http.MethodPost, Query: url.Values{"api_secret": {"x"}, "measurement_id": {"G-1"}},
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body, At: noon,
	}, mode)
}

// automatic is an event that the script measures by itself; its properties are
// keys and values in turn.
func automatic(name string, props ...any) *collector.Event {
	return visit(func(ev *collector.Event) {
		ev.Name = name
		for i := 0; i < len(props); i += 2 {
			ev.Props = append(ev.Props, collector.Prop{Key: props[i].(string), Value: props[i+1]})
		}
	})
}

// TestGoldens holds whole payloads. Each passes the strict judge without a
// word.
func TestGoldens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		ads    collector.AdConsent
		events []*collector.Event
		losses Losses
		region bool
	}{
		{"pageview", collector.AdConsent{}, []*collector.Event{visit()}, Losses{}, false},
		{"bare", collector.AdConsent{}, []*collector.Event{{Time: noon, Name: "pageview", Hostname: "example.com", Path: "/", GAClientID: "1.2"}}, Losses{}, false},
		{"first_of_session_utm", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) {
			ev.SessionFirst = true
			ev.UTMSource, ev.UTMMedium, ev.UTMCampaign, ev.UTMTerm, ev.UTMContent = "mail", "email", "november", "shoes", "top"
		}), visit(func(ev *collector.Event) { ev.Name, ev.Time = "signup", noon.Add(time.Second) })}, Losses{}, false},
		{"first_of_session_search", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) { ev.SessionFirst = true })}, Losses{}, false},
		{"first_of_session_direct", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) {
			ev.SessionFirst, ev.Referrer, ev.Source, ev.Channel = true, "", "", "Direct"
		})}, Losses{}, false},
		{"ads_granted", collector.AdConsent{UserData: true, Personalization: true}, []*collector.Event{visit()}, Losses{}, false},
		{"purchase", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) {
			ev.Name, ev.Revenue, ev.Currency = "purchase", "19.90", "EUR"
			ev.Props = []collector.Prop{{Key: "transaction_id", Value: "T-1"}, {Key: "tax", Value: "3.18"}, {Key: "shipping", Value: 4.9}}
			ev.Items = `[{"item_id":"SKU1","item_name":"Shoe","price":"9.95","quantity":2,"item_variant":null,"size":"42"},{"item_name":"Lace","price":"$1"}]`
		})}, Losses{Dropped: 2}, false},
		{"custom", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) {
			ev.Name = "Newsletter: sign-up!"
			ev.Props = []collector.Prop{
				{Key: "plan", Value: "pro"}, {Key: "seats", Value: 5.0}, {Key: "trial", Value: true}, {Key: "ratio", Value: 0.1}, {Key: "big", Value: 1e21},
				{Key: "ga_source", Value: "x"}, {Key: "page title", Value: "spaced"}, {Key: "цвет", Value: "синий"}, {Key: "session_id", Value: "forged"},
				{Key: "ip_override", Value: "x"}, {Key: "items", Value: "none"}, {Key: "note", Value: "mail ada@example.com from 203.0.113.7"},
				{Key: "link", Value: "https://example.com/reset?token=abc"}, {Key: "long", Value: strings.Repeat("ж", 101)},
				{Key: "nan", Value: math.NaN()}, {Key: "empty", Value: ""}, {Key: "score", Value: "high"},
			}
		})}, Losses{Renamed: 5, Cut: 1, Redacted: 2, Dropped: 5}, false},
		{"long_query", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) { ev.Query = "utm_campaign=" + strings.Repeat("x", 90) })}, Losses{}, false},
		{"region", collector.AdConsent{}, []*collector.Event{visit()}, Losses{}, true},
		{"user_properties", collector.AdConsent{}, []*collector.Event{
			automatic("pageview", "up.tier", "silver", "up.long", strings.Repeat("x", 37), "up.user_id", "forged", "up.bad name", "x"),
			automatic("pageview", "up.tier", "gold", "up.age", 3.0),
		}, Losses{Cut: 1, Dropped: 2}, false},
		{"gtag_session", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) { ev.GASessions = "G-OTHER=17 G-TEST=1748246127" })}, Losses{}, false},
		{"automatic", collector.AdConsent{}, []*collector.Event{
			automatic("scroll", "depth", 90.0), automatic("outbound_link", "url", "https://other.example/x"), automatic("file_download", "url", "https://example.com/a.pdf", "extension", "pdf"),
			automatic("form_submit", "id", "order", "action", "/order"), automatic("404"), automatic("search", "term", "kiln"),
			automatic("web_vital", "name", "LCP", "value", 1234.5), automatic("error"), automatic("engagement"),
			automatic("scroll", "percent_scrolled", 89.0), automatic("scroll", "percent_scrolled", 90.0),
		}, Losses{}, false},
		{"purchase_without_transaction", collector.AdConsent{}, []*collector.Event{visit(func(ev *collector.Event) {
			ev.Name, ev.Revenue, ev.Currency, ev.Items = "Purchase", "5", "EUR", `[{"item_id":"1"}]`
			for i := range 30 {
				ev.Props = append(ev.Props, collector.Prop{Key: fmt.Sprintf("p%02d", i), Value: "x"})
			}
		})}, Losses{Dropped: 14}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, losses := build(tt.events, Options{MeasurementID: "G-TEST", Secure: true, Region: tt.region}, tt.ads)
			if diff := cmp.Diff(tt.losses, losses); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
			body := encoded(t, p)
			if v := judged(body, judge.Strict); !v.Clean() {
				t.Errorf("the judge complains: %+v", v)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			golden(t, filepath.Join("testdata", tt.name+".golden.json"), got.Bytes())
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestSaysNoMore lists what Sluice knows and Google is not told.
func TestSaysNoMore(t *testing.T) {
	t.Parallel()
	p, _ := build([]*collector.Event{visit(func(ev *collector.Event) { ev.SessionFirst = true })}, Options{Secure: true}, collector.AdConsent{})
	body := string(encoded(t, p))
	for _, secret := range []string{"feedface", "Berlin", "DE-BE", "145.0", "6.1", "de-DE", "1920", "ip_override", "user_data\":{", "user_agent"} {
		if strings.Contains(body, secret) {
			t.Errorf("the payload holds %q: %s", secret, body)
		}
	}
}

// TestParamOrder is what goes first where there is room for 25 params.
func TestParamOrder(t *testing.T) {
	t.Parallel()
	ev := visit(func(ev *collector.Event) {
		ev.Revenue, ev.Currency, ev.Items = "1", "EUR", `[{"item_id":"1"}]`
		for i := range 30 {
			ev.Props = append(ev.Props, collector.Prop{Key: fmt.Sprintf("p%02d", 29-i), Value: float64(i)})
		}
	})
	p, losses := build([]*collector.Event{ev}, Options{Secure: true}, collector.AdConsent{})
	params := p.Events[0].Params
	if len(params) != judge.MaxParams || losses.Dropped != 13 {
		t.Errorf("%d params, %d dropped; want 25, 13", len(params), losses.Dropped)
	}
	for _, name := range []string{"session_id", "engagement_time_msec", "page_location", "page_referrer", "page_title", "value", "currency", "items", "p00", "p16"} {
		if _, ok := params[name]; !ok {
			t.Errorf("%s was left out", name)
		}
	}
}

// TestItemLimits keeps 200 items and ten params of the site's own.
func TestItemLimits(t *testing.T) {
	t.Parallel()
	item := `{"item_id":"1","price":2`
	for i := range 12 {
		item += fmt.Sprintf(`,"c%02d":%d`, i, i)
	}
	item += "}"
	ev := visit(func(ev *collector.Event) { ev.Items = "[" + strings.Repeat(item+",", 200) + item + "]" })
	p, losses := build([]*collector.Event{ev}, Options{Secure: true}, collector.AdConsent{})
	items, _ := p.Events[0].Params["items"].([]map[string]any)
	if len(items) != judge.MaxItems || len(items[0]) != 2+judge.MaxItemParams || losses.Dropped != 1+200*2 {
		t.Errorf("%d items of %d params, %d dropped", len(items), len(items[0]), losses.Dropped)
	}
	for _, broken := range []string{"{}", "[1]", "[", "null"} {
		p, _ := build([]*collector.Event{visit(func(ev *collector.Event) { ev.Items = broken })}, Options{Secure: true}, collector.AdConsent{})
		if got, ok := p.Events[0].Params["items"]; ok {
			t.Errorf("items of %s = %v, want none", broken, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 41)
	tests := []struct {
		in, event, param string
	}{
		{"signup", "sign_up", "signup"},
		{"add_to_cart", "add_to_cart", "add_to_cart"},
		{"Sign up!", "sign_up", "Sign_up"},
		{"Add to cart", "add_to_cart", "Add_to_cart"},
		{"Newsletter!", "Newsletter", "Newsletter"},
		{"404", "page_not_found", "param_404"},
		{"first_visit", "event_first_visit", "first_visit"},
		{"error", "exception", "error"},
		{"ga_x", "ga_x", "param_ga_x"},
		{"_x", "x", "x"},
		{"покупка", "event_5855ad0b", "param_5855ad0b"},
		{"", "event_e3b0c442", "param_e3b0c442"},
		{long, long[:31] + "_3164596d", long[:31] + "_3164596d"},
		{"9" + long, "event_9" + long[:24] + "_cd176bc0", "param_9" + long[:24] + "_cd176bc0"},
		{"user_data", "user_data", "param_user_data"},
	}
	for _, tt := range tests {
		event, _ := eventName(tt.in)
		param, _ := paramName("", tt.in)
		if judge.EventName(event) != "" || judge.ParamName(param) != "" {
			t.Errorf("%q became %q and %q, which Google refuses", tt.in, event, param)
		}
		if event != tt.event || param != tt.param {
			t.Errorf("%q became %q and %q, want %q and %q", tt.in, event, param, tt.event, tt.param)
		}
	}
	if name, renamed := eventName("pageview"); name != "page_view" || renamed {
		t.Errorf("pageview became %q, renamed %t", name, renamed)
	}
}

// FuzzBuild finds no event whose payload Google would drop or that says what
// must not be said. Only what the site itself leaves out of a recommended event
// may be missing. A currency is three capitals: the gate sees to that.
func FuzzBuild(f *testing.F) {
	capitals := regexp.MustCompile(`^[A-Z]{3}$`)
	f.Add("pageview", "/", "Title", "key", "value", 1.5, `[{"item_id":"1"}]`, "9.9", "EUR")
	f.Add("session_start", "/ada@example.com", "203.0.113.7", "_", "::1", math.Inf(1), "[null]", "x", "")
	f.Add("e", "/%40", "a%40b.de", "value", "token", math.Copysign(0, -1), `[{"price":{}}]`, "1e999", "eur")
	f.Fuzz(func(t *testing.T, name, path, title, key, text string, number float64, items, revenue, currency string) {
		if !capitals.MatchString(currency) {
			revenue, currency = "", ""
		}
		ev := visit(func(ev *collector.Event) {
			ev.Name, ev.Path, ev.Title, ev.Items, ev.Revenue, ev.Currency = name, path, title, items, revenue, currency
			ev.SessionFirst, ev.UTMCampaign = true, title
			ev.Props = []collector.Prop{{Key: key, Value: text}, {Key: text, Value: number}, {Key: title, Value: true}}
		})
		p, _ := build([]*collector.Event{ev}, Options{Secure: true}, collector.AdConsent{})
		body := encoded(t, p)
		if again, _ := build([]*collector.Event{ev}, Options{Secure: true}, collector.AdConsent{}); !bytes.Equal(body, encoded(t, again)) {
			t.Error("the same event gives two payloads")
		}
		v := judged(body, judge.Relaxed)
		if len(v.Accepted) != len(p.Events) || len(v.Violations) > 0 {
			t.Errorf("verdict %+v of %s", v, body)
		}
		for _, m := range v.Flags {
			if m.Rule < 15 || m.Rule > 17 {
				t.Errorf("rule %d: %s in %s", m.Rule, m.Description, body)
			}
		}
	})
}
