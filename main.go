// Command sluice is a self-hosted consent and analytics proxy: nothing flows
// until the visitor says so. Run `sluice help` for its commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sluice/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := server.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(server.Report(os.Stderr, err))
}
