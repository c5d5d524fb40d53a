package server

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/collector/ga4/standin"
	"sluice/server/config"
	"sluice/server/demo"
)

// The demo's history: a year, seen from the moment of the first start.
const (
	demoEvents = 40_000
	demoDays   = 365
	demoSeed   = 2025
	demoLogin  = "demo@example.com"
)

// runDemo is `sluice demo`: the server itself, configured from a file as any
// other, with a shop and a stand-in for Google Analytics beside it.
func runDemo(ctx context.Context, t terminal, args []string) error {
	var listen, dir *string
	var events *int
	_, err := flags(t, "demo", args, 0, func(fs *flag.FlagSet) {
		listen = fs.String("listen", "127.0.0.1:8080", "`address` of Sluice; the shop, the stand-in and a third party take the three ports behind it")
		dir = fs.String("data-dir", "data/demo", "`folder` of the demo's data; remove it to start over")
		events = fs.Int("events", demoEvents, "how many `events` of history to make at the first start")
	})
	if err != nil {
		return err
	}
	if *events < 0 || *events > 20_000_000 {
		return &usageError{fmt.Sprintf("demo: --events %d is not between 0 and 20 million", *events)}
	}
	d, err := newDemo(*listen, *dir, t.out)
	if err != nil {
		return err
	}
	return d.run(ctx, *events, slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
}

// demoServers are the programs of the demo and where they listen.
type demoServers struct {
	out           io.Writer
	dir, password string
	sluice        string // host:port
	shop, google  net.Listener
	mill          net.Listener // the third party of the pages for developers
	shopURL       string
	configuration string
	outMu         sync.Mutex
}

// newDemo takes the addresses and writes the configuration.
func newDemo(listen, dir string, out io.Writer) (*demoServers, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find --data-dir: %w", err)
	}
	if err := checkAddress(listen); err != nil {
		return nil, err
	}
	if err := claimDemoFolder(dir); err != nil {
		return nil, err
	}
	d := &demoServers{out: out, dir: dir, password: strings.ToLower(rand.Text()[:12]), configuration: filepath.Join(dir, demoFile)}
	first, err := listenNear(listen)
	if err != nil {
		return nil, err
	}
	d.sluice = first.Addr().String()
	d.shop, err = listenNear(nextPort(d.sluice, 1))
	if err == nil {
		d.google, err = listenNear(nextPort(d.sluice, 2))
	}
	if err == nil {
		d.mill, err = listenNear(nextPort(d.sluice, 3))
	}
	// Sluice itself binds its address again from the file.
	if err = errors.Join(err, first.Close()); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(d.shop.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("read the shop's address: %w", err)
	}
	d.shopURL = "http://localhost:" + port
	hash, err := HashPassword(d.password)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(demoConfig, d.sluice, d.sluice, dir, d.shopURL, d.google.Addr(), demoLogin, hash)
	if err := os.WriteFile(d.configuration, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the demo's configuration: %w", err)
	}
	return d, nil
}

// demoConfig is the configuration as a site's owner would write it.
const demoConfig = demoHeading + `
server:
  listen: %q
  public_url: "http://%s"
  metrics_listen: ""
data_dir: %q
limits: {per_prefix: 0, burst: 0}
sites:
  - domain: localhost
    public_url: %s/_s
    timezone: Europe/Berlin
    controller: {name: "Kiln & Cove", address: "1 Quay Street, Harbourtown", contact: privacy@kiln.example, dpo: dpo@kiln.example}
    notice: {version: "2025-07", updated: 2025-07-01, policy_url: https://kiln.example/privacy}
    services:
      - {preset: google-analytics, measurement_id: G-DEMO000001, api_secret: only-the-stand-in-knows, endpoint: "http://%s/mp/collect"}
      - {name: mill-counter, title: Mill counter, purpose: marketing, provider: Mill Ltd, country: NL, hosts: [127.0.0.1], cookies: [{name: mill_id, lasts: session, purpose: visitor}]}
      - {name: mill-films, title: Mill films, purpose: media, kind: video, provider: Mill Ltd, country: NL, hosts: [127.0.0.1]}
    goals: [{name: Added to the cart, event: Add to cart}, {name: Bought, event: Purchase}]
    funnels: [{name: Checkout, steps: ["/product/*", Added to the cart, /checkout, Bought]}]
users:
  - {email: %s, password_hash: %q, role: admin}
`

// run serves until ctx is done; everything it started has ended then.
func (d *demoServers) run(ctx context.Context, events int, log *slog.Logger) error {
	m, err := d.open(log)
	if err != nil {
		return err
	}
	if !m.state.proven() && events > 0 {
		if err := d.history(ctx, m, events); err != nil {
			return errors.Join(err, m.abandon())
		}
	}
	shop, err := demo.Shop(&url.URL{Scheme: "http", Host: d.sluice}, "http://"+d.mill.Addr().String())
	if err != nil {
		return errors.Join(err, m.abandon())
	}
	google := standin.New(standin.Options{OwnHosts: []string{"localhost"}, OnHit: d.report})
	servers := []*http.Server{listenerLimits(&http.Server{Handler: shop}), listenerLimits(&http.Server{Handler: google}), listenerLimits(&http.Server{Handler: demo.Mill()})}
	var group sync.WaitGroup
	for i, l := range []net.Listener{d.shop, d.google, d.mill} {
		group.Go(func() {
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				log.Error("a part of the demo stopped", "address", l.Addr().String(), "err", err)
			}
		})
	}
	group.Go(func() { d.announce(ctx, m) })
	err = m.run(ctx)
	for _, s := range servers {
		err = errors.Join(err, shutdown(s, time.Second))
	}
	group.Wait()
	return err
}

// open assembles the server. What an interrupted history has left goes before.
func (d *demoServers) open(log *slog.Logger) (*machine, error) {
	c, err := config.Load(d.configuration)
	if err != nil {
		return nil, err
	}
	torn, err := clearTornDemo(d.dir)
	if err != nil {
		return nil, err
	}
	if torn {
		d.say("The start before this one ended while it made its history: starting over.")
	}
	return assemble(c, log, time.Now)
}

// history makes a year of visits at the first start.
func (d *demoServers) history(ctx context.Context, m *machine, events int) error {
	policy, err := m.ledger.Sites.Lookup("localhost")
	if err != nil {
		return fmt.Errorf("write the demo's history: %w", err)
	}
	unmark, err := markTornDemo(d.dir)
	if err != nil {
		return err
	}
	d.say("Making a year of visits: about %d events …", events)
	start := m.now()
	h := demo.History{
		Policy: policy, Ledger: m.ledger, Append: m.state.journal, Count: m.state.journal.Count,
		Until: start.In(policy.Site.TimeZone), Days: demoDays, Events: events, Seed: demoSeed,
	}
	kept, err := h.Write(ctx)
	if err != nil {
		return fmt.Errorf("write the demo's history (the next start begins it anew): %w", err)
	}
	if err := unmark(); err != nil {
		return err
	}
	d.say("%d events of visitors who agreed, in %.1f s.", kept, m.now().Sub(start).Seconds())
	return nil
}

// announce prints the addresses once the doors are open and ClickHouse answers.
func (d *demoServers) announce(ctx context.Context, m *machine) {
	for !m.health.doors.Load() || !m.health.reached.Load() {
		if !pause(ctx, 20*time.Millisecond) {
			return
		}
	}
	d.say(`
  The shop            %s
                      choose in the banner and look around;
                      for developers: %s/developers
  The dashboards      http://%s/dashboards
                      log in as %s with the password %s
  Google Analytics    http://%s, a stand-in: what it hears is printed below

  Ctrl-C ends everything. The data is in %s.
`, d.shopURL, d.shopURL, d.sluice, demoLogin, d.password, d.google.Addr(), d.dir)
}

// report prints what the stand-in heard, and what Google would say of it.
func (d *demoServers) report(h standin.Hit) {
	var names []string
	for _, e := range h.Verdict.Accepted {
		names = append(names, e.Name)
	}
	verdict := "nothing to complain about"
	if n := len(h.Verdict.Messages); n > 0 {
		all := make([]string, n)
		for i, m := range h.Verdict.Messages {
			all[i] = m.Description
		}
		verdict = strings.Join(all, "; ")
	}
	d.say("  Google Analytics heard: %s (%s)", tally(names), verdict)
}

// tally lists each name once, in the order of their first appearance, with how
// often it comes.
func tally(names []string) string {
	var order []string
	times := map[string]int{}
	for _, name := range names {
		if times[name]++; times[name] == 1 {
			order = append(order, name)
		}
	}
	for i, name := range order {
		if n := times[name]; n > 1 {
			order[i] = fmt.Sprintf("%s ×%d", name, n)
		}
	}
	return strings.Join(order, ", ")
}

func (d *demoServers) say(format string, args ...any) {
	d.outMu.Lock()
	defer d.outMu.Unlock()
	fmt.Fprintf(d.out, format+"\n", args...)
}

// checkAddress refuses what nobody can listen on, before anything is begun.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return &usageError{fmt.Sprintf("demo: --listen %q is not host:port", address)}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return &usageError{fmt.Sprintf("demo: --listen %q: %q is not a port; there are 0 to 65535, and 0 takes any", address, port)}
	}
	return nil
}

// listenNear listens on the address, or on a free port of the same host where
// it is taken.
func listenNear(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, unix.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// nextPort is the address n ports further on; port 0, which is any, where
// there is none.
func nextPort(address string, n int) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil || number+n > 65535 {
		return net.JoinHostPort(host, "0")
	}
	return net.JoinHostPort(host, fmt.Sprint(number+n))
}
