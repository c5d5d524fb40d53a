package engine

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// giveWay makes this process the one that waits where cores are short: what is
// accepted lies on disk and can be written a moment later, whereas a visitor
// waits for the answer. Linux keeps the value per thread, and a thread passes it
// on to those that it starts, so it is set before libchdb starts its own.
func giveWay() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list own threads: %w", err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return fmt.Errorf("thread %q: %w", t.Name(), err)
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, niceness); err != nil {
			return fmt.Errorf("lower priority of thread %d: %w", id, err)
		}
	}
	return nil
}
