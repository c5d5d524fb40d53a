package server

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	gauges "runtime/metrics"
	"time"
)

// Under load nearly every allocation is garbage a moment later, and what lives
// is small: collecting a quarter as often costs little memory and gives the
// doors a tenth of the machine back. The soft limit keeps a burst from being
// answered with memory; where more lives, as on a site with a hundred thousand
// visits going on, it leaves as much again for the garbage, or Go would do
// nothing but collect.
const (
	heapGrowth = 400       // per cent of the live heap before a collection; Go's default is 100
	heapLimit  = 128 << 20 // bytes above which Go collects as often as it has to
	heapRoom   = 2         // times what lives, the least that the limit may be
	heapEvery  = 10 * time.Second
)

// tuneHeap sets growth and limit, and adapts the limit until ctx is done; each
// where the environment does not say otherwise.
func tuneHeap(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	live := []gauges.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		gauges.Read(live)
		debug.SetMemoryLimit(limitFor(live[0].Value.Uint64()))
		if !pause(ctx, heapEvery) {
			return
		}
	}
}

// limitFor is the soft limit where so many bytes live.
func limitFor(live uint64) int64 {
	return int64(max(heapLimit, heapRoom*min(live, math.MaxInt64/heapRoom)))
}
