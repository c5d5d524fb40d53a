package consent

import "net/http"

// CheckOrigin reports whether a request comes from a page of the site, and
// whether from one of its test hosts: by Origin; without one by
// Sec-Fetch-Site, else by Referer. Scheme and port are not compared. A request
// with none of these needs an API key of the site, which apiKey decides (nil:
// there are none). Error: ErrForbiddenOrigin.
func (s *Site) CheckOrigin(r *http.Request, apiKey func(*http.Request) bool) (test bool, err error) {
	if origin := r.Header.Get("Origin"); origin != "" {
		return s.ownsURL(origin)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "same-site":
		test, _ := s.Owns(r.Host)
		return test, nil
	}
	if referer := r.Header.Get("Referer"); referer != "" {
		return s.ownsURL(referer)
	}
	if apiKey != nil && apiKey(r) {
		return false, nil
	}
	return false, ErrForbiddenOrigin
}

func (s *Site) ownsURL(raw string) (test bool, err error) {
	test, ok := s.Owns(HostOf(raw))
	if !ok {
		return false, ErrForbiddenOrigin
	}
	return test, nil
}
