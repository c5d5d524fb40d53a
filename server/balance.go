package server

import (
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/consent"
	"sluice/dashboards"
)

// openBalance begins the account of what is kept, after whatever was kept
// before the doors opened: those events wait in the spool.
func (m *machine) openBalance() error {
	s := m.state.journal.spool
	consumers := s.Stats().Consumers
	at := slices.IndexFunc(consumers, func(c spool.ConsumerStats) bool { return c.Name == store.WriterName })
	waiting := map[string]int{}
	err := s.Replay(consumers[at].Next, func(r spool.Record) error {
		if r.Kind != spool.KindEvent {
			return nil
		}
		if e, err := collector.DecodeEventHead(r.Data); err == nil {
			waiting[e.Site]++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count what waits in the spool: %w", err)
	}
	for site, n := range waiting {
		m.balance.Carried(site, n)
	}
	m.state.journal.balance = m.balance
	return nil
}

// balances publishes every site's account.
type balances struct {
	of    *collector.Balance
	sites *consent.Sites
}

var (
	siteLabel       = []string{"site"}
	eventsReceived  = prometheus.NewDesc("sluice_events_received_total", "Events in requests that could be read.", siteLabel, nil)
	eventsRefused   = prometheus.NewDesc("sluice_events_refused_total", "Events refused, by reason.", []string{"site", "reason"}, nil)
	eventsStored    = prometheus.NewDesc("sluice_events_stored_total", "Events received since the start that are in ClickHouse.", siteLabel, nil)
	eventsDead      = prometheus.NewDesc("sluice_events_dead_total", "Events received since the start that ClickHouse refused.", siteLabel, nil)
	eventsWaiting   = prometheus.NewDesc("sluice_events_waiting", "Events in the spool that are not in ClickHouse yet, those from before the start among them.", siteLabel, nil)
	eventsUnaccount = prometheus.NewDesc("sluice_events_unaccounted", "received - refused - stored - dead - waiting: 0, but for requests under way.", siteLabel, nil)
)

func (b balances) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{eventsReceived, eventsRefused, eventsStored, eventsDead, eventsWaiting, eventsUnaccount} {
		out <- d
	}
}

func (b balances) Collect(out chan<- prometheus.Metric) {
	for _, p := range b.sites.All() {
		site := p.Site.Domain
		a, _, carried := b.of.Of(site)
		count := func(d *prometheus.Desc, n uint64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{site}, labels...)...)
		}
		count(eventsReceived, a.Received)
		count(eventsStored, a.Stored)
		count(eventsDead, a.Dead)
		for reason, n := range a.Refused {
			count(eventsRefused, n, string(reason))
		}
		out <- prometheus.MustNewConstMetric(eventsWaiting, prometheus.GaugeValue, float64(a.Waiting()+carried), site)
		out <- prometheus.MustNewConstMetric(eventsUnaccount, prometheus.GaugeValue, float64(a.Unaccounted()), site)
	}
}

// account is a site's balance as the dashboards show it.
func (m *machine) account(site string) *dashboards.Balance {
	total, minutes, carried := m.balance.Of(site)
	shown := func(a collector.Account) dashboards.Account {
		out := dashboards.Account{
			Received: a.Received, Stored: a.Stored, Dead: a.Dead, Waiting: a.Waiting(), Unaccounted: a.Unaccounted(), Refused: map[string]uint64{},
		}
		for reason, n := range a.Refused {
			out.Refused[string(reason)] = n
		}
		return out
	}
	b := &dashboards.Balance{Since: m.balance.Since(), Total: shown(total), Carried: carried}
	for _, minute := range minutes {
		b.Minutes = append(b.Minutes, dashboards.Minute{Start: minute.Start, Account: shown(minute.Account)})
	}
	return b
}

// countKeyDraw notes for every site that the key of the day is a new one, but
// for a server that never knew another.
func (m *machine) countKeyDraw() {
	if !m.state.proven() {
		return
	}
	for _, p := range m.ledger.Sites.All() {
		m.state.journal.Count(consent.NewCount(p.Site.Domain, consent.CountKeyDrawn, "", m.now()))
	}
}
