package main

import (
	"fmt"
	"io"
	"os"

	"sluice/static"
)

// What a visitor may download, in bytes after brotli (1 kB = 1000 bytes).
const (
	scriptBudget = 2000 // every page: s.js
	firstBudget  = 9000 // a first visit: s.js and the banner in English
)

// typicalBanner is a banner's data as a small site has it: two purposes beside
// essential, Google Analytics, Hotjar and a payment service.
const typicalBanner = "static/testdata/banner.json"

// printBudget prints the sizes of the bundles in this binary, that is of dist
// as it was when the command was compiled.
func printBudget(stdout io.Writer) error {
	data, err := os.ReadFile(typicalBanner)
	if err != nil {
		return fmt.Errorf("reading a typical banner: %w", err)
	}
	banner, err := static.ComposeBanner(data)
	if err != nil {
		return fmt.Errorf("composing a typical banner: %w", err)
	}
	script := static.Script()
	for _, a := range []static.Asset{script, banner} {
		fmt.Fprintf(stdout, "%-10s %6d raw %6d gzip %6d brotli\n", a.Name, len(a.Body), len(a.Gzip), len(a.Brotli))
	}
	first := len(script.Brotli) + len(banner.Brotli)
	fmt.Fprintf(stdout, "every page %d of %d bytes, first visit %d of %d bytes\n",
		len(script.Brotli), scriptBudget, first, firstBudget)
	if len(script.Brotli) > scriptBudget || first > firstBudget {
		return fmt.Errorf("above the budget: every page %d of %d bytes, first visit %d of %d bytes",
			len(script.Brotli), scriptBudget, first, firstBudget)
	}
	return nil
}
