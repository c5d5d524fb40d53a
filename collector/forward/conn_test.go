package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/collector"
)

// kept are the connections that c keeps.
func kept(c *client) []*conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.idle)
}

// answering speaks the same answer, whatever it is, after each request's head,
// and closes the connection once the other end does.
func answering(t *testing.T, text string) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4<<10)
			for {
				if _, err := c.Read(buf); err != nil {
					break
				}
				if _, err := io.WriteString(c, text); err != nil {
					break
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String() + "/mp/collect"
}

// TestAnswers reads what an endpoint may say, and keeps the connection only
// where the next answer can be told from it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 204 No Content\r\n\r\n"
	for _, tt := range []struct {
		name, text string
		status     int // 0: none was read
		kept       bool
	}{
		{"plain", ok, 204, true},
		{"with a body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, true},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, true},
		{"behind interim ones", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok, 204, true},
		{"nothing but interim ones", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxAnswers), 0, false},
		{"the last one", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 204, false},
		{"of HTTP/1.0", "HTTP/1.0 204 No Content\r\n\r\n", 204, false},
		{"longer than it says", ok + "more", 204, false},
		{"longer than is read", "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000), 200, false},
		{"a head longer than is read", "HTTP/1.1 204 No Content\r\nX: " + strings.Repeat("x", maxAnswer) + "\r\n\r\n", 0, false},
		{"not HTTP", "220 mail.example.com ESMTP\r\n", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := testClient(t, answering(t, tt.text))
			a := c.post(t.Context(), empty, let)
			if a.status != tt.status || (a.err == nil) != (tt.status > 0) || !a.begun {
				t.Errorf("answer = %+v, want status %d", a, tt.status)
			}
			if one := len(kept(c)) == 1; one != tt.kept {
				t.Errorf("connection kept: %v, want %v", one, tt.kept)
			}
		})
	}
}

// TestAnsweredEarly takes the answer of an endpoint that does not read to the end.
func TestAnsweredEarly(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}))
	defer web.Close()
	long := collector.Parcel{Header: empty.Header, Body: make([]byte, 120_000)}
	if a := testClient(t, web.URL).post(t.Context(), long, let); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("answer = %+v, want 413", a)
	}
}

// TestClosedMeanwhile does not write into a connection that the endpoint has
// closed: nobody could say whether that request has arrived.
func TestClosedMeanwhile(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer web.Close()
	c := testClient(t, web.URL)
	for i := range int32(3) {
		if a := c.post(t.Context(), empty, let); !a.taken() || arrived.Load() != i+1 {
			t.Fatalf("answer = %+v, and %d requests arrived, want %d", a, arrived.Load(), i+1)
		}
		web.CloseClientConnections()
	}
}

// TestRefusedConnectionIsKept carries the next request on the connection of one
// that might not begin, of which nothing was written.
func TestRefusedConnectionIsKept(t *testing.T) {
	t.Parallel()
	c := testClient(t, answering(t, "HTTP/1.1 204 No Content\r\n\r\n"))
	refuse := func(func() (int, error)) (int, error) { return 0, errConsentChanged }
	for range 2 {
		if a := c.post(t.Context(), empty, refuse); !errors.Is(a.err, errConsentChanged) || a.begun {
			t.Fatalf("answer = %+v, want it refused", a)
		}
		first := kept(c)[0]
		if a := c.post(t.Context(), empty, let); !a.taken() {
			t.Fatalf("answer = %+v", a)
		}
		if now := kept(c); len(now) != 1 || now[0] != first {
			t.Error("another connection was opened")
		}
	}
}

// corked holds back what is written, once it is on, until it is told to let go.
type corked struct {
	net.Conn
	on   atomic.Bool
	held bytes.Buffer
}

func (c *corked) Write(b []byte) (int, error) {
	if c.on.Load() {
		return c.held.Write(b)
	}
	return c.Conn.Write(b)
}

// TestLeftoversOverTLS: what comes in one segment with an answer is read with
// it, by TLS, where no look at the socket finds it. It must not answer the next
// request, nor end it.
func TestLeftoversOverTLS(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 204 No Content\r\n\r\n"
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	for _, tt := range []struct {
		name string
		then func(c *tls.Conn) error
		kept int
	}{
		{"nothing", func(*tls.Conn) error { return nil }, 1},
		{"another answer", func(c *tls.Conn) error { _, err := io.WriteString(c, ok); return err }, 0},
		{"good-bye", (*tls.Conn).CloseWrite, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			under := &corked{Conn: far}
			done := make(chan error, 1)
			go func() {
				c := tls.Server(under, web.TLS.Clone())
				if _, err := c.Read(make([]byte, 4<<10)); err != nil {
					done <- err
					return
				}
				under.on.Store(true)
				_, err := io.WriteString(c, ok)
				err = errors.Join(err, tt.then(c))
				err = errors.Join(err, far.SetWriteDeadline(time.Time{})) // TLS writes nothing behind a good-bye
				_, flushed := far.Write(under.held.Bytes())
				done <- errors.Join(err, flushed)
			}()
			c := testClient(t, web.URL)
			c.tls.RootCAs = roots
			c.dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
			if a := c.post(t.Context(), empty, let); !a.taken() {
				t.Errorf("answer = %+v", a)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if len(kept(c)) != tt.kept {
				t.Errorf("%d connections kept, want %d", len(kept(c)), tt.kept)
			}
		})
	}
}

// TestIdleConnections closes each a minute after it was used, also while
// another is used all the time.
func TestIdleConnections(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		c := r.sink.client
		refuse := func(func() (int, error)) (int, error) { time.Sleep(time.Second); return 0, errConsentChanged }
		var both sync.WaitGroup
		for range 2 { // of which each has a connection of its own
			both.Go(func() { c.post(t.Context(), empty, refuse) })
		}
		both.Wait()
		if len(kept(c)) != 2 {
			t.Fatalf("%d connections kept, want 2", len(kept(c)))
		}
		for range 4 {
			time.Sleep(idleTimeout / 2)
			if a := c.post(t.Context(), empty, let); !a.taken() {
				t.Fatalf("answer = %+v", a)
			}
		}
		if len(kept(c)) != 1 {
			t.Errorf("%d connections kept after two minutes, want the one in use", len(kept(c)))
		}
		time.Sleep(idleTimeout + time.Second)
		if len(kept(c)) != 0 {
			t.Errorf("%d connections kept, want none", len(kept(c)))
		}
	})
}

// TestStopWhile waits no longer than stopTimeout for an endpoint that does not
// come to an end, whatever it is about.
func TestStopWhile(t *testing.T) {
	t.Parallel()
	long := collector.Parcel{Header: empty.Header, Body: make([]byte, 100_000)}
	for name, dial := range map[string]func(ctx context.Context) (net.Conn, error){
		"it is dialled": func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		"it reads": func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _, _ = io.ReadFull(far, make([]byte, firstWrite)) }() // and no further
			return near, nil
		},
		"it answers": func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			return near, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := testClient(t, "http://127.0.0.1:1/mp/collect")
				c.dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
				for _, stopped := range []bool{true, false} {
					stop, cancel := context.WithCancel(t.Context())
					want := sendTimeout
					if stopped {
						time.AfterFunc(time.Second, cancel)
						want = time.Second + stopTimeout
					}
					began := time.Now()
					if a := c.post(stop, long, let); a.err == nil {
						t.Errorf("answer = %+v, want an error", a)
					}
					if took := time.Since(began); took != want {
						t.Errorf("stopped %t: took %v, want %v", stopped, took, want)
					}
					cancel()
				}
			})
		})
	}
}
