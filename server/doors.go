package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"

	"github.com/labstack/echo/v4"

	"sluice/collector"
	"sluice/collector/enrich"
	"sluice/consent"
	"sluice/server/config"
	"sluice/static"
)

// openDoors prepares what stands behind the doors of browsers.
func (m *machine) openDoors() error {
	banners, err := composeBanners(m.ledger)
	if err != nil {
		return err
	}
	m.consents = &consent.Handler{
		Ledger: m.ledger, Counter: m.state.journal, Banner: banners, Match: static.Match, Texts: textsOf,
		Country:  func(c echo.Context) string { return m.geo.Country(clientIP(c)) },
		APIKey:   m.auth.keyFor,
		Subject:  m.store.WriteSubject,
		Receipts: m.store.ReceiptsOf,
	}
	if err := m.openChannels(); err != nil {
		return err
	}
	key, err := drawnKey(m.config.DataDir, clientKeyFile)
	if err != nil {
		return err
	}
	sites := map[string]collector.SiteOptions{}
	m.extras = map[string]static.Asset{}
	for i := range m.config.Sites {
		s := &m.config.Sites[i]
		if sites[s.Domain], err = siteOptions(s); err != nil {
			return fmt.Errorf("site %s: %w", s.Domain, err)
		}
		if m.extras[s.Domain], err = static.ComposeExtras(static.Measure(s.Measure)); err != nil {
			return fmt.Errorf("extras of %s: %w", s.Domain, err)
		}
	}
	hosting, spammers, err := m.openBots()
	if err != nil {
		return err
	}
	m.collector, err = collector.NewHandler(collector.Options{
		Ledger: m.ledger, Appender: m.state.journal, Counter: m.state.journal, Sites: sites,
		Geo: m.geo, Hosting: hosting, Spammers: spammers, ClientIP: clientIP, APIKey: m.auth.keyFor,
		ClientIDKey: key, Forwards: m.explainForwards, Limit: m.limits.bySite, Balance: m.balance,
	})
	return err
}

func siteOptions(s *config.Site) (collector.SiteOptions, error) {
	rules, err := enrich.NewRules(s.KeepQuery, s.Mask)
	o := collector.SiteOptions{
		ExcludeHosts: s.Exclude.Hostnames, ExcludeCountries: s.Exclude.Countries, ExcludeBots: s.Exclude.Bots,
		Accept:     collector.Accept{Plausible: s.Accept.Plausible, Umami: s.Accept.Umami, GoatCounter: s.Accept.GoatCounter, Gtag: s.Accept.Gtag},
		Rules:      rules,
		HashRoutes: s.Measure.HashRoutes,
	}
	for _, path := range s.Exclude.Paths {
		o.ExcludePaths = append(o.ExcludePaths, consent.EscapePath(path))
	}
	for _, n := range s.Exclude.IPs {
		o.ExcludeIPs = append(o.ExcludeIPs, n.Prefix)
	}
	for _, d := range s.Destinations() {
		if d.Preset == config.GoogleAnalytics {
			o.Google = append(o.Google, collector.GoogleService{Service: d.Service, MeasurementID: d.MeasurementID, Relay: d.Relay})
		}
	}
	return o, err
}

// clientIP is the address that origins has settled; the zero Addr where nobody
// named one.
func clientIP(c echo.Context) netip.Addr { return parseAddr(c.Request().RemoteAddr) }

// banners are composed at start, one for each site, language and variant, and
// compressed when they are first asked for. Those that ask about changes only
// are composed on demand: what there is to ask depends on what was granted.
type banners struct {
	ledger   *consent.Ledger
	composed map[consent.View]*static.Banner

	mu      sync.Mutex
	renewed map[consent.View]*static.Banner
}

// maxRenewed bounds the banners about changes that are kept at a time.
const maxRenewed = 500

func composeBanners(l *consent.Ledger) (*banners, error) {
	b := &banners{ledger: l, composed: map[consent.View]*static.Banner{}, renewed: map[consent.View]*static.Banner{}}
	for _, p := range l.Sites.All() {
		for _, lang := range static.Languages() {
			for _, variant := range append([]string{""}, p.Site.Drawn()...) {
				v := consent.View{Site: p.Site.Domain, Language: lang, Variant: variant}
				var err error
				if b.composed[v], err = b.compose(v); err != nil {
					return nil, err
				}
			}
		}
	}
	return b, nil
}

func (b *banners) compose(v consent.View) (*static.Banner, error) {
	policy, err := b.ledger.Sites.Lookup(v.Site)
	if err != nil {
		return nil, err
	}
	data, err := consent.BannerData(policy, v, textsOf(v.Language), b.ledger.Keys)
	if err != nil {
		return nil, err
	}
	banner, err := static.ComposeBanner(data)
	if err != nil {
		return nil, fmt.Errorf("banner of %s in %s: %w", v.Site, v.Language, err)
	}
	return banner, nil
}

// For implements [consent.Banner].
func (b *banners) For(v consent.View) (http.Handler, error) {
	part := v.Part
	v.Part = consent.FirstLayer
	banner, err := b.whole(v)
	if err != nil {
		return nil, err
	}
	switch part {
	case consent.Preferences:
		return banner.Preferences(), nil
	case consent.BothLayers:
		return banner.Both(), nil
	default:
		return banner.First(), nil
	}
}

// whole returns every part of a banner.
func (b *banners) whole(v consent.View) (*static.Banner, error) {
	if banner, ok := b.composed[v]; ok {
		return banner, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if banner, ok := b.renewed[v]; ok {
		return banner, nil
	}
	banner, err := b.compose(v)
	if err != nil {
		return nil, err
	}
	if len(b.renewed) >= maxRenewed {
		clear(b.renewed)
	}
	b.renewed[v] = banner
	return banner, nil
}

// textsOf are all texts of a language; none where there is no such language.
func textsOf(lang string) map[string]string {
	texts, _ := static.Texts(lang)
	return texts
}
