package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"sluice/collector/store/engine"
	"sluice/collector/store/storetest"
)

// clickhouse stands for a ClickHouse server elsewhere: the engine, which
// outlives the Sluice that writes to it, at the end of a line that can fail.
//
//	sluice ── line (toxiproxy) ── front (requests can be held) ── engine
type clickhouse struct {
	t      *testing.T
	line   *toxiproxy.Proxy
	front  *httptest.Server
	engine *engine.Supervisor

	inserted atomic.Int64 // INSERTs that the engine has carried out

	// around is called for each request instead of the engine: it has to call
	// pass, and may do something before it, after it, or in its place. nil:
	// nothing.
	around atomic.Pointer[func(r *http.Request, pass func())]
}

func newClickHouse(t *testing.T) *clickhouse {
	t.Helper()
	child, err := engine.Start(engine.Config{Options: engine.Options{
		Library: storetest.Library(t), Dir: filepath.Join(t.TempDir(), "engine"), MaxMemory: 1 << 30,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := child.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := child.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &clickhouse{t: t, engine: child}
	c.front = httptest.NewServer(c.handler())
	t.Cleanup(c.front.Close)
	toxics := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	c.line = toxiproxy.NewProxy(toxics, "clickhouse", freeAddress(t), hostPort(c.front.URL))
	c.mend()
	t.Cleanup(c.line.Stop)
	return c
}

// handler passes requests on to the engine's socket.
func (c *clickhouse) handler() http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return c.engine.Dial(ctx, addr)
	}}
	proxy.ModifyResponse = func(answer *http.Response) error {
		if answer.StatusCode == http.StatusOK && answer.Request.URL.Query().Has("query") {
			c.inserted.Add(1)
		}
		return nil
	}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pass := func() { proxy.ServeHTTP(w, r) }
		if around := c.around.Load(); around != nil {
			(*around)(r, pass)
			return
		}
		pass()
	})
}

// settings are what a configuration says to use this ClickHouse.
func (c *clickhouse) settings() string {
	return fmt.Sprintf("clickhouse: {url: \"http://%s/sluice\"}\n", c.line.Listen)
}

// cut refuses every connection from now on, and ends those that are open.
func (c *clickhouse) cut() { c.line.Stop() }

// mend ends every fault.
func (c *clickhouse) mend() {
	c.t.Helper()
	c.line.Toxics.ResetToxics(c.t.Context())
	if err := c.line.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		c.t.Fatal(err)
	}
}

// poison adds a toxic to the line: toxiproxy's own JSON.
func (c *clickhouse) poison(toxic string) {
	c.t.Helper()
	if _, err := c.line.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		c.t.Fatal(err)
	}
}

// inserts reports whether a request inserts rows into a table.
func inserts(r *http.Request, table string) bool {
	return strings.HasPrefix(r.URL.Query().Get("query"), "INSERT INTO "+table+" ")
}
