package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

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
)

// client posts parcels to one endpoint.
type client struct {
	url       *url.URL // with the secret: never printed
	transport *http.Transport
	tls       *tls.Config
	// connections is how many are kept open between requests.
	connections int
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
	u.Fragment = ""
	c := &client{url: u, connections: parallel, tls: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}}
	c.dial(guarded(literal.Unmap().WithZone("")).DialContext)
	return c, nil
}

// dial sets how connections are opened. HTTP/1.1 alone: one request at a time
// on a connection is what makes its first write tell.
func (c *client) dial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	d := dialer{dial: dial, tls: c.tls}
	c.transport = &http.Transport{
		Proxy:                  nil, // not even from the environment: it would be told everything
		DialContext:            d.plain,
		DialTLSContext:         d.secure,
		MaxIdleConnsPerHost:    c.connections,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswer,
	}
}

// close lets go of idle connections.
func (c *client) close() { c.transport.CloseIdleConnections() }

// answer is what came of one request.
type answer struct {
	status     int           // 0: no answer was read
	retryAfter time.Duration // what the answer asks for; 0: nothing
	begun      bool          // at least one byte may have left
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
	var begun atomic.Bool
	var stopped atomic.Pointer[error]
	var got []*gatedConn // one, unless the transport tries again by itself
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		conn, ok := i.Conn.(*gatedConn)
		if !ok {
			cancel() // cannot be: every connection comes from our dialer
			return
		}
		got = append(got, conn)
		conn.arm(func(write func() (int, error)) (int, error) {
			n, err := p(func() (int, error) {
				n, err := write()
				begun.Store(n > 0 || err == nil)
				return n, err
			})
			if err != nil {
				stopped.Store(&err)
			}
			return n, err
		})
	}})
	resp, err := c.transport.RoundTrip(c.request(ctx, parcel))
	for _, conn := range got {
		conn.done()
	}
	if cause := stopped.Load(); err != nil && cause != nil {
		err = *cause // the transport has its own words for it
	}
	if err != nil {
		return answer{begun: begun.Load(), err: err}
	}
	defer resp.Body.Close()
	// The body says nothing; it is read so that the connection can be kept.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return answer{status: resp.StatusCode, begun: true, retryAfter: retryAfter(resp.Header, time.Now())}
}

// request has the headers that must be there and no other. Without GetBody
// the transport does not repeat it by itself, past the gate.
func (c *client) request(ctx context.Context, parcel collector.Parcel) *http.Request {
	header := parcel.Header.Clone()
	header.Set("User-Agent", "Sluice")
	r := &http.Request{
		Method: http.MethodPost, URL: c.url, Host: c.url.Host, Header: header,
		Body: io.NopCloser(bytes.NewReader(parcel.Body)), ContentLength: int64(len(parcel.Body)),
	}
	if len(parcel.Body) == 0 {
		r.Body = http.NoBody // else the transport takes it for one of unknown length
	}
	if parcel.Path != "" {
		elsewhere := *c.url
		elsewhere.Path, elsewhere.RawPath, elsewhere.RawQuery = parcel.Path, "", parcel.Query
		r.URL = &elsewhere
	}
	return r.WithContext(ctx)
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
