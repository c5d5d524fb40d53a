package engine

import "os/exec"

var (
	LockDir = lockDir
	Command = exec.Command
)

const (
	ChildVariable = childVariable
	LeaveDeadline = leaveDeadline
)
