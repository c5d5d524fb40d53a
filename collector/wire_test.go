package collector

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

// TestPostEventsRefuses covers bodies that are no envelope: the whole request
// is an error.
func TestPostEventsRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		body    string
		options []requestOption
		want    error
		fields  []string // of a *consent.FieldError
	}{
		{name: "not JSON", body: `{"site":`, want: consent.ErrNotJSON},
		{name: "empty", body: ``, want: consent.ErrNotJSON},
		{name: "two values", body: `{"site":"example.com","events":[]}{}`, want: consent.ErrNotJSON},
		{name: "a form", body: `site=example.com`, options: []requestOption{with("Content-Type", "application/x-www-form-urlencoded")}, want: consent.ErrMediaType},
		{name: "no type", body: `{}`, options: []requestOption{with("Content-Type", "")}, want: consent.ErrMediaType},
		{name: "gzip", body: "\x1f\x8b\x08", options: []requestOption{with("Content-Encoding", "gzip")}, want: consent.ErrMediaType},
		{name: "64 KiB and one byte", body: strings.Repeat(" ", 64<<10+1), want: consent.ErrTooLarge},
		{name: "101 events", body: envelopeOf("", strings.Split(strings.Repeat(pageview+"\n", 100)+pageview, "\n")...), want: consent.ErrTooLarge},
		{name: "10 000 events", body: envelopeOf("", strings.Split(strings.Repeat("{} ", 9999)+"{}", " ")...), want: consent.ErrTooLarge},
		{name: "nothing", body: `{}`, fields: []string{"site", "events"}},
		{name: "an array", body: `[]`, fields: []string{"body"}},
		{name: "a number", body: `1e400`, fields: []string{"body"}},
		{name: "null", body: `null`, fields: []string{"site", "events"}},
		{name: "a site that is a number", body: `{"site":1,"events":[]}`, fields: []string{"site"}},
		{name: "a token that is an object", body: `{"site":"example.com","token":{},"events":[]}`, fields: []string{"token"}},
		{name: "sent that is text", body: `{"site":"example.com","sent":"now","events":[]}`, fields: []string{"sent"}},
		{name: "sent beyond any number", body: `{"site":"example.com","sent":1e999,"events":[]}`, fields: []string{"sent"}},
		{name: "events that are an object", body: `{"site":"example.com","events":{}}`, fields: []string{"events"}},
		{name: "an unknown site", body: `{"site":"nowhere.test","events":[]}`, want: consent.ErrUnknownSite},
		{name: "another origin", body: envelopeOf(""), options: []requestOption{with("Origin", "https://evil.test")}, want: consent.ErrForbiddenOrigin},
		{name: "an origin that ends like ours", body: envelopeOf(""), options: []requestOption{with("Origin", "https://notexample.com")}, want: consent.ErrForbiddenOrigin},
		{name: "the origin of a sandbox", body: envelopeOf(""), options: []requestOption{with("Origin", "null")}, want: consent.ErrForbiddenOrigin},
		{name: "no origin at all", body: envelopeOf(""), options: []requestOption{without("Origin")}, want: consent.ErrForbiddenOrigin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			_, err := h.request(tt.body, tt.options...)
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			var got []string
			if shape := new(consent.FieldError); errors.As(err, &shape) {
				for _, f := range shape.Fields {
					got = append(got, f.Name)
				}
			}
			if diff := cmp.Diff(tt.fields, got); diff != "" {
				t.Errorf("fields complained about (-want +got):\n%s\nerror: %v", diff, err)
			}
		})
	}
}

func without(name string) requestOption {
	return func(r *http.Request) { r.Header.Del(name) }
}

// TestOneBadEvent covers events that are wrong in themselves: each is dropped
// for its own reason, between two good ones that are kept.
func TestOneBadEvent(t *testing.T) {
	t.Parallel()
	const url = `"url":"https://example.com/"`
	tests := []struct{ name, event, want, detail string }{
		{"a number", `1`, "invalid", "is not an object"},
		{"a string", `"pageview"`, "invalid", "is not an object"},
		{"null", `null`, "invalid", "is not an object"},
		{"an array", `[]`, "invalid", "is not an object"},
		{"empty", `{}`, "invalid", "name is missing"},
		{"no name", `{` + url + `}`, "invalid", "name is missing"},
		{"a name of nothing visible", `{"name":"\u0000\u001f ",` + url + `}`, "invalid", "name is missing"},
		{"a name of 121", `{"name":"` + strings.Repeat("x", 121) + `",` + url + `}`, "invalid", "name is longer than 120 characters"},
		{"a name that is a number", `{"name":1,` + url + `}`, "invalid", "name is not a string"},
		{"engagement without its time", `{"name":"engagement",` + url + `}`, "invalid", "name engagement is reserved for events with engagement_ms"},
		{"no url", `{"name":"x"}`, "invalid", "url is not an absolute http or https address"},
		{"a relative url", `{"name":"x","url":"/shop"}`, "invalid", "url is not an absolute http or https address"},
		{"a script for a url", `{"name":"x","url":"javascript:alert(1)"}`, "invalid", "url is not an absolute http or https address"},
		{"a url that is none", `{"name":"x","url":"https://</script>/"}`, "invalid", "url is not an absolute http or https address"},
		{"another site's url", `{"name":"x","url":"https://evil.test/"}`, "wrong_site", "url is not on a host of the site"},
		{"a url that hides its host", `{"name":"x","url":"https://example.com@evil.test/"}`, "wrong_site", "url is not on a host of the site"},
		{"an id of 65", `{"name":"x","id":"` + strings.Repeat("x", 65) + `",` + url + `}`, "invalid", "id is longer than 64 characters"},
		{"ts as text", `{"name":"x","ts":"now",` + url + `}`, "invalid", "ts is not a time in Unix ms"},
		{"ts beyond any number", `{"name":"x","ts":1e999,` + url + `}`, "invalid", "ts is not a time in Unix ms"},
		{"ts of 1970", `{"name":"x","ts":0,` + url + `}`, "invalid", "ts is older than 24 hours"},
		{"ts before all time", `{"name":"x","ts":-1e300,` + url + `}`, "invalid", "ts is older than 24 hours"},
		{"props as an array", `{"name":"x","props":[],` + url + `}`, "invalid", "props is not an object of at most 30 strings, numbers and booleans"},
		{"a prop that is an object", `{"name":"x","props":{"a":{}},` + url + `}`, "invalid", "props is not an object of at most 30 strings, numbers and booleans"},
		{"a prop beyond any number", `{"name":"x","props":{"a":1e999},` + url + `}`, "invalid", "props is not an object of at most 30 strings, numbers and booleans"},
		{"31 props", `{"name":"x","props":{` + manyProps(31) + `},` + url + `}`, "invalid", "props is not an object of at most 30 strings, numbers and booleans"},
		{"revenue as a number", `{"name":"x","revenue":9.9,` + url + `}`, "invalid", "revenue is not an object with amount and currency, both strings: {amount: '9.90', currency: 'EUR'}"},
		{"an amount as a number", `{"name":"x","revenue":{"amount":9.9,"currency":"EUR"},` + url + `}`, "invalid", "revenue is not an object with amount and currency, both strings: {amount: '9.90', currency: 'EUR'}"},
		{"an amount with an exponent", `{"name":"x","revenue":{"amount":"1e9","currency":"EUR"},` + url + `}`, "invalid", "revenue.amount is not a decimal such as 9.90, in digits and a point, of at most 4 decimal places"},
		{"an amount of fifteen digits", `{"name":"x","revenue":{"amount":"123456789012345","currency":"EUR"},` + url + `}`, "invalid", "revenue.amount is not a decimal such as 9.90, in digits and a point, of at most 4 decimal places"},
		{"a currency sign", `{"name":"x","revenue":{"amount":"9.90","currency":"€"},` + url + `}`, "invalid", "revenue.currency is not a code of ISO 4217 such as EUR"},
		{"no currency", `{"name":"x","revenue":{"amount":"9.90"},` + url + `}`, "invalid", "revenue.currency is not a code of ISO 4217 such as EUR"},
		{"screen of one", `{"name":"x","screen":[1920],` + url + `}`, "invalid", "screen is not [width, height] in pixels"},
		{"screen as text", `{"name":"x","screen":"1920x1080",` + url + `}`, "invalid", "screen is not an array of two numbers"},
		{"a negative screen", `{"name":"x","screen":[-1,1],` + url + `}`, "invalid", "screen is not [width, height] in pixels"},
		{"a huge screen", `{"name":"x","screen":[1e18,1],` + url + `}`, "invalid", "screen is not [width, height] in pixels"},
		{"negative engagement", `{"name":"engagement","engagement_ms":-1,` + url + `}`, "invalid", "engagement_ms is negative"},
		{"items as an object", `{"name":"x","items":{},` + url + `}`, "invalid", "items is not an array"},
		{"an item that is a number", `{"name":"x","items":[1],` + url + `}`, "invalid", "items is not an array of at most 200 objects of strings, numbers and booleans"},
		{"an item within an item", `{"name":"x","items":[{"a":[]}],` + url + `}`, "invalid", "items is not an array of at most 200 objects of strings, numbers and booleans"},
		{"deep nesting", `{"name":"x","props":{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `},` + url + `}`, "invalid", "props is not an object of at most 30 strings, numbers and booleans"},
		{"an excluded page", `{"name":"x","url":"https://example.com/admin/users"}`, "excluded/path", ""},
		{"an excluded page by name", `{"name":"x","url":"https://example.com/health"}`, "excluded/path", ""},

		{"a referrer that is none is left out", `{"name":"x","referrer":"</script>",` + url + `}`, "", ""},
		{"a visitor that is none is left out", `{"name":"x","visitor":"' or 1=1",` + url + `}`, "", ""},
		{"a session that is none is left out", `{"name":"x","session":"<b>",` + url + `}`, "", ""},
		{"what nobody knows is ignored", `{"name":"x","whatever":{"a":[1]},` + url + `}`, "", ""},
		{"nulls are absent", `{"name":"x","id":null,"title":null,"props":{"a":null},"revenue":null,"items":null,"screen":null,"ts":null,` + url + `}`, "", ""},
		{"endless engagement is a day", `{"name":"engagement","engagement_ms":1e300,` + url + `}`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			got := h.post(envelopeOf(h.sign(h.grant()), pageview, tt.event, pageview))
			want := answer{Accepted: 3, Dropped: []Drop{}, header: got.header}
			if tt.want != "" {
				want.Accepted, want.Dropped = 2, []Drop{{Index: 1, Reason: public(consent.Reason(tt.want)), Detail: tt.detail}}
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if n := len(h.disk.events); n != want.Accepted {
				t.Errorf("%d events were kept, want %d", n, want.Accepted)
			}
			if n := h.disk.counted(consent.CountRefusal, tt.want); tt.want != "" && n != 1 {
				t.Errorf("%d refusals as %s are counted, want 1", n, tt.want)
			}
		})
	}
}

// A site may keep its pages in the fragment; any other fragment is a place
// within a page.
func TestHashRoutes(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, on, off string }{
		{"https://example.com/app", "/app", "/app"},
		{"https://example.com/app?utm_source=x#/cart", "/app#/cart", "/app"},
		{"https://example.com/#!/cart?coupon=secret", "/#!/cart", "/"},
		{"https://example.com/app#part", "/app", "/app"},
		{"https://example.com/app#access_token=secret", "/app", "/app"},
		{"https://example.com/#/of/ada@example.com", "/#/of/*email*", "/"},
	}
	for _, on := range []bool{true, false} {
		h := newHouse(t, func(o *Options) { o.Sites = map[string]SiteOptions{"example.com": {HashRoutes: on}} })
		token := h.sign(h.grant())
		for i, tt := range tests {
			want := tt.off
			if on {
				want = tt.on
			}
			h.post(envelopeOf(token, fmt.Sprintf(`{"name":"pageview","url":%q}`, tt.url)))
			if len(h.disk.events) != i+1 {
				t.Fatalf("%s: not kept", tt.url)
			}
			if got := h.disk.events[i].Path; got != want {
				t.Errorf("%s, hash routes %v: path %q, want %q", tt.url, on, got, want)
			}
		}
	}
}

func manyProps(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`"p%d":1`, i))
	}
	return strings.Join(out, ",")
}

// TestHostileStrings puts what breaks pages and terminals into every string
// and looks at every string that is kept.
func TestHostileStrings(t *testing.T) {
	t.Parallel()
	hostile := []string{`\u0000`, `</script><script>alert(1)</script>`, `\u001b[31m`, `\u2028`, `\u202e`, "\xff\xfe", `\ud800`, `=HYPERLINK(1)`, `'; DROP TABLE events; --`, `{{7*7}}`, `%00%0a`}
	for _, bad := range hostile {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			event := strings.ReplaceAll(`{"id":"i§","name":"n§","url":"https://example.com/§?utm_source=§&utm_medium=§&utm_campaign=§&utm_term=§&utm_content=§&ref=§",
				"title":"t§","referrer":"https://ref.test/§","visitor":"§","session":"§","props":{"k§":"v§"},
				"revenue":{"amount":"1.00","currency":"EUR"},"items":[{"n§":"v§"}]}`, "§", bad)
			got := h.post(envelopeOf(h.sign(h.grant()), pageview, strings.NewReplacer("\n", "", "\t", "").Replace(event)),
				with("Accept-Language", bad), with("User-Agent", bad), with("Sec-CH-UA", bad), with("Cookie", "sl_id="+bad+"; sl_s="+bad+"; _ga="+bad))
			if got.Accepted != 2 {
				t.Fatalf("dropped as %s, want kept", got.reasons())
			}
			for _, e := range h.disk.events {
				for _, s := range stringsOf(&e) {
					if strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsAny(s, "\u2028\u202e") || s != strings.ToValidUTF8(s, "?") {
						t.Errorf("kept %q", s)
					}
				}
				if strings.ContainsAny(e.Items, "<>") {
					t.Errorf("items hold markup: %s", e.Items)
				}
			}
		})
	}
}

// stringsOf lists every string of an event, properties included.
func stringsOf(e *Event) (out []string) {
	for _, s := range e.stringFields() {
		out = append(out, *s)
	}
	for _, p := range e.Props {
		out = append(out, p.Key, fmt.Sprint(p.Value))
	}
	return out
}

func TestEventAsSent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.grant()
	h.post(envelopeOf(h.sign(token), `{"id":"e-1","name":"Purchase","url":"https://www.example.com/thanks?order=7&utm_source=news&utm_medium=email#top",
		"title":"Thanks, ada@example.org","referrer":"https://www.example.com/cart","visitor":"v_1","session":"1795435200.abc",
		"props":{"size":"L","gift":true,"count":2.5,"long":"`+strings.Repeat("ä", 2001)+`"},
		"revenue":{"amount":"9.90","currency":"eur"},"items":[{"id":"sku","price":1.10,"gift":false}],
		"screen":[1920,1080],"engagement_ms":1234.5}`), with("Accept-Language", "de-DE,en"))
	got := h.only()
	want := Event{
		ID: "e-1", Site: "example.com", Time: noon, Name: "Purchase",
		Visitor: "v_1", Session: "1795435200.abc", SessionStart: 1795435200, SessionFirst: true,
		Hostname: "www.example.com", Path: "/thanks", Query: "utm_source=news&utm_medium=email",
		Title: "Thanks, *email*", Source: "news", Channel: "Email", UTMSource: "news", UTMMedium: "email",
		Browser: "Chrome", BrowserVersion: "142", OS: "Windows", OSVersion: "10", Device: "desktop", Language: "de-DE",
		ScreenWidth: 1920, ScreenHeight: 1080,
		Props:   []Prop{{"count", 2.5}, {"gift", true}, {"long", strings.Repeat("ä", 2000)}, {"size", "L"}},
		Revenue: "9.90", Currency: "EUR", Items: `[{"gift":false,"id":"sku","price":1.10}]`, EngagementMS: 1234,
		IPHash: got.IPHash, GAClientID: got.GAClientID, Notice: "", Token: token,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if len(got.IPHash) != 32 {
		t.Errorf("hash of the address is %q, want 32 hex digits", got.IPHash)
	}
	if cut, masked := h.disk.counted(CountCut, "event"), h.disk.counted(CountMasked, "event"); cut != 1 || masked != 1 {
		t.Errorf("counted %d cut and %d masked, want 1 and 1", cut, masked)
	}
}

// FuzzPostEvents: whatever is sent, the door answers 202 or an error that it
// has a name for, and accounts for every event.
func FuzzPostEvents(f *testing.F) {
	f.Add(pageview)
	f.Add(`{"name":"x","url":"https://example.com/?utm_source=a%zz","props":{"a":1,"b":"\u0000"},"items":[{"a":1}],"screen":[1,2],"ts":1}`)
	f.Add(`{"name":"x"},{"url":1},null,[],"`)
	h := newHouse(f)
	token := h.sign(h.grant())
	f.Fuzz(func(t *testing.T, events string) {
		h.disk.events, h.disk.raw, h.disk.counts = nil, nil, nil
		rec, err := h.request(envelopeOf(token, events))
		shape := new(consent.FieldError)
		switch {
		case err == nil && rec.Code == http.StatusAccepted:
		case errors.Is(err, consent.ErrNotJSON), errors.Is(err, consent.ErrTooLarge), errors.As(err, &shape):
		default:
			t.Errorf("status %d, %v", rec.Code, err)
		}
	})
}
