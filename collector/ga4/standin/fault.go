package standin

import (
	"net/http"
	"time"
)

// FaultKind is a way to fail.
type FaultKind uint8

const (
	// None answers as Google does.
	None FaultKind = iota
	// Refuse cuts the connection before the request is read: nothing arrived.
	Refuse
	// Reset reads the whole request, keeps it, and cuts the connection: the
	// sender cannot know.
	Reset
	// Slow answers after Delay.
	Slow
	// Answer answers with Status, and Retry-After where it is set.
	Answer
)

// Fault tells a [Server] how to fail.
type Fault struct {
	Kind       FaultKind
	Delay      time.Duration // of Slow
	Status     int           // of Answer
	RetryAfter time.Duration // of Answer, whole seconds; 0: no header
	Times      int           // requests that fail before all is well again; 0: all
	Every      int           // only each so many-th request fails; 0: each
}

// Fail makes the server fail from the next request on; Fail(Fault{}) heals it.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// takeFault returns the fault of the request at hand.
func (s *Server) takeFault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fault
	if s.requests++; f.Every > 1 && s.requests%f.Every != 0 {
		return Fault{}
	}
	if f.Times > 0 {
		if s.fault.Times--; s.fault.Times == 0 {
			s.fault = Fault{}
		}
	}
	return f
}

// hangUp cuts the connection without an answer; over TCP by a reset.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the server resets the stream
	}
	if tcp, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0) // best effort: without it the cut is a plain close
	}
	_ = conn.Close()
}

// wait reports false where the client went away first.
func wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
