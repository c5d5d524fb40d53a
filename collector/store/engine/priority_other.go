//go:build !linux

package engine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// giveWay makes this process the one that waits where cores are short.
func giveWay() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, niceness); err != nil {
		return fmt.Errorf("lower own priority: %w", err)
	}
	return nil
}
