package forward

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/collector"
)

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
		{"nothing but interim ones", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInterim), 0, false},
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
			if kept := len(c.idle) == 1; kept != tt.kept {
				t.Errorf("connection kept: %v, want %v", kept, tt.kept)
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
		first := c.idle[0]
		if a := c.post(t.Context(), empty, let); !a.taken() {
			t.Fatalf("answer = %+v", a)
		}
		if len(c.idle) != 1 || c.idle[0] != first {
			t.Error("another connection was opened")
		}
	}
}
