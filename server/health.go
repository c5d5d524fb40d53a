package server

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// diskFloor is the free space below which a server says that it is not ready:
// what ClickHouse wants for a merge and a minute of spool.
const diskFloor = 512 << 20

// health answers the probes of metrics_listen. Each field is set by run.go
// before the listener opens.
type health struct {
	doors   atomic.Bool   // the public listener accepts
	reached atomic.Bool   // ClickHouse has answered in this run
	away    atomic.Bool   // ClickHouse did not answer the last time
	dataDir string        // whose disk is watched
	accepts func() error  // whether the spool takes another record
	damage  func() string // what of the spool cannot be read; "" for nothing
}

// readiness is the body of /readyz.
type readiness struct {
	Status string            `json:"status"` // ready, degraded, starting or refusing
	Checks map[string]string `json:"checks"`
}

// report says whether the server is ready, and why not. It is ready once
// ClickHouse has been reached in this run, then as long as the spool accepts:
// an outage of ClickHouse later is degraded, since nothing is lost meanwhile.
func (h *health) report() (readiness, bool) {
	s := readiness{Status: "ready", Checks: map[string]string{"clickhouse": "ok", "spool": "ok", "disk": "ok"}}
	ready := true
	switch {
	case !h.reached.Load():
		s.Status, s.Checks["clickhouse"] = "starting", "not reached yet"
		ready = false
	case h.away.Load():
		s.Status, s.Checks["clickhouse"] = "degraded", "away; events wait in the spool"
	}
	if damage := h.damage(); damage != "" {
		s.Checks["spool"] = damage
		if ready {
			s.Status = "degraded"
		}
	}
	if err := h.accepts(); err != nil {
		s.Status, s.Checks["spool"], ready = "refusing", err.Error(), false
	}
	if free, err := freeSpace(h.dataDir); err != nil {
		s.Checks["disk"] = "unknown: " + err.Error()
	} else if free < diskFloor {
		s.Status, s.Checks["disk"], ready = "refusing", "less than 512 MiB free", false
	}
	return s, ready
}

func freeSpace(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// handler serves /healthz and /readyz beside /metrics.
func (h *health) handler(m *metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, h.doors.Load(), map[string]bool{"accepting": h.doors.Load()})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s, ready := h.report()
		answer(w, ready, s)
	})
	return mux
}

func answer(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the prober may be gone
}

// listenerLimits protect a listener from slow and endless requests; net/http's
// own defaults have none.
func listenerLimits(s *http.Server) *http.Server {
	s.ReadHeaderTimeout = 5 * time.Second
	s.ReadTimeout = 10 * time.Second
	s.WriteTimeout = 15 * time.Second
	s.IdleTimeout = 60 * time.Second
	s.MaxHeaderBytes = 16 << 10
	return s
}
