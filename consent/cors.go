package consent

import (
	"net/http"
	"slices"
)

// CORS lets a page of the site read an answer. Where browsers call page and
// door same-site, cookies may ride along; elsewhere the token travels in the
// body. A page of anybody else is told nothing. It replaces what an earlier
// call for the same answer has said.
func (s *Site) CORS(h http.Header, r *http.Request) {
	unread(h)
	origin := r.Header.Get("Origin")
	page := HostOf(origin)
	pageTest, ours := s.Owns(page)
	if !ours {
		return
	}
	h["Access-Control-Allow-Origin"] = []string{origin}
	h["Access-Control-Expose-Headers"] = exposed
	door := s.doorHost(r)
	if test, own := s.Owns(door); door == page || own && !test && !pageTest {
		h["Access-Control-Allow-Credentials"] = allowed
	}
}

// Values that headers of many answers share; nobody changes a header's value in
// place. Their names are written as net/http has them, which saves it the work.
var (
	exposed    = []string{"Sluice-Dropped, Sluice-Notice"}
	allowed    = []string{"true"}
	varyOrigin = []string{"Origin"}
)

// doorHost is the host under which the browser knows this door: the request's
// where it belongs to the site; else a proxy in front has replaced it, and it
// is the one of public_url.
func (s *Site) doorHost(r *http.Request) string {
	if _, own := s.Owns(r.Host); own {
		return hostname(r.Host)
	}
	return HostOf(s.PublicURL)
}

// unread lets no page of another origin read an answer; which may depends on
// the origin.
func unread(h http.Header) {
	switch vary := h["Vary"]; {
	case vary == nil:
		h["Vary"] = varyOrigin
	case !slices.Contains(vary, "Origin"):
		h["Vary"] = append(vary, "Origin")
	}
	delete(h, "Access-Control-Allow-Origin")
	delete(h, "Access-Control-Allow-Credentials")
	delete(h, "Access-Control-Expose-Headers")
}

// CORS is Site.CORS for the site that the page's host belongs to, for answers
// given before the body has said which site it speaks of: a developer reads
// what is wrong with a request on any page of the site.
func (s *Sites) CORS(h http.Header, r *http.Request) {
	p, err := s.ForHost(HostOf(r.Header.Get("Origin")))
	if err != nil {
		unread(h)
		return
	}
	p.Site.CORS(h, r)
}

// Preflight answers whether a page of another origin may call a door. Error:
// ErrForbiddenOrigin.
func (s *Sites) Preflight(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	s.CORS(h, r)
	if h.Get("Access-Control-Allow-Origin") == "" {
		return ErrForbiddenOrigin
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Content-Type, "+TokenHeader)
	h.Set("Access-Control-Max-Age", "7200") // Chromium's ceiling
	w.WriteHeader(http.StatusNoContent)
	return nil
}
