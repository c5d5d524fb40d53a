package consent

import (
	"maps"
	"math"
	"slices"
)

// Cut is what has been taken back from one consent: everything, or purposes
// and services as granted by tokens issued before a moment (Unix seconds). A
// Cut in the index is never changed, only replaced. The nil Cut takes nothing.
type Cut struct {
	// Latest is the issue time of the consent's newest known token. The next
	// one gets a later second, so that before and after are never in doubt.
	Latest   uint32             `json:"latest"`
	All      uint32             `json:"all,omitempty"` // tokens issued before this are dead; MaxUint32: all, for ever
	Purposes map[Purpose]uint32 `json:"purposes,omitempty"`
	Services map[string]uint32  `json:"services,omitempty"`
	Expires  uint32             `json:"expires"` // when the last token of the consent has expired, and no event of its time can come any more: the cut may go
}

// Forever cuts every token of a consent, those to come included.
const Forever = math.MaxUint32

// Covers reports whether the cut takes use back from token t.
func (c *Cut) Covers(t Token, use Use) bool {
	if c == nil {
		return false
	}
	return t.Issued < c.All || c.All == Forever ||
		t.Issued < c.Purposes[use.Purpose] || t.Issued < c.Services[use.Service]
}

// dead reports whether nothing of t can be live any more.
func (c *Cut) dead(t Token) bool {
	return c != nil && (t.Issued < c.All || c.All == Forever)
}

// empty reports whether the cut takes nothing back and only remembers Latest.
func (c *Cut) empty() bool { return c.All == 0 && len(c.Purposes) == 0 && len(c.Services) == 0 }

// merge returns the union of two cuts; either may be nil.
func (c *Cut) merge(d *Cut) *Cut {
	if c == nil {
		return d
	}
	if d == nil {
		return c
	}
	out := Cut{
		Latest:  max(c.Latest, d.Latest),
		All:     max(c.All, d.All),
		Expires: max(c.Expires, d.Expires),
	}
	out.Purposes = mergeMax(c.Purposes, d.Purposes)
	out.Services = mergeMax(c.Services, d.Services)
	return &out
}

func mergeMax[K comparable](a, b map[K]uint32) map[K]uint32 {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	out := maps.Clone(a)
	if out == nil {
		out = map[K]uint32{}
	}
	for k, v := range b {
		out[k] = max(out[k], v)
	}
	return out
}

// lowers builds the cut of a decision that grants only these: everything else
// that this site has ever asked for is taken back from tokens issued before at,
// also what it asks for no more and may ask for again.
func (p *Policy) lowers(purposes []Purpose, services []string, at, expires uint32) *Cut {
	cut := &Cut{Latest: at, Expires: expires, Purposes: map[Purpose]uint32{}, Services: map[string]uint32{}}
	for _, n := range p.past {
		for _, asked := range n.Purposes {
			if !slices.Contains(purposes, asked.Name) {
				cut.Purposes[asked.Name] = at
			}
		}
		for _, asked := range n.Services {
			if !slices.Contains(services, asked.Name) {
				cut.Services[asked.Name] = at
			}
		}
	}
	return cut
}
