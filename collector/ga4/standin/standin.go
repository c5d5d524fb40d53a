// Package standin is a strict stand-in for Google's Measurement Protocol, for
// tests and for `sluice demo`. It answers as Google does, 204 to whatever
// arrives at /mp/collect and the validator's JSON at /debug/mp/collect, and
// keeps what Google never shows: the request and the verdict of package judge.
//
// It can be told to fail in the ways that the way to Google fails ([Fault]).
package standin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"sluice/collector/ga4/judge"
)

// The paths of the Measurement Protocol.
const (
	CollectPath  = "/mp/collect"
	ValidatePath = "/debug/mp/collect"
)

// HitPath is where gtag.js sends, and where Sluice relays what it sent.
const HitPath = judge.HitPath

// defaultKeep is how many hits a server remembers.
const defaultKeep = 10_000

// Options of a [Server]; the zero value is of use.
type Options struct {
	OwnHosts []string         // the sites' hosts; a literal address among them may be named
	Now      func() time.Time // nil: time.Now
	OnHit    func(Hit)        // called with each hit, one at a time, before the answer; nil: nobody
	// OnRequest is called with every request, whatever its path and its fate, and
	// its body as far as it was read; nil: nobody. It must be safe for concurrent
	// use.
	OnRequest func(r *http.Request, body []byte)
	Keep      int // hits remembered, the oldest go first; 0: 10 000
}

// Hit is one request as it arrived. Its maps and bytes are the receiver's to
// read. Query holds the API secret: do not print it whole.
type Hit struct {
	At      time.Time
	Method  string
	Path    string
	Query   url.Values
	Header  http.Header
	Body    []byte
	Verdict judge.Verdict
	Fault   Fault
	// Status is the answer's; 0 where the connection was cut instead.
	Status int
}

// Kept returns the events that Google would have in its reports after this
// hit. A connection cut after the body does not undo the hit.
func (h Hit) Kept() []judge.Event {
	cut := h.Fault.Kind == Reset
	if h.Path != CollectPath && h.Path != HitPath || h.Verdict.Invisible || !cut && h.Status/100 != 2 {
		return nil
	}
	return h.Verdict.Accepted
}

// Server is an http.Handler. It is safe for concurrent use.
type Server struct {
	o Options

	mu       sync.Mutex
	hits     []Hit
	fault    Fault
	requests int
}

// New returns a server without faults.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	return &Server{o: o}
}

// Hits returns what has arrived, oldest first.
func (s *Server) Hits() []Hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Hit(nil), s.hits...)
}

// Reset forgets the hits and ends any fault.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits, s.fault = nil, Fault{}
}

// ServeHTTP answers as Google does, or fails as it was told to.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.takeFault()
	if fault.Kind == Refuse {
		s.look(r, nil)
		hangUp(w)
		return
	}
	req, err := judge.FromHTTP(r, s.o.Now(), s.o.OwnHosts...)
	s.look(r, req.Body)
	switch {
	case err != nil:
		http.Error(w, "the request's body did not arrive whole", http.StatusBadRequest)
		return
	case r.URL.Path != CollectPath && r.URL.Path != ValidatePath && r.URL.Path != HitPath:
		http.NotFound(w, r)
		return
	}
	hit := Hit{
		At: req.At, Method: r.Method, Path: r.URL.Path, Query: maps.Clone(req.Query),
		Header: r.Header.Clone(), Body: req.Body, Fault: fault,
	}
	if hit.Path == HitPath {
		hit.Verdict = judge.Hits(req)
	} else {
		hit.Verdict = judge.Judge(req, judge.ByBody)
	}
	hit.Status = status(hit)
	s.record(hit)
	if fault.Kind == Slow && !wait(r, fault.Delay) {
		return
	}
	answer(w, hit)
}

func (s *Server) look(r *http.Request, body []byte) {
	if s.o.OnRequest != nil {
		s.o.OnRequest(r, body)
	}
}

func status(h Hit) int {
	switch {
	case h.Fault.Kind == Reset:
		return 0
	case h.Fault.Kind == Answer:
		return h.Fault.Status
	case h.Verdict.WrongMethod:
		return http.StatusMethodNotAllowed
	case h.Path == ValidatePath:
		return http.StatusOK
	}
	return http.StatusNoContent
}

func answer(w http.ResponseWriter, h Hit) {
	switch {
	case h.Status == 0:
		hangUp(w)
		return
	case h.Fault.RetryAfter > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(h.Fault.RetryAfter/time.Second)))
	case h.Status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	if h.Status != http.StatusOK {
		w.WriteHeader(h.Status)
		return
	}
	said := h.Verdict.Messages
	if said == nil {
		said = []judge.Message{}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	// A reader that has gone away is no concern of the stand-in's.
	_ = json.NewEncoder(w).Encode(map[string][]judge.Message{"validationMessages": said})
}

func (s *Server) record(h Hit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hits) >= s.o.Keep {
		s.hits = append(s.hits[:0], s.hits[len(s.hits)-s.o.Keep+1:]...)
	}
	s.hits = append(s.hits, h)
	if s.o.OnHit != nil {
		s.o.OnHit(h)
	}
}
