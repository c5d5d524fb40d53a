package forward

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// firstWriteTimeout bounds a request's first write, for it is done under the
// consent index's lock. The socket's buffer is empty then, so the write is a
// copy into the kernel.
const firstWriteTimeout = time.Second

// A pass lets the first write of a request through, or not: it runs write at
// most once and returns what it returned, or the reason why it did not run it.
type pass func(write func() (int, error)) (int, error)

// gatedConn is a connection whose next write, once armed, needs a pass. The
// transport writes a request only after it told the trace of the connection
// that it got (httptrace.ClientTrace.GotConn), which is where it is armed.
type gatedConn struct {
	net.Conn
	armed atomic.Pointer[pass]
	// taken is held from arm until the transport has handed over the answer.
	// It gives a connection to the next request a moment sooner, and a pass that
	// is refused breaks the connection, with the answer that is still in it.
	taken sync.Mutex
}

// arm waits until the request before has its answer.
func (c *gatedConn) arm(p pass) {
	c.taken.Lock()
	c.armed.Store(&p)
}

// done says that the request which armed c has its answer, or an error.
func (c *gatedConn) done() { c.taken.Unlock() }

// Write writes b; the first bytes of a request only if the pass agrees, else
// not one of them.
func (c *gatedConn) Write(b []byte) (int, error) {
	p := c.armed.Swap(nil)
	if p == nil {
		return c.Conn.Write(b)
	}
	return (*p)(func() (int, error) {
		if err := c.SetWriteDeadline(time.Now().Add(firstWriteTimeout)); err != nil {
			return 0, err
		}
		n, err := c.Conn.Write(b)
		if err != nil {
			return n, err
		}
		return n, c.SetWriteDeadline(time.Time{})
	})
}

// dialer opens connections to one endpoint.
type dialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config
}

func (d dialer) plain(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &gatedConn{Conn: conn}, nil
}

// secure does the handshake below the gate: what the gate sees first is the
// request.
func (d dialer) secure(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := d.tls.Clone()
	config.ServerName, _, err = net.SplitHostPort(address)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("endpoint address: %w", err)
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("handshake with %s: %w", config.ServerName, err)
	}
	return &gatedConn{Conn: conn}, nil
}

// AddressError is an endpoint whose name leads into the machine or its
// network.
type AddressError struct{ Address netip.Addr }

func (e *AddressError) Error() string {
	return fmt.Sprintf("endpoint resolves to %s, which is not a public address; give the address itself as the endpoint if it is meant", e.Address)
}

// guarded returns a dialer that refuses, after DNS, every address that is not
// public. permitted is the one that the operator named literally; the zero
// Addr: none.
func guarded(permitted netip.Addr) *net.Dialer {
	return &net.Dialer{
		Timeout: connectTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("dial %s: %w", address, err)
			}
			ip := to.Addr().Unmap().WithZone("")
			if ip == permitted || public(ip) {
				return nil
			}
			return &AddressError{ip}
		},
	}
}

// special lists what is neither private nor global unicast (IANA special
// purpose registries): this network, shared, protocol assignments, benchmarks,
// documentation, reserved; NAT64, 6to4 and Teredo, which hide an IPv4 address.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
