package consent

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Variant is a banner that a share of visitors sees in the place of the usual
// one: its texts and looks differ, what is asked does not. Which one somebody
// sees is drawn for each view and kept nowhere; a receipt names it, once there
// is one.
type Variant struct {
	Name   string
	Share  int                          // per cent of views
	Layout string                       // "" as usual
	Theme  map[string]string            // laid over the usual one
	Texts  map[string]map[string]string // language → text → words, laid over the usual ones
}

// UsualVariant is the name of the banner as it is configured where others were
// drawn from beside it: what it is compared with is who saw it by the same draw,
// not who opened the preferences.
const UsualVariant = "usual"

// Drawn lists the names that may be drawn, the usual banner last; none for a
// site without variants.
func (s *Site) Drawn() []string {
	var out []string
	for _, v := range s.Variants {
		out = append(out, v.Name)
	}
	if len(out) > 0 {
		out = append(out, UsualVariant)
	}
	return out
}

// drawVariant returns a variant's name by the shares; "" for a site without.
func (s *Site) drawVariant() string {
	return s.variantAt(rand.IntN(100)) //nolint:gosec // a coin, no secret
}

// variantAt returns the variant whose part of 0 to 99 holds n.
func (s *Site) variantAt(n int) string {
	for _, v := range s.Variants {
		if n -= v.Share; n < 0 {
			return v.Name
		}
	}
	if len(s.Variants) > 0 {
		return UsualVariant
	}
	return ""
}

// variant returns the named variant; the zero one where there is none.
func (s *Site) variant(name string) Variant {
	if i := slices.IndexFunc(s.Variants, func(v Variant) bool { return v.Name == name }); i >= 0 {
		return s.Variants[i]
	}
	if name == UsualVariant && len(s.Variants) > 0 {
		return Variant{Name: name}
	}
	return Variant{}
}

// over lays m over base, and changes neither.
func over(base, m map[string]string) map[string]string {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, m)
	return out
}
