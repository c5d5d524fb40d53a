package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
)

// maxBody bounds what is read of any answer: more than a page or the script
// needs.
const maxBody = 2 << 20

// userAgent names the doctor; the doors of events never hear of it.
const userAgent = "Sluice-Doctor"

// client asks, and remembers from which address it did.
type client struct {
	http      *http.Client
	transport *http.Transport
	mu        sync.Mutex
	own       netip.Addr // of the last connection
}

// answer is what came back, read to its end or to maxBody.
type answer struct {
	*http.Response
	body []byte
}

func newClient() *client {
	c := &client{}
	c.transport = &http.Transport{
		DialContext: c.dial, DisableCompression: true,
		TLSHandshakeTimeout: politeness, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
	}
	c.http = &http.Client{
		Transport: c.transport, Timeout: politeness,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// dial connects to this machine for names below localhost, as browsers do (RFC
// 6761, 6.3). There it comes from a second loopback address where there is
// one: the proxy's own and the visitor's are told apart by that alone.
func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	if host == "127.0.0.1" {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		conn, err = d.DialContext(ctx, network, net.JoinHostPort(host, port))
	}
	if conn == nil {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, net.JoinHostPort(host, port))
	}
	if err != nil {
		return nil, err
	}
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		c.mu.Lock()
		c.own = a.AddrPort().Addr().Unmap().WithZone("")
		c.mu.Unlock()
	}
	return conn, nil
}

// address is where the doctor itself comes from, as this machine sees it.
func (c *client) address() netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own
}

// ask sends one request and follows no redirect. header: names and values.
func (c *client) ask(ctx context.Context, method string, u *url.URL, body string, header ...string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("User-Agent", userAgent)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return &answer{resp, content}, errors.Join(err, resp.Body.Close())
}

// visit asks for a page and follows redirects on the same host, five at most.
// Where it leads to another host, that answer is returned.
func (c *client) visit(ctx context.Context, u *url.URL) (*answer, error) {
	for range 5 {
		a, err := c.ask(ctx, http.MethodGet, u, "", "Accept", "text/html")
		if err != nil {
			return nil, err
		}
		to := a.redirect()
		if to == nil || to.Hostname() != u.Hostname() {
			return a, nil
		}
		u = to
	}
	return nil, errors.New("more than five redirects")
}

// isHTML reports whether an answer is a page.
func (a *answer) isHTML() bool {
	return strings.HasPrefix(strings.TrimSpace(a.Header.Get("Content-Type")), "text/html")
}

// redirect is where an answer sends its asker; nil where it does not.
func (a *answer) redirect() *url.URL {
	to, err := a.Location()
	if err != nil {
		return nil
	}
	return to
}
