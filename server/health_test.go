package server

import (
	"errors"
	"testing"
)

// TestReadiness: what a balancer is told, and in which word.
func TestReadiness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		reached, away bool
		damage        string
		refuses       error
		status        string
		ready         bool
	}{
		{"never reached ClickHouse", false, true, "", nil, "starting", false},
		{"the same, with a damaged spool", false, true, "one place", nil, "starting", false},
		{"all is well", true, false, "", nil, "ready", true},
		{"ClickHouse is away", true, true, "", nil, "degraded", true},
		{"a damaged spool", true, false, "one place", nil, "degraded", true},
		{"a full spool", true, true, "one place", errors.New("spool is full"), "refusing", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &health{dataDir: t.TempDir(), accepts: func() error { return tt.refuses }, damage: func() string { return tt.damage }}
			h.reached.Store(tt.reached)
			h.away.Store(tt.away)
			got, ready := h.report()
			if got.Status != tt.status || ready != tt.ready {
				t.Errorf("%s, ready %v; want %s, %v", got.Status, ready, tt.status, tt.ready)
			}
			if tt.damage != "" && tt.refuses == nil && got.Checks["spool"] != tt.damage {
				t.Errorf("the spool is %q", got.Checks["spool"])
			}
		})
	}
}
