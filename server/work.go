package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sluice/collector"
	"sluice/collector/enrich"
	"sluice/collector/spool"
	"sluice/collector/store"
)

// How often ClickHouse is asked whether it is there: again after prepareEvery
// until the tables stand, then every pingEvery.
const (
	prepareEvery = 2 * time.Second
	pingEvery    = 5 * time.Second
)

// prepare brings the tables up to date, however long ClickHouse stays away,
// and from then on watches whether it answers. It closes tried after the first
// attempt, prepared after the one that succeeds.
func (m *machine) prepare(ctx context.Context, tried, prepared chan<- struct{}) {
	log := m.log.With("room", "store")
	for attempt := 1; ; attempt++ {
		err := m.store.Prepare(ctx)
		m.health.reached.Store(err == nil)
		if attempt == 1 {
			close(tried)
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		log.WarnContext(ctx, "clickhouse not ready; events wait in the spool", "attempt", attempt, "err", err)
		if !pause(ctx, prepareEvery) {
			return
		}
	}
	close(prepared)
	log.InfoContext(ctx, "clickhouse ready")
	for pause(ctx, pingEvery) {
		away := !m.answers(ctx)
		if away != m.health.away.Swap(away) && ctx.Err() == nil {
			log.WarnContext(ctx, "clickhouse", "away", away)
		}
	}
}

// answers reports whether ClickHouse answers in time: one that hangs is away.
func (m *machine) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pingEvery)
	defer cancel()
	return m.store.Ready(ctx) == nil
}

// registerConsumers gives every consumer its cursor before the first record is
// accepted: from then on the spool keeps what each of them has not taken, also
// while ClickHouse has never been up. Forwarders whose site or service is no
// longer configured are forgotten, or their cursors would keep segments for
// ever.
func (m *machine) registerConsumers() error {
	sp := m.state.journal.spool
	names := []string{store.WriterName, store.TakeBackName, seenName}
	for _, s := range m.sinks {
		names = append(names, s.Name())
	}
	for _, name := range names {
		if err := sp.Register(name); err != nil {
			return fmt.Errorf("register consumer %s: %w", name, err)
		}
	}
	for _, c := range sp.Stats().Consumers {
		if isForwarder(c.Name) && !slices.Contains(names, c.Name) {
			m.log.Warn("a forwarder is no longer configured; what waited for it is dropped", "sink", c.Name, "records", c.Behind)
			if err := sp.Forget(c.Name); err != nil {
				return fmt.Errorf("forget forwarder: %w", err)
			}
		}
	}
	return nil
}

// write is the consumer that brings records to ClickHouse.
func (m *machine) write(ctx context.Context, prepared <-chan struct{}) {
	select {
	case <-prepared:
	case <-ctx.Done():
		return
	}
	err := m.state.journal.spool.Consume(ctx, store.WriterName, m.store, spool.ConsumerOptions{MaxBackoff: 10 * time.Second})
	m.ended(ctx, store.WriterName, err)
}

// takeBack is the consumer that takes rows back behind the writer.
func (m *machine) takeBack(ctx context.Context, prepared <-chan struct{}) {
	select {
	case <-prepared:
	case <-ctx.Done():
		return
	}
	m.ended(ctx, store.TakeBackName, m.store.RunTakeBack(ctx, m.state.journal.spool, store.WriterName))
}

// ended reports a consumer that could not run: its records stay in the spool,
// which fills up, so somebody has to look.
func (m *machine) ended(ctx context.Context, name string, err error) {
	if err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "consumer stopped; restart once the cause is gone", "sink", name, "err", err)
	}
}

// restoreSessions tells the collector which visits are still going on, where
// ClickHouse says so at its first attempt and in time.
func (m *machine) restoreSessions(ctx context.Context, tried <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, sessionsWait)
	defer cancel()
	select {
	case <-tried:
	case <-ctx.Done():
	}
	if !m.health.reached.Load() {
		m.log.WarnContext(ctx, "clickhouse is not up yet; visits that were going on count anew")
		return
	}
	open, err := m.store.Sessions(ctx, m.now().Add(-collector.IdleTimeout))
	if err != nil {
		m.log.WarnContext(ctx, "visits that were going on count anew", "err", err)
		return
	}
	states := make([]collector.SessionState, len(open))
	for i, s := range open {
		states[i] = collector.SessionState{
			Site: s.Site, Visitor: s.Visitor, Session: s.ID, Start: s.Start, Last: s.Last,
			Acquisition: collector.Acquisition{Source: s.Source, Channel: s.Channel, UTM: enrich.UTM{
				Source: s.UTMSource, Medium: s.UTMMedium, Campaign: s.UTMCampaign, Term: s.UTMTerm, Content: s.UTMContent,
			}},
		}
	}
	m.collector.Restore(states)
}

// publish offers figures to Prometheus.
func (m *machine) publish() {
	m.metrics.registry.MustRegister(balances{m.balance, m.ledger.Sites}, deliveries{m})
	stats := m.state.journal.spool.Stats
	m.metrics.gauge("sluice_spool_bytes", "Bytes of the spool on disk.", func() float64 { return float64(stats().Bytes) })
	m.metrics.gauge("sluice_spool_waiting_records", "Records that a consumer has not accepted yet.", func() float64 {
		s := stats()
		return float64(s.Next - s.Oldest)
	})
	m.metrics.gauge("sluice_spool_sync_seconds", "Mean time of the last fsyncs.", func() float64 { return stats().Sync.Mean.Seconds() })
	m.metrics.gauge("sluice_spool_failures_total", "Writes and fsyncs that failed.", func() float64 { return float64(stats().Failures) })
	m.metrics.gauge("sluice_dead_letters", "Records that ClickHouse refuses; NaN where they cannot be read.", func() float64 {
		letters, err := store.DeadLetters(m.config.DataDir)
		if err != nil {
			return math.NaN()
		}
		return float64(len(letters))
	})
	m.metrics.gauge("sluice_clickhouse_up", "Whether ClickHouse answered the last time.", func() float64 {
		if m.health.reached.Load() && !m.health.away.Load() {
			return 1
		}
		return 0
	})
	m.metrics.gauge("sluice_engine_starts_total", "Starts of the embedded engine.", func() float64 {
		_, starts := m.store.Engine()
		return float64(starts)
	})
}

// pause waits for d; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// geoName is the default country database, as `make build` installs it.
const geoName = "GeoLite2-Country.mmdb"

// openGeo opens the configured country database, else the installed one. With
// neither every country is unknown.
func openGeo(path string, log *slog.Logger) (*enrich.Geo, error) {
	if path == "" {
		path = installedGeo()
	}
	if path == "" {
		log.Warn("no country database: countries stay unknown; run make build, or set geo.database")
		return nil, nil
	}
	return enrich.OpenGeo(path)
}

// installedGeo looks where libchdb is looked for: beside the executable, in
// its lib and in ../node_modules; then where distributions put such files.
func installedGeo() string {
	var folders []string
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			beside := filepath.Dir(self)
			folders = append(folders, beside, filepath.Join(beside, "lib"), filepath.Join(beside, "..", "node_modules", ".sluice"))
		}
	}
	folders = append(folders, "/usr/share/GeoIP", "/var/lib/GeoIP")
	for _, folder := range folders {
		path := filepath.Join(folder, geoName)
		if _, err := os.Stat(path); err == nil {
			return path
		} else if !errors.Is(err, os.ErrNotExist) {
			continue // not ours to read
		}
	}
	return ""
}
