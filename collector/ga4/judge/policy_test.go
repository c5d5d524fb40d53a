package judge

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestViolations is rule 22.
func TestViolations(t *testing.T) {
	t.Parallel()
	with := func(change func(*Request)) Request {
		r := post(events(`{"name":"x"}`))
		change(&r)
		return r
	}
	header := func(name string) Request { return with(func(r *Request) { r.Header.Set(name, "x") }) }
	param := func(v string) Request { return post(params("x", `"p":"`+v+`"`)) }
	tests := []struct {
		name string
		req  Request
		want []string
	}{
		{"nothing", post(params("page_view", `"page_location":"https://example.com/a?utm_source=x"`)), nil},
		{"ip_override", post(`{"client_id":"1.2","ip_override":"x","events":[]}`), []string{"ip_override"}},
		{"ip_override in camel", post(`{"client_id":"1.2","ipOverride":"x","events":[]}`), []string{"ip_override"}},
		{"user_data", post(`{"client_id":"1.2","user_data":{},"events":[]}`), []string{"user_data"}},
		{"X-Forwarded-For", header("X-Forwarded-For"), []string{"header X-Forwarded-For"}},
		{"Forwarded", header("Forwarded"), []string{"header Forwarded"}},
		{"Via", header("Via"), []string{"header Via"}},
		{"Cookie", header("Cookie"), []string{"header Cookie"}},
		{"Referer", header("Referer"), []string{"header Referer"}},
		{"address as a value", param("seen at 203.0.113.7."), []string{"address in events[0].params.p"}},
		{"address glued to a word", param("ip203.0.113.7x"), []string{"address in events[0].params.p"}},
		{"address with a port", param("203.0.113.7:443"), []string{"address in events[0].params.p"}},
		{"IPv6", param("[2001:db8::7]:443"), []string{"address in events[0].params.p"}},
		{"IPv6, percent-encoded", param("2001%3Adb8%3A%3A7"), []string{"address in events[0].params.p"}},
		{"IPv6 with IPv4", param("::ffff:203.0.113.7"), []string{"address in events[0].params.p"}},
		{"address as a key", post(params("x", `"203.0.113.7":1`)), []string{"address in events[0].params.203.0.113.7"}},
		{"five numbers", param("1.2.3.4.5"), nil},
		{"not octets", param("1.2.3.400"), nil},
		{"a time", param("12:30:45"), nil},
		{"C++", param("std::dead"), nil},
		{"e-mail", param("to ada@example.com now"), []string{"e-mail in events[0].params.p"}},
		{"e-mail, percent-encoded", param("/u/ada%40example.com"), []string{"e-mail in events[0].params.p"}},
		{"e-mail in the query", with(func(r *Request) { r.Query.Set("x", "ada@example.com") }), []string{"e-mail in query parameter x"}},
		{"token in the query", with(func(r *Request) { r.Query.Set("auth_token", "x") }), []string{"query parameter auth_token"}},
		{"token in a URL", param("https://example.com/?a=1&reset-token=x"), []string{"query parameter reset-token in events[0].params.p"}},
		{"unreadable body", post(`{"x":"203.0.113.7`), []string{"address in the body"}},
		{"own host", with(func(r *Request) {
			r.Body = []byte(params("x", `"page_location":"http://127.0.0.1:8080/"`))
			r.OwnHosts = []string{"127.0.0.1"}
		}), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Judge(tt.req, ByBody)
			if diff := cmp.Diff(tt.want, got.Violations); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"nothing here", "nothing here"},
		{"from 203.0.113.7 to 2001:db8::7", "from * to *"},
		{"/user/ada@example.com/edit", "/user/*/edit"},
		{"/user/ada%40example.com", "/user/*"},
		{"2001%3Adb8%3A%3A7", ""},
		{"https://example.com/reset?a=1&token=x", "https://example.com/reset"},
		{"https://example.com/reset?E-Mail=x", "https://example.com/reset"},
		{"https://example.com/#/reset?token=x", "https://example.com/#/reset"},
		{"https://example.com/?a=1#/reset?token=x", "https://example.com/"},
		{"https://example.com/?tokens=1#top", "https://example.com/?tokens=1#top"},
		{"127.0.0.1 is ours", "127.0.0.1 is ours"},
	} {
		if got := Redact(tt.in, "*", "127.0.0.1"); got != tt.want {
			t.Errorf("Redact(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
