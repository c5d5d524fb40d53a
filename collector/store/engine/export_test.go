package engine

import "os/exec"

var (
	LockDir = lockDir
	Command = exec.Command
)

// ChildVariable marks a process that is an engine.
const ChildVariable = childVariable
