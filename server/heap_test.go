package server

import (
	"math"
	"testing"
)

func TestLimitFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int64{
		0: heapLimit, 30 << 20: heapLimit, 64 << 20: heapLimit, 100 << 20: 200 << 20, math.MaxUint64: math.MaxInt64 - 1,
	} {
		if got := limitFor(live); got != want {
			t.Errorf("%d bytes live: the limit is %d, want %d", live, got, want)
		}
	}
}
