package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"sluice/collector"
	"sluice/collector/enrich"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/consent"
	"sluice/consent/inbound"
	"sluice/server/config"
	"sluice/static"
)

// runServe is `sluice serve`.
func runServe(ctx context.Context, t terminal, args []string) error {
	var path *string
	var verbose *bool
	_, err := flags(t, "serve", args, 0, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		verbose = fs.Bool("verbose", false, "log every request: door, status and time, nothing about the visitor")
	})
	if err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	log := newLog(t.err, *verbose)
	for _, n := range c.Notices() {
		log.Warn("configuration needs a look", "key", n.Path, "notice", n.Text)
	}
	m, err := assemble(c, log, time.Now)
	if err != nil {
		return err
	}
	return m.run(ctx)
}

func newLog(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// machine is one Sluice, every room wired to the next. assemble builds it,
// run runs it.
type machine struct {
	config  *config.Config
	log     *slog.Logger
	now     func() time.Time
	release func() error // of data_dir's lock

	state     *state // spool, journal, consent index
	ledger    *consent.Ledger
	geo       *enrich.Geo
	store     *store.Store
	sinks     []forwarder
	balance   *collector.Balance
	collector *collector.Handler
	extras    map[string]static.Asset // by site
	noting    noting
	consents  *consent.Handler
	channels  *consent.ChannelHandler
	inbound   *inbound.Handler
	auth      *auth
	limits    *limits
	metrics   *metrics
	health    *health
	handler   http.Handler // the public listener's

	ports ports // of browsers, where server.tls names domains

	// onOpen is called once the doors are open, with their addresses; private
	// is nil where metrics_listen is off. nil: nobody wants to know.
	onOpen func(public, private net.Addr)

	opened []func() error // what a failed assembly has to close, in order
}

// assemble builds the machine from the innermost part outwards. None of it
// waits for ClickHouse or the network.
func assemble(c *config.Config, log *slog.Logger, now func() time.Time) (m *machine, err error) {
	m = &machine{config: c, log: log, now: now, metrics: newMetrics(), limits: newLimits(c, log, now), ports: standardPorts}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.abandon())
		}
	}()
	if m.release, err = lockDataDir(c.DataDir); err != nil {
		return m, err
	}
	m.opened = append(m.opened, m.release)

	m.state, err = openState(c.DataDir, int64(c.Spool.Max), now, log, func(spool.Record) error { return nil })
	if err != nil {
		return m, err
	}
	m.opened = append(m.opened, m.state.close)

	if err = m.openLedger(); err != nil {
		return m, err
	}
	m.balance = collector.NewBalance(now())
	options := storeOptions(c, log)
	options.Delivered = m.balance.Settled
	if m.store, err = store.Open(options); err != nil {
		return m, err
	}
	m.opened = append(m.opened, m.store.Close)

	if m.geo, err = openGeo(c.Geo.Database, log); err != nil {
		return m, err
	}
	m.opened = append(m.opened, m.geo.Close)

	if err = m.openSinks(); err != nil {
		return m, err
	}
	if err = m.registerConsumers(); err != nil {
		return m, err
	}
	deviceKey, err := drawnKey(c.DataDir, deviceKeyFile)
	if err != nil {
		return m, err
	}
	if m.auth, err = newAuth(c, deviceKey, now, log.With("room", "auth")); err != nil {
		return m, err
	}
	m.health = &health{dataDir: c.DataDir, accepts: m.accepts, damage: m.damage}
	m.publish()
	if err = m.openDoors(); err != nil {
		return m, err
	}
	if err = m.recallEvents(); err != nil {
		return m, err
	}
	m.handler, err = m.routes()
	return m, err
}

// abandon closes what a failed assembly has opened, last first.
func (m *machine) abandon() error {
	var errs []error
	for i := len(m.opened) - 1; i >= 0; i-- {
		errs = append(errs, m.opened[i]())
	}
	return errors.Join(errs...)
}

// openLedger brings keys, notices and index together: from here on the server
// knows what every visitor has agreed to.
func (m *machine) openLedger() error {
	keys, err := tokenKeys(m.config.Keys.Token, m.config.DataDir, m.state.proven())
	if err != nil {
		return err
	}
	sites, err := m.config.ConsentSites()
	if err != nil {
		return err
	}
	var lifetime time.Duration
	for _, s := range sites {
		lifetime = max(lifetime, s.Lifetime())
	}
	if err := m.state.signedBy(keys, lifetime); err != nil {
		return err
	}
	policies, err := loadPolicies(sites, filepath.Join(m.config.DataDir, "notices.json"), m.now())
	if err != nil {
		return err
	}
	m.ledger = &consent.Ledger{
		Sites: consent.NewSites(policies...), Keys: keys, Index: m.state.journal.index,
		Recorder: m.state.journal, Now: m.now,
	}
	return nil
}

// accepts reports why the spool refuses records now; nil: it does not.
func (m *machine) accepts() error {
	if m.state.journal.spool.Stats().Full {
		return spool.ErrFull
	}
	return nil
}

// damage says which records of the spool cannot be read any more; "" for none.
func (m *machine) damage() string {
	s := m.state.journal.spool.Stats()
	if len(s.Lost) == 0 && len(s.Damage) == 0 {
		return ""
	}
	return fmt.Sprintf("%d places are damaged, %d ranges of records are lost; the log names them", len(s.Damage), len(s.Lost))
}

// How long the parts of a shutdown may take; together less than the 20 s after
// which supervisors lose patience.
const (
	drainDoors     = 5 * time.Second
	drainConsumers = 4 * time.Second
)

// sessionsWait is how long the doors wait for ClickHouse at start, to learn
// which visits are still going on. Without an answer they begin anew.
const sessionsWait = 3 * time.Second

// run opens the doors and works until ctx is done, then leaves in the order in
// which data flows: no more requests, what was accepted is on disk, consumers
// stop where they are, the spool closes, the engine leaves.
func (m *machine) run(ctx context.Context) (err error) {
	public, err := listen(m.config.Server.Listen, m.config.Server.ListenMode)
	if err != nil {
		return errors.Join(err, m.abandon())
	}
	var private net.Listener
	if m.config.Server.MetricsListen != "" {
		if private, err = listen(m.config.Server.MetricsListen, m.config.Server.ListenMode); err != nil {
			return errors.Join(err, public.Close(), m.abandon())
		}
	}
	if err := m.openBalance(); err != nil {
		return errors.Join(err, public.Close(), m.abandon())
	}
	doors := []listening{{m.httpServer(m.handler), netutil.LimitListener(public, maxConnections)}}
	if len(m.config.Server.TLS.Domains) > 0 {
		browsers, err := m.openTLS(ctx)
		if err != nil {
			return errors.Join(err, public.Close(), m.abandon())
		}
		doors = append(doors, browsers...)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var consumers, keepers sync.WaitGroup
	tried, prepared := make(chan struct{}), make(chan struct{})
	consumers.Go(func() { m.prepare(work, tried, prepared) })
	consumers.Go(func() { m.write(work, prepared) })
	consumers.Go(func() { m.note(work) })
	consumers.Go(func() { m.takeBack(work, prepared) })
	for _, sink := range m.sinks {
		consumers.Go(func() { m.forward(work, sink) })
	}
	// Keepers outlive the consumers: they carry what those leave behind.
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	keepers.Go(func() { tuneHeap(keep) })
	keepers.Go(func() { m.state.journal.flush(keep) })
	keepers.Go(func() { m.state.keep(keep) })
	keepers.Go(func() { tidyBackups(keep, m.config.DataDir, m.now, m.log.With("room", "backup")) })
	keepers.Go(func() {
		if err := m.collector.Run(keep); err != nil {
			m.log.Error("collector's clock stopped", "err", err)
		}
	})

	m.restoreSessions(ctx, tried)
	watch := m.httpServer(m.health.handler(m.metrics))
	failed := make(chan error, len(doors)+1)
	serve := func(l listening) {
		if err := l.server.Serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve %s: %w", l.listener.Addr(), err)
		}
	}
	for _, d := range doors {
		go serve(d)
	}
	if private != nil {
		go serve(listening{watch, private})
	}
	m.countKeyDraw()
	m.health.doors.Store(true)
	m.log.InfoContext(ctx, "doors open", "listen", public.Addr().String(), "sites", len(m.config.Sites), "version", readBuild().version)
	m.tellOpen(public, private)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}

	m.log.Info("leaving")
	m.health.doors.Store(false)
	err = errors.Join(err, shutdownAll(doors, drainDoors))
	stop()
	if !waitFor(&consumers, drainConsumers) {
		m.log.Warn("a consumer is still busy; its batch is delivered again at the next start")
	}
	stopKeeping()
	keepers.Wait()
	return errors.Join(err, shutdown(watch, time.Second), m.abandon())
}

func (m *machine) tellOpen(public, private net.Listener) {
	if m.onOpen == nil {
		return
	}
	var watch net.Addr
	if private != nil {
		watch = private.Addr()
	}
	m.onOpen(public.Addr(), watch)
}

// maxConnections bounds open connections, so that file descriptors remain for
// the spool.
const maxConnections = 10_000

// listen opens host:port or unix:/path, which gets the mode. A socket that an
// earlier run left is replaced; one that answers is another server's.
func listen(address string, mode config.Mode) (net.Listener, error) {
	path, isSocket := strings.CutPrefix(address, "unix:")
	if !isSocket {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		return l, nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := removeStale(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, os.FileMode(mode)); err != nil {
		return nil, fmt.Errorf("set the mode of the socket: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// removeStale takes away a socket behind which nobody listens any more.
func removeStale(path string) error {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("listen: a server answers at %s; stop it, or name another socket under server.listen", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("see whether a server answers at the socket: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("replace socket: %w", err)
	}
	return nil
}

// httpServer is a server within the limits of every listener.
func (m *machine) httpServer(h http.Handler) *http.Server {
	return listenerLimits(&http.Server{Handler: h, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug)})
}

// shutdownAll shuts down side by side.
func shutdownAll(all []listening, deadline time.Duration) error {
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, l := range all {
		group.Go(func() { errs[i] = shutdown(l.server, deadline) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// shutdown lets running requests end within the deadline and cuts the rest.
func shutdown(s *http.Server, deadline time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return s.Close()
	}
	return nil
}

// waitFor waits for the group and reports whether it ended in time.
func waitFor(g *sync.WaitGroup, deadline time.Duration) bool {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(deadline):
		return false
	}
}
