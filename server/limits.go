package server

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/server/config"
)

// limits bounds what one network (a /24 or a /64) and one site may send.
//
// # Why
//
// A withdrawal must work whatever else goes on, so what a visitor decides,
// looks up and erases has a bucket of its own, which no flood of events from
// the same network empties; and the limit of a site is on events alone.
//
// A request that no proxy vouches for comes from the proxy itself, as far as
// anybody can tell. It is not limited: that bucket would be everybody's.
type limits struct {
	now       func() time.Time
	anonymous func(netip.Addr) bool // an address that stands for whoever is behind it
	traffic   *limiter              // by network: scripts, banners, events
	choices   *limiter              // by network: decisions, choices, what is held
	sites     *limiter              // by site: events
	crowd     crowd
}

func newLimits(c *config.Config, log *slog.Logger, now func() time.Time) *limits {
	rate, burst, at := float64(c.Limits.PerPrefix), c.Limits.Burst, now()
	return &limits{
		now: now, anonymous: newOrigins(c.Server).trusts,
		traffic: newLimiter(rate, burst, at), choices: newLimiter(rate, burst, at),
		sites: newLimiter(float64(c.Limits.PerSite), burst, at), crowd: crowd{log: log},
	}
}

// byNetwork refuses what a network asks for beyond a limit. Error: *waitError.
func (l *limits) byNetwork(limit *limiter) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			l.crowd.add(clientIP(c))
			if err := l.from(c, limit); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// charge counts a request that turned out to be nobody's. Error: *waitError.
func (l *limits) charge(c echo.Context) error { return l.from(c, l.traffic) }

func (l *limits) from(c echo.Context, limit *limiter) error {
	from := clientIP(c)
	if !from.IsValid() || l.anonymous(from) {
		return nil
	}
	if wait := limit.take(networkOf(from), l.now()); wait > 0 {
		return fmt.Errorf("from one network: %w", &waitError{wait})
	}
	return nil
}

// bySite refuses events of a site beyond its limit. Error: *waitError.
func (l *limits) bySite(site string) error {
	if wait := l.sites.take(site, l.now()); wait > 0 {
		return fmt.Errorf("for site %s: %w", site, &waitError{wait})
	}
	return nil
}

// networkOf is the key of what one household or office shares: the first three
// bytes of an address, or eight where it is IPv6; "" where there is none.
func networkOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	if a.Is4() {
		b := a.As4()
		return string(b[:3])
	}
	b := a.As16()
	return string(b[:8])
}

// crowdSize is how many requests crowd looks at, crowdShare how many of them
// are too many for one address.
const (
	crowdSize  = 1000
	crowdShare = 950
)

// crowd says once whether the first visitors all seem to be one: then a proxy
// in front keeps their addresses to itself, and limits, exclusions and
// visitors without a cookie are wrong. It finds the address that may have the
// majority by Boyer and Moore's vote: one that has 950 of 1000 is left with at
// least 900 votes, and one with 900 votes has at least that many requests.
type crowd struct {
	log *slog.Logger

	mu    sync.RWMutex
	seen  int
	votes int
	lead  netip.Addr
}

func (c *crowd) add(from netip.Addr) {
	c.mu.RLock()
	done := c.seen == crowdSize
	c.mu.RUnlock()
	if done {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.seen == crowdSize:
		return
	case c.votes == 0:
		c.lead, c.votes = from, 1
	case c.lead == from:
		c.votes++
	default:
		c.votes--
	}
	if c.seen++; c.seen < crowdSize {
		return
	}
	if c.votes >= 2*crowdShare-crowdSize {
		c.log.Warn("nearly every request comes from one address: does a proxy in front keep the visitors' to itself?",
			"key", "server.trusted_proxies", "of", crowdSize)
	}
	c.lead = netip.Addr{}
}
