package server

import (
	"os"
	"runtime/debug"
)

// Under load nearly every allocation is garbage a moment later, and what lives
// is small: collecting a quarter as often costs little memory and gives the
// doors a tenth of the machine back. The soft limit keeps a burst from being
// answered with memory.
const (
	heapGrowth = 400       // per cent of the live heap before a collection; Go's default is 100
	heapLimit  = 128 << 20 // bytes above which Go collects as often as it has to
)

// tuneHeap sets both, where the environment does not say otherwise.
func tuneHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit)
	}
}
