package enrich

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string
		want      Address
		ok        bool
	}{
		{"a page", "https://example.com/shop/1?a=b#c", Address{"example.com", "/shop/1", "a=b"}, true},
		{"upper case and a port", "HTTP://Example.COM:8080", Address{"example.com", "/", ""}, true},
		{"credentials go", "https://ada:secret@example.com/", Address{"example.com", "/", ""}, true},
		{"two at signs", "https://a@b@example.com/", Address{"example.com", "/", ""}, true},
		{"a query without a path", "https://example.com?x=1", Address{"example.com", "/", "x=1"}, true},
		{"a question mark in the fragment", "https://example.com/#?x=1", Address{"example.com", "/", ""}, true},
		{"a backslash ends the host", `https://example.com\@evil.test/`, Address{"example.com", `/@evil.test/`, ""}, true},
		{"a trailing dot", "https://example.com./", Address{"example.com", "/", ""}, true},
		{"IPv6", "http://[::1]:80/x", Address{"::1", "/x", ""}, true},
		{"not absolute", "/shop/1", Address{}, false},
		{"no scheme", "//example.com/", Address{}, false},
		{"script", "javascript:alert(1)//https://example.com/", Address{}, false},
		{"a file", "file:///etc/passwd", Address{}, false},
		{"no host", "https:///x", Address{}, false},
		{"a host of dots", "https://./", Address{}, false},
		{"a port that is none", "https://example.com:http/", Address{}, false},
		{"a port too many", "https://example.com:80:80/", Address{}, false},
		{"markup as a host", "https://<script>.example.com/", Address{}, false},
		{"a space in the host", "https://exa mple.com/", Address{}, false},
		{"NUL in the host", "https://example.com\x00.evil.test/", Address{}, false},
		{"an open bracket", "http://[::1/", Address{}, false},
		{"a zone", "http://[fe80::1%25eth0]/", Address{}, false},
		{"words", "not a url", Address{}, false},
		{"empty", "", Address{}, false},
		{"a very long host", "https://" + strings.Repeat("a", 300) + "/", Address{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := ParseAddress(tt.raw)
			if ok != tt.ok {
				t.Errorf("ParseAddress(%q) ok = %v, want %v", tt.raw, ok, tt.ok)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseAddress(%q) (-want +got):\n%s", tt.raw, diff)
			}
		})
	}
}

// What both read must have the same host: a page that is ours here and another
// site's elsewhere would be a hole.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"https://example.com/", "https://a@b:80/?x#y", `https://a\b`, "http://[::1]:1/", "https://a.:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := ParseAddress(raw)
		if !ok {
			return
		}
		if got.Path[0] != '/' {
			t.Errorf("path %q does not start at the root", got.Path)
		}
		u, err := url.Parse(raw)
		if err != nil || strings.Contains(raw, `\`) {
			return
		}
		if want := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); got.Host != want {
			t.Errorf("host of %q is %q, net/url says %q", raw, got.Host, want)
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"plain", "Hello", "Hello"},
		{"markup is text", "</script><b>", "</script><b>"},
		{"NUL", "a\x00b", "a b"},
		{"lines", "a\r\nb\tc", "a  b c"},
		{"escape sequences", "\x1b[31mred", "[31mred"},
		{"C1 controls", "a\u0085b", "a b"},
		{"a turned direction", "invoice\u202egpj.exe", "invoice gpj.exe"},
		{"bad UTF-8", "a\xffb", "a\ufffdb"},
		{"space around", "  a  ", "a"},
		{"emoji stay", "👩‍🚀 ok", "👩‍🚀 ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Clean(tt.in); got != tt.want {
				t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in    string
		limit int
		want  string
		cut   bool
	}{
		{"abc", 3, "abc", false},
		{"abcd", 3, "abc", true},
		{"äöü", 3, "äöü", false},
		{"äöüß", 3, "äöü", true},
		{"", 0, "", false},
	}
	for _, tt := range tests {
		if got, cut := Cut(tt.in, tt.limit); got != tt.want || cut != tt.cut {
			t.Errorf("Cut(%q, %d) = %q, %v, want %q, %v", tt.in, tt.limit, got, cut, tt.want, tt.cut)
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want string
		n              int
	}{
		{"nothing", "/shop/blue-vase-2025", "/shop/blue-vase-2025", 0},
		{"an address", "/u/ada@example.com/edit", "/u/*email*/edit", 1},
		{"an encoded address", "/u/ada%40example.com", "/u/*email*", 1},
		{"two", "a@b.test and c@d.test", "*email* and *email*", 2},
		{"an address of another script", "jürgen@web.de ada@münchen.de 用户@例子.中国", "*email* *email* *email*", 3},
		{"the same in a path", "/u/ada@m%C3%BCnchen.de/j%C3%BC%40web.de", "/u/*email*/*email*", 2},
		{"a handle is no address", "/@ada/posts", "/@ada/posts", 0},
		{"hex", "/reset/0123456789abcdef0123456789abcdef/x", "/reset/*token*/x", 1},
		{"a web token", "/t/eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "/t/*token*.*token*.x", 2},
		{"base64url with dashes goes whole", "/k/a-0123456789abcdefABCDEF0_9-z", "/k/a-0123456789abcdefABCDEF0_9-z", 0},
		{"a long run in it", "/k/a-0123456789abcdefABCDEF01_9-z", "/k/*token*", 1},
		{"a slug stays", "/the-10-best-places-to-see-in-2025-with-kids", "/the-10-best-places-to-see-in-2025-with-kids", 0},
		{"a UUID stays", "/p/550e8400-e29b-41d4-a716-446655440000", "/p/550e8400-e29b-41d4-a716-446655440000", 0},
		{"a long word stays", "/Donaudampfschifffahrtsgesellschaft", "/Donaudampfschifffahrtsgesellschaft", 0},
		{"a long number", "/123456789012345678901234567890", "/*number*", 1},
		{"a card", "paid with 4111 1111 1111 1111 today", "paid with *number* today", 1},
		{"a card in an address", "/pay/4111-1111-1111-1111/ok", "/pay/*number*/ok", 1},
		{"an article's number stays", "/item/314159265358", "/item/314159265358", 0},
		{"digits within a name stay", "/sku/AB1234567890123Z", "/sku/AB1234567890123Z", 0},
		{"a date and time stay", "/2026-11-25/17-42-07", "/2026-11-25/17-42-07", 0},
		{"a telephone", "call +49 30 1234567 now", "call *phone* now", 1},
		{"a telephone with brackets", "+1 (415) 555-0100", "*phone*", 1},
		{"an encoded telephone", "/tel/%2B491701234567/x", "/tel/*phone*/x", 1},
		{"words joined by plus stay", "/search/blue+vase+2025", "/search/blue+vase+2025", 0},
		{"a sum stays", "1+1 12345678", "1+1 12345678", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, n := defaults.Mask(tt.in)
			if got != tt.want || n != tt.n {
				t.Errorf("Mask(%q) = %q, %d, want %q, %d", tt.in, got, n, tt.want, tt.n)
			}
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	r, err := NewRules([]string{"page", "q", "gclid"}, []string{"KD-[0-9]{6}", "(?i)geheim"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, raw, path, query string }{
		{"nothing of it", "https://example.com/list?x=1", "/list", ""},
		{"in the order of the rules", "https://example.com/list?q=blue+vase&page=2", "/list?page=2&q=blue+vase", ""},
		{"the other way round", "https://example.com/list?page=2&q=blue+vase", "/list?page=2&q=blue+vase", ""},
		{"the first of two", "https://example.com/list?page=2&page=3", "/list?page=2", ""},
		{"beside a campaign", "https://example.com/list?utm_source=x&page=2", "/list?page=2", "utm_source=x"},
		{"masked", "https://example.com/list?q=ada%40example.com", "/list?q=%2Aemail%2A", ""},
		{"our own pattern", "https://example.com/k/KD-123456/Geheim?page=KD-654321", "/k/*masked*/*masked*?page=%2Amasked%2A", ""},
		{"a click id all the same goes", "https://example.com/?gclid=abc", "/", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, _ := ParseAddress(tt.raw)
			if got := r.Page(a); got.Path != tt.path || got.Query != tt.query {
				t.Errorf("path %q and query %q, want %q and %q", got.Path, got.Query, tt.path, tt.query)
			}
		})
	}
	if got := r.Page(Address{Path: "/#/cart", Query: "page=2"}).Path; got != "/?page=2#/cart" {
		t.Errorf("a site that routes by fragment: %q", got)
	}
	if _, err := NewRules(nil, []string{"("}); err == nil {
		t.Error("a pattern that is none is taken")
	}
}

// FuzzMask holds that what is masked once is masked: nothing is left to find,
// and no byte of an address gets out.
func FuzzMask(f *testing.F) {
	for _, s := range []string{"a@b.test", "+49 170 1234567", "%2b%2B1", "4111 1111 1111 1111", "12345678901234", "a1b2c3d4e5f6a1b2c3d4e5f6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		masked, n := defaults.Mask(s)
		if n == 0 && masked != s {
			t.Errorf("%q became %q and is not counted", s, masked)
		}
		if again, more := defaults.Mask(masked); more > 0 {
			t.Errorf("%q became %q, and then %q", s, masked, again)
		}
	})
}

func TestReadPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string
		want      Page
	}{
		{"a path alone", "https://example.com/a%20b", Page{Path: "/a%20b"}},
		{"a search is not kept", "https://example.com/?q=divorce+lawyer", Page{Path: "/"}},
		{"UTM", "https://example.com/?utm_source=news&x=1&utm_medium=e-mail&utm_campaign=May+25&utm_term=a%26b&utm_content=top", Page{
			Path: "/", Query: "utm_source=news&utm_medium=e-mail&utm_campaign=May+25&utm_term=a%26b&utm_content=top",
			UTM: UTM{"news", "e-mail", "May 25", "a&b", "top"},
		}},
		{"the first of two", "https://example.com/?utm_source=a&utm_source=b", Page{Path: "/", Query: "utm_source=a&utm_source=b", UTM: UTM{Source: "a"}}},
		{"ref", "https://example.com/?ref=hn", Page{Path: "/", Query: "ref=hn", Ref: "hn"}},
		{"a click id goes", "https://example.com/?gclid=Cj0KCQjw&utm_campaign=x", Page{
			Path: "/", Query: "utm_campaign=x", UTM: UTM{Campaign: "x"}, Click: Click{"Google", "cpc"},
		}},
		{"what only Google reads", "https://example.com/?utm_id=7", Page{Path: "/", Query: "utm_id=7"}},
		{"an address in a label", "https://example.com/?utm_content=ada%40example.com", Page{
			Path: "/", Query: "utm_content=%2Aemail%2A", UTM: UTM{Content: "*email*"}, Masked: 1,
		}},
		{"control characters", "https://example.com/a\x00b?utm_source=%00x%0a", Page{Path: "/a b", Query: "utm_source=x", UTM: UTM{Source: "x"}}},
		{"broken encoding", "https://example.com/?utm_source=%zz", Page{Path: "/", Query: "utm_source=%25zz", UTM: UTM{Source: "%zz"}}},
		{"nothing behind it", "https://example.com/?utm_source=&&=&ref", Page{Path: "/"}},
		{"a very long path", "https://example.com/" + strings.Repeat("ab-", 1000), Page{Path: "/" + strings.Repeat("ab-", 1000)[:1999], Cut: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, ok := ParseAddress(tt.raw)
			if !ok {
				t.Fatalf("%q is no address", tt.raw)
			}
			if diff := cmp.Diff(tt.want, defaults.Page(a)); diff != "" {
				t.Errorf("ReadPage(%q) (-want +got):\n%s", tt.raw, diff)
			}
		})
	}
}
