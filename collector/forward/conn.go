package forward

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// firstWriteTimeout bounds a request's first write, for it is done under the
// consent index's lock. The socket's buffer is empty then, so the write is a
// copy into the kernel.
const firstWriteTimeout = time.Second

// A pass lets the first write of a request through, or not: it runs write at
// most once and returns what it returned, or the reason why it did not run it.
type pass func(write func() (int, error)) (int, error)

// firstWrite is how much of a request its first write has at most: what a
// socket's buffer takes at once.
const firstWrite = 4 << 10

// conn is a connection to an endpoint.
type conn struct {
	net.Conn          // what is said on it
	raw      net.Conn // what carries that: itself, or what is below TLS
	limit    io.LimitedReader
	in       *bufio.Reader // reads from limit
	used     time.Time     // when it last was
}

func newConn(c, raw net.Conn) *conn {
	k := &conn{Conn: c, raw: raw, limit: io.LimitedReader{R: c}}
	k.in = bufio.NewReader(&k.limit)
	return k
}

// quiet reports whether the other end has said nothing since the last answer,
// nor closed the connection: a request written into such a one would be lost
// without an answer, and might have arrived.
func (k *conn) quiet() bool {
	of, ok := k.raw.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := of.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) (done bool) {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN)
		return true
	})
	return err == nil && quiet
}

// drained reports whether nothing has been read beyond the last answer: not by
// us, nor by TLS below us. What was would pass for the next answer, and an end
// for one that is missing.
func (k *conn) drained() bool {
	k.limit.N = 1
	if k.SetReadDeadline(time.Unix(1, 0)) != nil { // gives what is here already, and waits for nothing
		return false
	}
	_, err := k.in.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// end closes the connection at once, and whoever waits on it finds that out:
// TLS would say good-bye first, and wait for room to say it.
func (k *conn) end() { _ = k.raw.Close() }

// exchange sends a request once p lets its first bytes through, and reads the
// answer. again: the connection can carry another one.
func (k *conn) exchange(r *http.Request, p pass) (a answer, again bool) {
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		return answer{err: fmt.Errorf("write request: %w", err)}, true
	}
	tried := false
	_, err := p(func() (int, error) {
		tried = true
		if err := k.SetWriteDeadline(time.Now().Add(firstWriteTimeout)); err != nil {
			return 0, err
		}
		n, err := k.Write(out.Next(firstWrite))
		a.begun = n > 0 || err == nil
		return n, err
	})
	if err != nil {
		a.err = err
		return a, !tried
	}
	// An endpoint that refuses a long request may answer before it has read it.
	var unwritten error
	if out.Len() > 0 {
		if unwritten = k.SetWriteDeadline(time.Time{}); unwritten == nil {
			_, unwritten = out.WriteTo(k)
		}
	}
	k.limit.N = maxAnswer
	resp, err := k.answer(r)
	if err != nil {
		a.err = cmp.Or(unwritten, err)
		return a, false
	}
	a.status, a.retryAfter = resp.StatusCode, retryAfter(resp.Header, time.Now())
	if a.taken() && resp.ContentLength != 0 { // Google's says nothing more
		a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxJudged))
	}
	if err == nil { // the rest is read so that the connection can be kept
		_, err = io.Copy(io.Discard, resp.Body)
	}
	closed := resp.Body.Close()
	return a, unwritten == nil && err == nil && closed == nil && !resp.Close
}

// maxAnswers is how many answers to one request are read: those before the last
// say that it is still to come (RFC 9110, 15.2).
const maxAnswers = 5

func (k *conn) answer(r *http.Request) (*http.Response, error) {
	for range maxAnswers {
		resp, err := http.ReadResponse(k.in, r)
		var broken net.Error
		switch {
		case err == nil && resp.StatusCode >= 200:
			return resp, nil
		case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &broken):
			return nil, err
		case err != nil:
			return nil, errNotHTTP // its text would repeat what came, and that may be the request
		}
	}
	return nil, errNotHTTP
}

var errNotHTTP = errors.New("what the endpoint answers is not an HTTP answer")

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
