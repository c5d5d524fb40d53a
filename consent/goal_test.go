package consent

import "testing"

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ plain, escaped, readable string }{
		{"/", "/", "/"},
		{"/danke-schön", "/danke-sch%C3%B6n", "/danke-schön"},
		{"/größe/*", "/gr%C3%B6%C3%9Fe/*", "/größe/*"},
		{"/gr%C3%B6%C3%9Fe", "/gr%C3%B6%C3%9Fe", "/größe"},
		{"/日本/😀", "/%E6%97%A5%E6%9C%AC/%F0%9F%98%80", "/日本/😀"},
		{"/a b", "/a%20b", "/a%20b"},
		{"/a%2Fb%3F", "/a%2Fb%3F", "/a%2Fb%3F"},
		{"/%C3", "/%C3", "/%C3"},
		{"/%E2%80%AEx", "/%E2%80%AEx", "/%E2%80%AEx"}, // turns the direction of what follows
		{"/\xff", "/%FF", "/%FF"},
	} {
		got := EscapePath(tt.plain)
		if got != tt.escaped || EscapePath(got) != got {
			t.Errorf("EscapePath(%q) = %q, want %q", tt.plain, got, tt.escaped)
		}
		if got := ReadablePath(got); got != tt.readable {
			t.Errorf("ReadablePath of it = %q, want %q", got, tt.readable)
		}
	}
}
