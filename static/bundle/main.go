// Command bundle builds static/dist from static/src with esbuild's Go API, so
// that neither node nor a bundler is needed to build the server. Run it at the
// repository's root:
//
//	go run ./static/bundle              builds static/dist
//	go run ./static/bundle -check       fails where static/dist is not what the sources build
//	go run ./static/bundle -budget      prints what a visitor downloads, fails above the budget
//	go run ./static/bundle -test DIR    bundles every *.test.ts into DIR, for node --test DIR
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bundle", flag.ContinueOnError)
	check := flags.Bool("check", false, "compare static/dist with what the sources build, write nothing")
	measure := flags.Bool("budget", false, "print compressed sizes and fail above the budget")
	tests := flags.String("test", "", "bundle the TypeScript tests into this `directory`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case *tests != "":
		return bundleTests(sources, *tests)
	case *check || *measure:
		if *check {
			if err := checkDist(); err != nil {
				return err
			}
		}
		if *measure {
			return printBudget(stdout)
		}
		return nil
	}
	return writeDist(stdout)
}
