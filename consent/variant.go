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

// drawVariant returns a variant's name by the shares, "" for the usual banner.
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
	return ""
}

// variant returns the named variant; the zero one where there is none.
func (s *Site) variant(name string) Variant {
	i := slices.IndexFunc(s.Variants, func(v Variant) bool { return v.Name == name })
	if i < 0 {
		return Variant{}
	}
	return s.Variants[i]
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
