package forward

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"sluice/collector"
)

const (
	connectTimeout = 5 * time.Second
	// sendTimeout bounds a request from dial to answer.
	sendTimeout = 10 * time.Second
	// stopTimeout is how long a request under way may still take once the
	// sink is told to stop: a server has little time to leave.
	stopTimeout = 3 * time.Second
	// idleTimeout is well under the 4 minutes for which Google's servers keep
	// a silent connection: a request written into one that has just been
	// closed is lost without an answer.
	idleTimeout = 60 * time.Second
	maxAnswer   = 64 << 10
	// maxJudged is how much of an answer's body a [Judge] sees.
	maxJudged = 4 << 10
)

// client posts parcels to one endpoint, in HTTP/1.1: one request at a time on a
// connection, which is the request's own until its answer has been read. So its
// first write is known, and nothing is repeated behind the gate's back.
type client struct {
	url     *url.URL // with the secret: never printed
	address string   // host and port
	tls     *tls.Config
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// connections is how many are kept open between requests.
	connections int

	mu    sync.Mutex
	idle  []*conn     // in the order of their last use
	sweep *time.Timer // closes what nobody uses
}

// newClient prepares a client for an endpoint, with up to so many connections
// at once.
func newClient(endpoint collector.Secret, parallel int) (*client, error) {
	u, err := url.Parse(string(endpoint))
	if err != nil {
		return nil, errors.New("endpoint is not a URL") // the parser's error would repeat it, and it may hold a key
	}
	literal, err := netip.ParseAddr(u.Hostname())
	named := err != nil
	switch {
	case u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("endpoint on host %q is not an https URL without user name", u.Hostname())
	case named && u.Scheme != "https":
		return nil, fmt.Errorf("endpoint on host %q must be https: what is sent is for the recipient alone", u.Hostname())
	}
	host := u.Hostname()
	if strings.ContainsFunc(host, func(c rune) bool { return c >= utf8.RuneSelf }) {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return nil, fmt.Errorf("endpoint on host %q: not a host name", u.Hostname())
		}
	}
	u.Fragment = ""
	c := &client{url: u, connections: parallel, dial: guarded(literal.Unmap().WithZone("")).DialContext}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		c.tls = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, ServerName: host}
	}
	c.address = net.JoinHostPort(host, cmp.Or(u.Port(), port))
	c.sweep = time.AfterFunc(idleTimeout, func() { c.drop(idleTimeout) })
	return c, nil
}

// close lets go of idle connections.
func (c *client) close() {
	c.sweep.Stop()
	c.drop(0)
}

// drop closes the connections that have not been used for so long.
func (c *client) drop(unused time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = slices.DeleteFunc(c.idle, func(k *conn) bool {
		old := time.Since(k.used) >= unused
		if old {
			k.end()
		}
		return old
	})
	if len(c.idle) > 0 {
		c.sweep.Reset(idleTimeout - time.Since(c.idle[0].used))
	}
}

// reuse returns an idle connection that the other end has not closed; nil:
// there is none.
func (c *client) reuse() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.idle) - 1; n >= 0; n-- {
		k := c.idle[n]
		c.idle[n] = nil
		c.idle = c.idle[:n]
		if time.Since(k.used) < idleTimeout && k.quiet() {
			return k
		}
		k.end()
	}
	return nil
}

// keep keeps a connection for the next request.
func (c *client) keep(k *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) >= c.connections || k.SetDeadline(time.Time{}) != nil {
		k.end()
		return
	}
	k.used = time.Now()
	c.idle = append(c.idle, k)
	if len(c.idle) == 1 {
		c.sweep.Reset(idleTimeout)
	}
}

// open opens a connection. The handshake of TLS is done below the gate: what the
// gate sees first is the request.
func (c *client) open(ctx context.Context) (*conn, error) {
	raw, err := c.dial(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	if c.tls == nil {
		return newConn(raw, raw), nil
	}
	secured := tls.Client(raw, c.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("handshake with %s: %w", c.tls.ServerName, err)
	}
	return newConn(secured, raw), nil
}

// answer is what came of one request.
type answer struct {
	status     int           // 0: no answer was read
	retryAfter time.Duration // what the answer asks for; 0: nothing
	begun      bool          // at least one byte may have left
	body       []byte        // the beginning of a 2xx's
	err        error         // why there is no answer; never holds the URL
}

// taken reports whether the recipient has received the request.
func (a answer) taken() bool { return a.status/100 == 2 }

// again reports whether the same request may be sent once more. What was
// answered with anything else would be answered the same again; Google asks
// not to repeat it.
func (a answer) again() bool {
	return a.status == 0 || a.status == http.StatusTooManyRequests || a.status >= 500
}

// post sends a parcel once p lets its first byte through. When stop is done the
// answer is still waited for, a little: without it the request would have to be
// repeated.
func (c *client) post(stop context.Context, parcel collector.Parcel, p pass) answer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), sendTimeout)
	defer cancel()
	defer context.AfterFunc(stop, func() { time.AfterFunc(stopTimeout, cancel) })()
	k := c.reuse()
	if k == nil {
		var err error
		if k, err = c.open(ctx); err != nil {
			return answer{err: err}
		}
	}
	unhand := context.AfterFunc(ctx, k.end)
	a, again := k.exchange(c.request(parcel), p)
	if unhand() && again && k.drained() {
		c.keep(k)
	} else {
		k.end()
	}
	return a
}

// request has the headers that must be there and no other.
func (c *client) request(parcel collector.Parcel) *http.Request {
	header := parcel.Header.Clone()
	header.Set("User-Agent", "Sluice")
	r := &http.Request{
		Method: http.MethodPost, URL: c.url, Host: c.url.Host, Header: header,
		Body: io.NopCloser(bytes.NewReader(parcel.Body)), ContentLength: int64(len(parcel.Body)),
	}
	if len(parcel.Body) == 0 {
		r.Body = http.NoBody // else it would be one of unknown length
	}
	if parcel.Path != "" {
		elsewhere := *c.url
		elsewhere.Path, elsewhere.RawPath, elsewhere.RawQuery = parcel.Path, "", parcel.Query
		r.URL = &elsewhere
	}
	return r
}

// retryAfter reads RFC 9110 section 10.2.3: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s > 0 {
		return time.Duration(min(s, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
