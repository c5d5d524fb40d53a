package consent

import "net/http"

// GPC reports whether the request carries Global Privacy Control. Only the
// exact value 1 counts; several header lines with one 1 count as 1 (W3C GPC,
// section "The Sec-GPC Header Field").
func GPC(h http.Header) bool { return exactlyOne(h["Sec-Gpc"]) }

// Signals are what a browser says by itself of its visitor's wishes.
type Signals struct {
	GPC bool // Global Privacy Control
	DNT bool // the older Do Not Track
}

// SignalsOf reads the signals of a request.
func SignalsOf(h http.Header) Signals { return Signals{GPC: GPC(h), DNT: exactlyOne(h["Dnt"])} }

// honours reports whether one of the signals is a no on this site.
func (s *Site) honours(given Signals) bool {
	return s.HonourGPC && given.GPC || s.HonourDNT && given.DNT
}

// Signalled reports whether the request carries a signal that the site
// honours as a no.
func (s *Site) Signalled(h http.Header) bool { return s.honours(SignalsOf(h)) }

// Vary says that an answer depends on the signals that the site may heed.
func (s *Site) Vary(h http.Header) {
	h["Vary"] = append(h["Vary"], "Sec-GPC")
	if s.HonourDNT {
		h.Add("Vary", "DNT")
	}
}

func exactlyOne(lines []string) bool {
	for _, v := range lines {
		if v == "1" {
			return true
		}
	}
	return false
}
