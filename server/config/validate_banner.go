package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/consent"
)

var layouts = []string{"bar", "box", "corner"}

// validateBanner refuses what could make reject and accept unequal, or
// illegible (EDPB Cookie Banner Taskforce, report of 17 January 2023, 7 and
// 17 to 19). Both buttons share one style rule, so that leaves their words.
func (s *Site) validateBanner(k *checker, path string) {
	b := s.Banner
	k.oneOf(path+".layout", b.Layout, layouts...)
	k.theme(path+".theme", nil, b.Theme)
	k.texts(path+".texts", b.Texts)
	names := map[string]string{}
	total := 0
	for i, v := range b.Variants {
		at := fmt.Sprintf("%s.variants[%d]", path, i)
		if !slugPattern.MatchString(v.Name) {
			k.say(at+".name", "%q is not a short name of small letters, digits and hyphens", v.Name)
		}
		k.unique(names, at+".name", v.Name)
		if v.Name == consent.UsualVariant {
			k.say(at+".name", "%q is what reports call the banner without a variant", v.Name)
		}
		if v.Layout != "" {
			k.oneOf(at+".layout", v.Layout, layouts...)
		}
		if v.Share < 1 || v.Share > 100 {
			k.say(at+".share", "%d is not a share of 1 to 100 per cent", v.Share)
		}
		total += v.Share
		k.theme(at+".theme", b.Theme, v.Theme)
		k.texts(at+".texts", v.Texts)
		for lang, texts := range v.Texts {
			for name := range texts {
				if strings.Contains(name, ".") {
					k.say(at+".texts."+lang+"."+name, "belongs to what is agreed to, which is the same in every variant; set it in banner.texts")
				}
			}
		}
	}
	if total > 100 {
		k.say(path+".variants", "take %d per cent together; 100 is all there is, and what is left sees the usual banner", total)
	}
}

// themeDefaults are the properties of a theme and the colours of first.css;
// the others have no colour to check.
var themeDefaults = map[string]string{
	"surface": "#fff", "ink": "#14191f", "muted": "#4a5560", "line": "#dfe4e8", "accent": "#0b5563", "on-accent": "#fff",
	"surface-dark": "#171c21", "ink-dark": "#eef2f4", "muted-dark": "#a4b0ba", "line-dark": "#323b43",
	"accent-dark": "#83d3dd", "on-accent-dark": "#06262c",
	"radius": "", "font": "", "scheme": "",
}

// theme checks a theme that is laid over another.
func (k *checker) theme(path string, base, theme map[string]string) {
	for name, value := range theme {
		at := path + "." + name
		if _, known := themeDefaults[name]; !known {
			k.say(at, "%q is not one of %s", name, strings.Join(slices.Sorted(maps.Keys(themeDefaults)), ", "))
		}
		if strings.ContainsAny(value, ";{}<>\"'\\@") || strings.Contains(strings.ToLower(value), "url(") {
			k.say(at, "%q is more than a value; colours, lengths and font names are allowed", value)
		}
	}
	if scheme, set := theme["scheme"]; set {
		k.oneOf(path+".scheme", scheme, "light dark", "light", "dark")
	}
	colour := func(name string) string {
		for _, from := range []map[string]string{theme, base} {
			if value, set := from[name]; set {
				return value
			}
		}
		return themeDefaults[name]
	}
	for _, dark := range []string{"", "-dark"} {
		for _, pair := range [][2]string{{"ink", "surface"}, {"muted", "surface"}, {"on-accent", "accent"}} {
			front, back := pair[0]+dark, pair[1]+dark
			changed := front
			if _, set := theme[front]; !set {
				changed = back
			}
			if _, set := theme[changed]; !set {
				continue
			}
			if ratio, ok := contrast(colour(front), colour(back)); ok && ratio < 4.5 {
				k.say(path+"."+changed, "%s on %s has a contrast of %.1f to 1; visitors can read from 4.5 on (WCAG 2.2, 1.4.3): change %s or %s",
					colour(front), colour(back), ratio, front, back)
			}
		}
	}
}

// contrast is the ratio of WCAG 2.2, "contrast ratio", of two colours in
// hexadecimal; false where one is written in another way.
func contrast(a, b string) (float64, bool) {
	x, okX := luminance(a)
	y, okY := luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05), okX && okY
}

// luminance is the relative luminance of #rgb or #rrggbb, 0 to 1.
func luminance(colour string) (float64, bool) {
	hex, ok := strings.CutPrefix(colour, "#")
	if ok && len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if !ok || err != nil || len(hex) != 6 {
		return 0, false
	}
	out := 0.0
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		c := float64(n>>(8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		out += weight * c
	}
	return out, true
}

// labels are the two buttons that have to be equals, in the first question and
// where only what changed is asked about.
var labels = [][2]string{{"reject", "accept"}, {"decline", "agree"}}

// longestLabel bounds a button's words, in characters.
const longestLabel = 40

// texts checks a site's own words by language.
func (k *checker) texts(path string, texts map[string]map[string]string) {
	for lang, words := range texts {
		at := path + "." + lang
		k.language(at, lang)
		for _, pair := range labels {
			no, setNo := words[pair[0]]
			yes, setYes := words[pair[1]]
			switch {
			case setNo != setYes:
				k.say(at, "sets one of %s and %s; set both, so that they stay equals", pair[0], pair[1])
			case setNo:
				k.label(at+"."+pair[0], no)
				k.label(at+"."+pair[1], yes)
				if why := unequal(no, yes); why != "" {
					k.say(at, "%s (%q) and %s (%q) are not equals: %s", pair[0], no, pair[1], yes, why)
				}
			}
		}
	}
}

func (k *checker) label(path, text string) {
	if !strings.ContainsFunc(text, unicode.IsLetter) {
		k.say(path, "%q has no letter that a visitor could read", text)
	}
	if utf8.RuneCountInString(text) > longestLabel {
		k.say(path, "is longer than %d characters", longestLabel)
	}
}

// unequal says what sets two labels apart that their style does not.
func unequal(a, b string) string {
	short, long := utf8.RuneCountInString(a), utf8.RuneCountInString(b)
	if short > long {
		short, long = long, short
	}
	shouts := func(s string) bool { return s == strings.ToUpper(s) && s != strings.ToLower(s) }
	decorated := func(s string) bool {
		return strings.ContainsFunc(s, unicode.IsSymbol) || strings.ContainsAny(s, "!→›»")
	}
	switch {
	case strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)):
		return "they say the same"
	case long > 3*short+4:
		return "one is much longer"
	case shouts(a) != shouts(b):
		return "one is in capitals"
	case decorated(a) != decorated(b):
		return "one is decorated"
	}
	return ""
}
