package consent

import "net/http"

// GPC reports whether the request carries Global Privacy Control. Only the
// exact value 1 counts; several header lines with one 1 count as 1 (W3C GPC,
// section "The Sec-GPC Header Field").
func GPC(h http.Header) bool { return exactlyOne(h["Sec-Gpc"]) }

// Signalled reports whether the request carries a signal that the site
// honours as a no.
func (s *Site) Signalled(h http.Header) bool {
	return s.HonourGPC && GPC(h) || s.HonourDNT && exactlyOne(h["Dnt"])
}

func exactlyOne(lines []string) bool {
	for _, v := range lines {
		if v == "1" {
			return true
		}
	}
	return false
}
