package enrich

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Spammers are hosts that send invented visits, so that whoever reads a report
// follows the referrer. The nil Spammers are those below.
type Spammers struct{ more map[string]bool }

// ReadSpammers adds hosts to those below, one a line; empty lines and lines
// that begin with # are passed over. The list that Matomo's community keeps
// (github.com/matomo-org/referrer-spam-list, public domain) has this form.
func ReadSpammers(r io.Reader) (*Spammers, error) {
	s := &Spammers{more: map[string]bool{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.ContainsAny(line, " \t/:") {
			return nil, fmt.Errorf("line %d: %.80q is not a host name", n, line)
		}
		s.more[strings.ToLower(line)] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read spammers: %w", err)
	}
	return s, nil
}

// Holds reports whether a host, or a domain that it belongs to, is a
// spammer's.
func (s *Spammers) Holds(host string) bool {
	for host != "" {
		if spammers[host] || s != nil && s.more[host] {
			return true
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return false
}

// spammers are those that nearly every site has met.
var spammers = map[string]bool{
	"semalt.com": true, "darodar.com": true, "ilovevitaly.com": true, "ilovevitaly.co": true, "priceg.com": true, "blackhatworth.com": true,
	"hulfingtonpost.com": true, "buttons-for-website.com": true, "buttons-for-your-website.com": true, "best-seo-offer.com": true,
	"best-seo-solution.com": true, "100dollars-seo.com": true, "free-share-buttons.com": true, "free-social-buttons.com": true,
	"get-free-traffic-now.com": true, "simple-share-buttons.com": true, "social-buttons.com": true, "event-tracking.com": true,
	"traffic2money.com": true, "trafficmonetize.org": true, "trafficmonetizer.org": true, "traffic2cash.xyz": true, "success-seo.com": true,
	"videos-for-your-business.com": true, "4webmasters.org": true, "webmonetizer.net": true, "kambasoft.com": true, "savetubevideo.com": true,
	"econom.co": true, "makemoneyonline.com": true, "cenoval.ru": true, "floating-share-buttons.com": true, "rank-checker.online": true,
	"sharebutton.net": true, "sitevaluation.org": true, "keywords-monitoring-your-success.com": true, "free-video-tool.com": true,
}
