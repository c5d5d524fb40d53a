package ga4

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// DefaultEndpoint is Google's collection server in the EU.
const DefaultEndpoint = "https://region1.google-analytics.com/mp/collect"

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

// Secret is an API secret. It prints as [redacted] in every form.
type Secret string

// Format keeps the secret out of anything that fmt prints.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue keeps the secret out of the log.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText keeps the secret out of JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// client posts payloads to one endpoint.
type client struct {
	url       *url.URL // with the secret: never printed
	transport *http.Transport
	tls       *tls.Config
	// connections is how many are kept open between requests.
	connections int
}

// newClient prepares a client for o.Endpoint, the default where it is empty.
func newClient(o Options) (*client, error) {
	endpoint, measurementID, secret := o.Endpoint, o.MeasurementID, o.APISecret
	if measurementID == "" {
		return nil, errors.New("no measurement ID")
	}
	if secret == "" {
		return nil, errors.New("no API secret")
	}
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, errors.New("endpoint is not a URL") // the parser's error would repeat it, and it may hold a key
	}
	literal, err := netip.ParseAddr(u.Hostname())
	named := err != nil
	switch {
	case u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("endpoint on host %q is not an https URL without user name", u.Hostname())
	case named && u.Scheme != "https":
		return nil, fmt.Errorf("endpoint on host %q must be https: the API secret is part of every request", u.Hostname())
	}
	q := u.Query()
	q.Set("measurement_id", measurementID)
	q.Set("api_secret", string(secret))
	u.RawQuery, u.Fragment = q.Encode(), ""
	c := &client{url: u, connections: o.Parallel, tls: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}}
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

// taken reports whether Google has received the request.
func (a answer) taken() bool { return a.status/100 == 2 }

// again reports whether the same request may be sent once more. Google asks
// not to repeat what it answered with anything else.
func (a answer) again() bool {
	return a.status == 0 || a.status == http.StatusTooManyRequests || a.status >= 500
}

// post sends body once p lets its first byte through. When stop is done the
// answer is still waited for, a little: without it the request would have to be
// repeated.
func (c *client) post(stop context.Context, body []byte, p pass) answer {
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
	resp, err := c.transport.RoundTrip(c.request(ctx, body))
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
func (c *client) request(ctx context.Context, body []byte) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: c.url, Host: c.url.Host,
		Header:        http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Sluice"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
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
