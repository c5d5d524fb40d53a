package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/collector"
	"sluice/collector/forward"
	"sluice/collector/ga4"
	"sluice/collector/matomo"
	"sluice/collector/spool"
	"sluice/collector/webhook"
	"sluice/consent"
	"sluice/dashboards"
	"sluice/server/config"
)

// forwarder is the way of one site's events to one service.
type forwarder struct {
	*forward.Sink
	site, service string
}

// destination prepares how a recipient is told. A new kind of recipient is a
// package of its own, a preset, and a line here.
func destination(d config.Destination, site *consent.Site) (forward.Destination, error) {
	switch d.Preset {
	case config.GoogleAnalytics:
		return ga4.New(ga4.Options{
			MeasurementID: d.MeasurementID, APISecret: collector.Secret(d.APISecret.Reveal()), Endpoint: d.Endpoint,
			Region: d.Region, Relay: d.Relay, Secure: site.Secure(),
		})
	case config.Webhook:
		return webhook.New(webhook.Options{
			URL: collector.Secret(d.URL), Secret: collector.Secret(d.Secret.Reveal()), Secure: site.Secure(),
		})
	case config.Matomo:
		return matomo.New(matomo.Options{
			URL: d.URL, SiteID: d.SiteID, Token: collector.Secret(d.Token.Reveal()), Secure: site.Secure(),
		})
	}
	return nil, fmt.Errorf("preset %q has no destination", d.Preset)
}

// openSinks prepares one forwarder for each recipient of each site.
func (m *machine) openSinks() error {
	for i := range m.config.Sites {
		site := &m.config.Sites[i]
		policy, err := m.ledger.Sites.Lookup(site.Domain)
		if err != nil {
			return fmt.Errorf("site %s: %w", site.Domain, err)
		}
		for _, d := range site.Destinations() {
			to, err := destination(d, policy.Site)
			if err != nil {
				return fmt.Errorf("forwarding for %s to %s: %w", site.Domain, d.Service, err)
			}
			sink, err := forward.New(forward.Options{
				Policy: policy, Service: d.Service, Destination: to, Gate: m.ledger.Index,
				Queue:    filepath.Join(m.queues(), forward.Name(site.Domain, d.Service)),
				Outcomes: outcomes{m.state.journal}, Counter: m.state.journal, Logger: m.log, Now: m.now,
			})
			if err != nil {
				return err
			}
			m.opened = append(m.opened, sink.Close)
			m.sinks = append(m.sinks, forwarder{sink, site.Domain, d.Service})
		}
	}
	if err := m.dropQueues(); err != nil {
		return err
	}
	return m.recallForwards()
}

// queuesName is the folder where events wait for recipients that are away. No
// backup holds it: the server that was backed up may have sent them since.
const queuesName = "forward"

func (m *machine) queues() string { return filepath.Join(m.config.DataDir, queuesName) }

// dropQueues removes the queues of recipients that are no longer configured:
// what waits there may not be sent any more, and is recorded as dead.
func (m *machine) dropQueues() error {
	entries, err := os.ReadDir(m.queues())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for queues of forwarders: %w", err)
	}
	for _, e := range entries {
		if slices.ContainsFunc(m.sinks, func(f forwarder) bool { return f.Name() == e.Name() }) {
			continue
		}
		dir := filepath.Join(m.queues(), e.Name())
		if !m.endQueue(dir) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove the queue of a forwarder: %w", err)
		}
	}
	return nil
}

// endQueue records what waits in a queue as dead. false: that cannot be recorded
// now, so the queue stays until the next start.
func (m *machine) endQueue(dir string) bool {
	log := m.log.With("sink", filepath.Base(dir))
	service, events, err := forward.Abandon(context.Background(), forward.Options{
		Queue: dir, Outcomes: outcomes{m.state.journal}, Logger: log, Now: m.now,
	})
	switch {
	case errors.Is(err, consent.ErrUnavailable):
		log.Error("a forwarder is no longer configured, and what waits for it cannot be recorded; the next start tries again", "service", service, "err", err)
		return false
	case err != nil:
		log.Warn("a forwarder is no longer configured; its queue is removed, and what waited there has no outcome", "service", service, "err", err)
	default:
		log.Warn("a forwarder is no longer configured; what waited in its queue is dead", "service", service, "events", events)
	}
	return true
}

// isForwarder tells the cursors of forwarders, those of earlier versions too.
func isForwarder(name string) bool {
	return strings.HasPrefix(name, forward.NamePrefix) || strings.HasPrefix(name, "ga4-")
}

// forward is the consumer that brings a site's events to a recipient.
func (m *machine) forward(ctx context.Context, f forwarder) {
	m.ended(ctx, f.Name(), f.Run(ctx, m.state.journal.spool))
}

// recallForwards tells the forwarders what an earlier run has sent of a batch
// that it did not finish: the outcomes behind the earliest of their cursors.
func (m *machine) recallForwards() error {
	s := m.state.journal.spool
	from := uint64(math.MaxUint64)
	for _, c := range s.Stats().Consumers {
		if slices.ContainsFunc(m.sinks, func(f forwarder) bool { return f.Name() == c.Name }) {
			from = min(from, c.Next)
		}
	}
	if from == math.MaxUint64 {
		return nil // none has run before
	}
	return s.Replay(from, func(r spool.Record) error {
		for _, f := range m.sinks {
			if err := f.Replay(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// explainForwards tells what becomes of an event at each recipient of its site.
func (m *machine) explainForwards(ev *collector.Event) (out []any) {
	for _, s := range m.sinks {
		if s.site == ev.Site {
			out = append(out, s.Explain(ev))
		}
	}
	return out
}

// waiting is what waits for each recipient of a site.
func (m *machine) waiting(site string) dashboards.Waiting {
	behind := map[string]uint64{}
	for _, c := range m.state.journal.spool.Stats().Consumers {
		behind[c.Name] = c.Behind
	}
	out := dashboards.Waiting{}
	for _, s := range m.sinks {
		if s.site != site {
			continue
		}
		events, oldest := s.Waiting()
		out[s.service] = dashboards.Queue{Events: uint64(events), Oldest: oldest, Unread: behind[s.Name()]}
	}
	return out
}
