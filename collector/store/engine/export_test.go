package engine

import "os/exec"

var (
	LockDir = lockDir
	Command = exec.Command
)
