package server

import "context"

// runDemo is `sluice demo`.
func runDemo(context.Context, terminal, []string) error { return errNotSupported }
