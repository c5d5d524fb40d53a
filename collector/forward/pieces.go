package forward

import (
	"iter"

	"sluice/collector"
)

// maxRecordedBytes is how much of outcomes shares an append to the server's
// spool, maxQueuedBytes how much of events one to the queue: an append that is
// larger than 8 MiB is refused, however often it is tried.
const (
	maxRecordedBytes = 256 << 10
	maxQueuedBytes   = 1 << 20
)

// sizeOf is about what an outcome takes.
func sizeOf(f collector.Forward) int { return 512 + len(f.Sent) }

// pieces splits a list where a piece would be larger than most. What is larger by
// itself is a piece of its own.
func pieces[T any](all []T, most int, size func(T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n, sum := 1, size(all[0])
			for n < len(all) && sum+size(all[n]) <= most {
				sum += size(all[n])
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}
