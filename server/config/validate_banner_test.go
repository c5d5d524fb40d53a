package config

import (
	"math"
	"strings"
	"testing"
)

// TestEqualButtons: no configuration makes reject and accept unequal, or hides
// one behind a variant.
func TestEqualButtons(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, banner, want string }{
		{"own words for both", "texts: {en: {accept: Agree, reject: No thanks}}", ""},
		{"a theme that can be read", `theme: {accent: "#060", radius: 0, font: Georgia, scheme: dark}`, ""},
		{"a colour that is not hexadecimal", `theme: {accent: rebeccapurple}`, ""},
		{"own words for one", "texts: {en: {accept: Agree}}", "sets one of reject and accept"},
		{"an empty reject", `texts: {en: {accept: Agree, reject: ""}}`, "no letter that a visitor could read"},
		{"a reject of zero width", `texts: {en: {accept: Agree, reject: "\u200b"}}`, "no letter that a visitor could read"},
		{"both the same", "texts: {en: {accept: Go on, reject: go on}}", "they say the same"},
		{"a reject that nobody reads to its end", "texts: {en: {accept: OK, reject: Go on without agreeing to it}}", "one is much longer"},
		{"a label that is a speech", "texts: {en: {accept: I agree to everything that was ever asked of me, reject: I do not agree to anything}}", "longer than 40 characters"},
		{"capitals for one", "texts: {en: {accept: AGREE, reject: Decline}}", "one is in capitals"},
		{"an arrow for one", "texts: {en: {accept: Agree →, reject: Decline}}", "one is decorated"},
		{"where only changes are asked about", "texts: {en: {agree: Yes}}", "sets one of decline and agree"},
		{"in a variant", "variants: [{name: a, share: 10, texts: {en: {accept: Agree!, reject: Decline}}}]", "one is decorated"},
		{"a variant that asks something else", "variants: [{name: a, share: 10, texts: {en: {purpose.analytics.title: Fun}}}]", "the same in every variant"},
		{"buttons that cannot be read", `theme: {accent: "#0a6"}`, "contrast of 3.0 to 1"},
		{"text that cannot be read, in the dark", `theme: {ink-dark: "#333333"}`, "(WCAG 2.2, 1.4.3)"},
		{"unreadable only together with the usual theme", `theme: {on-accent: "#000", accent: "#ccc"}
      variants: [{name: a, share: 10, theme: {accent: "#222"}}]`, "contrast of"},
		{"an unknown property", `theme: {reject-size: 8px}`, "is not one of accent"},
		{"a scheme that is none", `theme: {scheme: night}`, "light dark"},
		{"an unknown layout", `layout: wall`, "bar, box, corner"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte("sites:\n  - domain: example.com\n    banner:\n      "+tt.banner+"\n"), ".")
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// Known ratios of WCAG's own examples and of black on white.
func TestContrast(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want float64
	}{{"#000", "#fff", 21}, {"#fff", "#ffffff", 1}, {"#767676", "#fff", 4.54}, {"#777777", "#fff", 4.48}} {
		if got, ok := contrast(tt.a, tt.b); !ok || math.Abs(got-tt.want) > 0.01 {
			t.Errorf("%s on %s: %.2f, %v; want %.2f", tt.a, tt.b, got, ok, tt.want)
		}
	}
}
