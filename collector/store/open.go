package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/semaphore"

	"sluice/collector/store/engine"
)

// Embedded is the URL of the engine that Sluice brings along.
const Embedded = "embedded"

// Database is where the tables are, unless the URL names another one.
const Database = "sluice"

// Options say which ClickHouse holds the data, and for how long.
type Options struct {
	// URL is Embedded ("" means the same), clickhouse://user:pass@host:9000/sluice?secure=true
	// or http(s)://…; several hosts are separated by commas.
	URL string
	// Cluster makes tables Replicated, with Distributed ones on top; "" for a
	// single server. It is no option of the embedded engine.
	Cluster string
	// DataDir holds the embedded engine and the rows that no table took.
	DataDir string
	// MaxMemory limits the embedded engine, in bytes; 0 means
	// engine.DefaultMaxMemory.
	MaxMemory int64
	// Library is the path of libchdb; "" looks for it beside this executable.
	Library string
	// Retention says how long a site's rows are kept; nil means
	// DefaultRetention for every site. It has to be safe for concurrent use.
	Retention func(site string) Retention
	// BeforeMigration is called before the first migration (0005_name.sql) that
	// changes a database with earlier ones, for whoever wants a backup. An error
	// keeps the tables as they are, and Prepare returns it. May be nil.
	BeforeMigration func(ctx context.Context, s *Store, migration string) error
	// Delivered is told of each batch that Deliver has taken, how many events of
	// a site are stored and how many lie among the dead letters. May be nil.
	Delivered func(site string, stored, dead int)
	Logger    *slog.Logger // nil discards
}

// Store is the database: the writer of everything the spool holds, and the
// connection that reports are read through. It is safe for concurrent use.
type Store struct {
	o        Options
	log      *slog.Logger
	conn     driver.Conn
	database string
	child    *engine.Supervisor // nil unless embedded
	prepared atomic.Bool
	dead     *deadLetters
	halve    int                 // rows of a batch, from which on they go in as two halves
	subjects *semaphore.Weighted // who is written to now, see WriteSubject
}

// Open checks the options, starts the embedded engine where it is wanted, and
// returns without waiting for it. Nothing can be stored before [Store.Prepare]
// has succeeded once. The caller closes the store.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{o: o, log: o.Logger, dead: deadLettersOf(o.DataDir, o.Logger), halve: manyRows, subjects: semaphore.NewWeighted(maxSubjects)}
	opt, err := driverOptions(o.URL)
	if err != nil {
		return nil, err
	}
	s.database = opt.Auth.Database
	if o.URL == Embedded {
		s.child, err = startEngine(o)
		if err != nil {
			return nil, err
		}
		opt.DialContext = s.child.Dial
	}
	s.conn, err = clickhouse.Open(opt)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open clickhouse: %w", err), s.Close())
	}
	return s, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.URL == "" {
		o.URL = Embedded
	}
	if o.URL == Embedded && o.Cluster != "" {
		return o, errors.New("clickhouse.cluster is set, but the embedded engine is no cluster: set clickhouse.url to a server")
	}
	if o.Cluster != "" && !clusterName(o.Cluster) {
		return o, fmt.Errorf("clickhouse.cluster %q: a cluster's name has letters, digits, and _ - . alone", o.Cluster)
	}
	if o.DataDir == "" {
		return o, errors.New("the store needs a data directory")
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return o, fmt.Errorf("resolve the data directory: %w", err)
	}
	o.DataDir = dir
	if o.Retention == nil {
		o.Retention = func(string) Retention { return DefaultRetention }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// engineDir is where the embedded engine of a data directory lives.
func engineDir(dataDir string) string { return filepath.Join(dataDir, "engine") }

func startEngine(o Options) (*engine.Supervisor, error) {
	library := o.Library
	if library == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this executable, to look for libchdb beside it: %w", err)
		}
		if library, err = engine.Find(self); err != nil {
			return nil, err
		}
	}
	return engine.Start(engine.Config{
		Options: engine.Options{Library: library, Dir: engineDir(o.DataDir), MaxMemory: o.MaxMemory},
		Logger:  o.Logger.With("part", "engine"),
	})
}

// driverOptions turns a URL into options of the driver. Those of the embedded
// engine lack DialContext.
func driverOptions(url string) (*clickhouse.Options, error) {
	opt := &clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{"localhost:1"}, // a name for the socket
		Auth: clickhouse.Auth{Database: Database},
		// The socket is behind no proxy, whatever the environment says.
		TransportFunc: func(t *http.Transport) (http.RoundTripper, error) {
			t.Proxy = nil
			return t, nil
		},
		MaxOpenConns: 12, MaxIdleConns: 12,
	}
	if url == Embedded {
		return opt, nil
	}
	scheme, _, _ := strings.Cut(url, "://")
	switch scheme {
	case "clickhouse", "http", "https":
	default:
		return nil, fmt.Errorf("clickhouse.url: %q is not embedded, clickhouse://…, http://… or https://…", scheme)
	}
	parsed, err := clickhouse.ParseDSN(url)
	if err != nil {
		return nil, fmt.Errorf("clickhouse.url: %w", err)
	}
	if parsed.Auth.Database == "" {
		parsed.Auth.Database = Database
	}
	parsed.MaxOpenConns, parsed.MaxIdleConns = max(parsed.MaxOpenConns, opt.MaxOpenConns), max(parsed.MaxIdleConns, opt.MaxIdleConns)
	return parsed, nil
}

// Prepare waits for ClickHouse, creates the database where it is missing and
// brings the tables up to date. It may be called again after an error, and
// does nothing once it has succeeded.
func (s *Store) Prepare(ctx context.Context) error {
	if s.prepared.Load() {
		return nil
	}
	if s.child != nil {
		if err := s.child.Ready(ctx); err != nil {
			return err
		}
	}
	if err := s.createDatabase(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	s.prepared.Store(true)
	return nil
}

// createDatabase uses a connection of its own: the store's names a database
// that may not exist yet.
func (s *Store) createDatabase(ctx context.Context) (err error) {
	opt, err := driverOptions(s.o.URL)
	if err != nil {
		return err
	}
	opt.Auth.Database = ""
	if s.child != nil {
		opt.DialContext = s.child.Dial
	}
	conn, err := clickhouse.Open(opt)
	if err != nil {
		return fmt.Errorf("open clickhouse: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteName(s.database)+onCluster(s.o.Cluster)); err != nil {
		return fmt.Errorf("create database %s: %w", s.database, err)
	}
	return nil
}

// Ready reports whether Prepare has succeeded and ClickHouse answers now.
func (s *Store) Ready(ctx context.Context) error {
	if !s.prepared.Load() {
		return ErrNotPrepared
	}
	if err := s.conn.Ping(ctx); err != nil {
		return fmt.Errorf("ping clickhouse: %w", err)
	}
	return nil
}

// ErrNotPrepared means that ClickHouse has not been reached in this run.
var ErrNotPrepared = errors.New("clickhouse has not been reached yet")

// Conn is the connection for reports; its default database is the store's.
func (s *Store) Conn() driver.Conn { return s.conn }

// Close closes the connection and waits until the embedded engine has left.
func (s *Store) Close() error {
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	if s.child != nil {
		err = errors.Join(err, s.child.Close())
	}
	return err
}

// Engine returns the process id of the embedded engine, 0 where none runs, and
// how often it was started.
func (s *Store) Engine() (pid, starts int) {
	if s.child == nil {
		return 0, 0
	}
	return s.child.Process()
}
