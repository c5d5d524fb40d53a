package ga4

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector"
	"sluice/collector/ga4/judge"
)

func relay(t *testing.T, endpoint string) *Destination {
	t.Helper()
	d, err := New(Options{MeasurementID: "G-TEST", APISecret: "s3cret", Endpoint: endpoint, Secure: true, Relay: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// measuredByGtag is what the door of gtag.js makes of a hit.
func measuredByGtag(change ...func(*collector.Event)) *collector.Event {
	return visit(append([]func(*collector.Event){func(ev *collector.Event) {
		ev.Gtag = "_fv=1&_p=1795435200000&_s=1&_ss=1&gtm=45je5b1v9za200&sct=1&seg=1&tid=G-TEST&ul=de-de"
		ev.GASessions = "G-TEST=1795435100"
	}}, change...)...)
}

// TestRelay is what of an event goes on in gtag's format, and what never does.
func TestRelay(t *testing.T) {
	t.Parallel()
	base := map[string]string{
		"v": "2", "tid": "G-TEST", "gtm": "45je5b1v9za200", "_p": "1795435200000", "_s": "1", "_ss": "1", "_fv": "1", "sct": "1", "seg": "1", "ul": "de-de",
		"cid": "1234.5678", "sid": "1795435100", "sr": "1920x1080", "en": "page_view", "_et": "4200", "npa": "1", "gcs": "G101", "gcd": "13p3r3p2p5l1",
		"dl": "https://shop.example.com/cart?utm_source=mail", "dr": "https://search.example/", "dt": "Cart",
	}
	prop := func(key string, value any) func(*collector.Event) {
		return func(ev *collector.Event) { ev.Props = append(ev.Props, collector.Prop{Key: key, Value: value}) }
	}
	with := func(pairs ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	tests := []struct {
		name   string
		change func(*collector.Event)
		ads    collector.AdConsent
		want   map[string]string // beside base; "-": not there
	}{
		{"page view", func(*collector.Event) {}, collector.AdConsent{}, nil},
		{"engagement", func(ev *collector.Event) { ev.Name, ev.EngagementMS = "engagement", 0 }, collector.AdConsent{}, with("en", "user_engagement", "_et", "-")},
		{"texts and numbers", func(ev *collector.Event) {
			prop("plan", "pro")(ev)
			prop("seats", 5.0)(ev)
			prop("up.tier", "gold")(ev)
			prop("up.age", 3.0)(ev)
		},
			collector.AdConsent{}, with("ep.plan", "pro", "epn.seats", "5", "up.tier", "gold", "upn.age", "3")},
		{"e-mail and address in a text", prop("note", "ada@example.org at 203.0.113.7"), collector.AdConsent{}, with("ep.note", "redacted at redacted")},
		{"e-mail in the title", func(ev *collector.Event) { ev.Title = "Bye ada@example.org" }, collector.AdConsent{}, with("dt", "Bye redacted")},
		{"purchase", func(ev *collector.Event) {
			ev.Name, ev.Revenue, ev.Currency = "purchase", "19.90", "EUR"
			ev.Items = `[{"item_id":"SKU1","item_name":"A~B","price":9.95,"quantity":2,"size":"42"},{"item_name":"Lace"}]`
			prop("transaction_id", "T1")(ev)
		}, collector.AdConsent{}, with("en", "purchase", "cu", "EUR", "epn.value", "19.9", "ep.transaction_id", "T1",
			"pr1", "idSKU1~nmA-B~pr9.95~qt2~k0size~v042", "pr2", "nmLace")},
		{"all of advertising", func(*collector.Event) {}, collector.AdConsent{Storage: true, UserData: true, Personalization: true},
			with("gcs", "G111", "gcd", "13r3r3r2r5l1", "npa", "0")},
		{"ad_storage denied in the browser", func(ev *collector.Event) { ev.NoAds = collector.AdConsentDenied{UserData: true, Personalization: true} },
			collector.AdConsent{Storage: true}, nil},
		{"one signal", func(*collector.Event) {}, collector.AdConsent{UserData: true}, with("gcd", "13p3r3r2p5l1")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			parcel, err := relay(t, "").Pack([]*collector.Event{measuredByGtag(tt.change)}, tt.ads, noon)
			if err != nil || len(parcel.Unfit) > 0 {
				t.Fatalf("unfit: %+v, %v", parcel.Unfit, err)
			}
			want := map[string]string{}
			for _, from := range []map[string]string{base, tt.want} {
				for key, v := range from {
					if want[key] = v; v == "-" {
						delete(want, key)
					}
				}
			}
			q, err := url.ParseQuery(parcel.Query)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for key := range q {
				got[key] = q.Get(key)
			}
			if diff := cmp.Diff(want, got); diff != "" || len(parcel.Body) > 0 || parcel.Path != "/g/collect" {
				t.Errorf("%s with %d bytes, parameters (-want +got):\n%s", parcel.Path, len(parcel.Body), diff)
			}
		})
	}
}

// TestRelayTogether: hits of one page share a request, as gtag's own do; what is
// kept as proof is both the query and the lines.
func TestRelayTogether(t *testing.T) {
	t.Parallel()
	d := relay(t, "https://collect.example/google/mp/collect?key=k3y")
	view := measuredByGtag()
	scroll := measuredByGtag(func(ev *collector.Event) {
		ev.Name, ev.Props, ev.Gtag = "scroll", []collector.Prop{{Key: "percent_scrolled", Value: 90.0}}, strings.Replace(ev.Gtag, "_fv=1&_p=1795435200000&_s=1&_ss=1", "_p=1795435200000&_s=2", 1)
	})
	elsewhere := measuredByGtag(func(ev *collector.Event) { ev.Path = "/next" })
	own := visit()
	for _, c := range []struct {
		name       string
		load, next *collector.Event
		want       bool
	}{
		{"of one page", view, scroll, true}, {"of another", view, elsewhere, false},
		{"our own script's behind a hit", view, own, false}, {"a hit behind our own script's", own, view, false},
	} {
		if got := d.Fits([]*collector.Event{c.load}, c.next); got != c.want {
			t.Errorf("%s: fits %v, want %v", c.name, got, c.want)
		}
	}
	parcel, err := d.Pack([]*collector.Event{view, scroll}, collector.AdConsent{}, noon)
	if err != nil || len(parcel.Unfit) > 0 {
		t.Fatalf("unfit: %+v, %v", parcel.Unfit, err)
	}
	q, err := url.ParseQuery(parcel.Query)
	if err != nil || q.Get("key") != "k3y" || parcel.Path != "/google/g/collect" {
		t.Errorf("goes to %s with key %q, %v", parcel.Path, q.Get("key"), err)
	}
	q.Del("key")
	if got, want := string(parcel.Logged()), q.Encode()+"\n"+string(parcel.Body); got != want {
		t.Errorf("kept: %s, want %s", got, want)
	}
	v := judge.Hits(judge.Request{Method: http.MethodPost, Query: q, Header: parcel.Header, Body: parcel.Body, At: noon})
	if !v.Clean() || len(v.Accepted) != 2 || v.Accepted[0].Name != "page_view" || v.Accepted[1].Name != "scroll" {
		t.Errorf("the judge says %+v", v)
	}
	lines, err := judge.Lines(q, parcel.Body)
	if err != nil || lines[0].Get("_fv") != "1" || lines[1].Get("_fv") != "" || lines[1].Get("epn.percent_scrolled") != "90" {
		t.Errorf("lines: %v, %v", lines, err)
	}
}

// TestRelayIsOptIn: without the option, and for whatever is not this property's
// gtag, all goes by the Measurement Protocol.
func TestRelayIsOptIn(t *testing.T) {
	t.Parallel()
	off, err := New(Options{MeasurementID: "G-TEST", APISecret: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	other := measuredByGtag(func(ev *collector.Event) { ev.Gtag = "tid=G-OTHER&_s=1" })
	for name, c := range map[string]struct {
		d  *Destination
		ev *collector.Event
	}{"not asked for": {off, measuredByGtag()}, "our own script's": {relay(t, ""), visit()}, "another property's": {relay(t, ""), other}} {
		parcel, err := c.d.Pack([]*collector.Event{c.ev}, collector.AdConsent{}, noon)
		if err != nil || parcel.Path != "" || parcel.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: goes to %q as %v, %v", name, parcel.Path, parcel.Header, err)
		}
	}
}
