package consent

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Changed reports whether something that the holder of t granted, or was never
// asked, has changed since: purposes that Live answers with StaleNotice.
func (p *Policy) Changed(t Token) bool {
	return t.Notice != p.Current.Fingerprint && p.changed(t) != 0
}

// changed are those purposes, as bits of the current notice.
func (p *Policy) changed(t Token) uint16 {
	old, bits := p.past[t.Notice], uint16(0)
	for i, q := range p.Current.Purposes {
		bit := -1
		if old != nil {
			bit = old.purposeBit(q.Name)
		}
		// A purpose that was refused stays refused: nobody is asked again.
		if bit < 0 || t.Purposes&(1<<bit) != 0 && old.Purposes[bit].Hash != q.Hash {
			bits |= 1 << i
		}
	}
	return bits
}

// renewed puts into words what changed about each of the purposes, as shown,
// that a view asks about anew; nil where it asks about all of them for the
// first time.
func (p *Policy) renewed(v View, purposes []shownPurpose, words map[string]string) map[Purpose]string {
	old := p.past[v.Since]
	if old == nil {
		return nil
	}
	out := map[Purpose]string{}
	for i, q := range p.Current.Purposes {
		if v.Asked&(1<<i) == 0 {
			continue
		}
		for _, shown := range purposes {
			if shown.Name == q.Name {
				out[q.Name] = p.difference(old, &shown, words)
			}
		}
	}
	return out
}

// difference tells which services of a purpose came, went and changed since an
// earlier notice. Where it were none the purpose's own words changed, or it is new.
func (p *Policy) difference(old *Notice, shown *shownPurpose, words map[string]string) string {
	var added, removed, altered []string
	purpose := shown.Name
	for _, s := range p.Current.Services {
		if s.Purpose != purpose {
			continue
		}
		switch i := old.serviceBit(s.Name); {
		case i < 0 || old.Services[i].Purpose != purpose:
			added = append(added, p.titleOf(s.Name, words))
		case old.Services[i].Hash != "" && old.Services[i].Hash != s.Hash:
			altered = append(altered, p.titleOf(s.Name, words))
		}
	}
	for _, s := range old.Services {
		if i := p.Current.serviceBit(s.Name); s.Purpose == purpose && (i < 0 || p.Current.Services[i].Purpose != purpose) {
			removed = append(removed, p.titleOf(s.Name, words))
		}
	}
	if len(added)+len(removed)+len(altered) == 0 {
		if old.purposeBit(purpose) < 0 {
			added = []string{shown.Title}
		} else {
			altered = []string{shown.Title}
		}
	}
	var out []string
	for _, part := range []struct {
		text  string
		names []string
	}{{"added", added}, {"removed", removed}, {"altered", altered}} {
		if len(part.names) > 0 {
			out = append(out, strings.ReplaceAll(words[part.text], "{names}", strings.Join(part.names, ", ")))
		}
	}
	return strings.Join(out, ". ") + "."
}

// titleOf is what a service is called; one that is gone goes by its name.
func (p *Policy) titleOf(service string, words map[string]string) string {
	title := ""
	if i := slices.IndexFunc(p.Site.Services, func(s Service) bool { return s.Name == service }); i >= 0 {
		title = p.Site.Services[i].Title
	}
	return cmp.Or(words["service."+service+".title"], title, service)
}

// renew narrows a view to what changed since the choice that the request
// brings along, and makes the browser's cookie say what of it still stands. ask
// is false where there is nothing to ask. Without a choice, or without its
// proof, everything is asked.
func (h *Handler) renew(w http.ResponseWriter, r *http.Request, policy *Policy, v *View) (ask bool) {
	cookie, err := r.Cookie(ChoiceCookie)
	if err != nil {
		return true
	}
	choice, err := ParseRemembered(cookie.Value)
	token, reason := h.Ledger.Authenticate(h.Ledger.RawToken(r, "", policy), policy)
	if err != nil || reason != Live {
		return true
	}
	jar := policy.Site.newJar(r, h.Ledger.Now())
	defer func() { jar.write(w.Header()) }()
	stands := Receipt{Notice: choice.Notice, Time: choice.Time, Purposes: map[Purpose]bool{}, Services: map[string]bool{}}
	for _, q := range policy.Current.Purposes {
		stands.Purposes[q.Name] = h.Ledger.Live(policy, token, Use{Purpose: q.Name}) == Live
	}
	for _, s := range policy.Current.Services {
		stands.Services[s.Name] = h.Ledger.Live(policy, token, Use{Purpose: s.Purpose, Service: s.Name}) == Live
	}
	asked := uint16(0)
	for i, q := range policy.Current.Purposes {
		if h.Ledger.Live(policy, token, Use{Purpose: q.Name}) == StaleNotice {
			asked |= 1 << i
		}
	}
	if policy.past[token.Notice] == nil || asked == 0 && !stands.Grants() {
		jar.expire([]string{ChoiceCookie, ProofCookie}) // expired, withdrawn or too old to compare
		return true
	}
	memory := policy.Site.remembered(&stands)
	if memory.Pending = asked != 0; memory.String() != cookie.Value {
		jar.keep(ChoiceCookie, memory.String(), "/", false, policy.Expires(token))
	}
	v.Since, v.Asked = token.Notice, asked
	return asked != 0
}
