package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sluice/static"
)

// What a visitor may download, in bytes after brotli (1 kB = 1000 bytes); each
// is printed and an excess fails the build.
const (
	// everyPage is what a returning visitor pays: s.js.
	everyPage = 2000
	// firstVisit is s.js and the banner with its style, in the language whose
	// texts take most, in two requests.
	firstVisit = 6000
	// preferences is what opening them adds, with their data and style.
	preferences = 4000
	// reopen is c.js, the button that opens the choice again.
	reopen = 1800
	// beforeGoogle is what g.js may weigh, as it is: it blocks the page.
	beforeGoogle = 300
	// extras is what a page loads when it is idle and statistics are granted, to
	// measure all that can be measured.
	extras = 2500
)

// chunkBudgets bounds what is loaded only where it is needed. A chunk without
// a budget is an error; a budget without its chunk is not.
var chunkBudgets = map[string]int{
	"marked":  2500, // pages with marked elements
	"frames":  1800, // those with marked iframes, images or links
	"inspect": 3000, // ?sluice=debug
	"clear":   600,  // refusals in a browser that holds something
}

// typicalBanner is a banner's data as a small site has it: two purposes beside
// essential, Google Analytics, Hotjar and a payment service.
const typicalBanner = "static/testdata/banner.json"

// everything is a site that measures all there is.
var everything = static.Measure{
	Routes: true, HashRoutes: true, Engagement: true, Scroll: true, Outbound: true,
	Downloads: []string{"pdf", "docx", "xlsx", "pptx", "csv", "txt", "zip", "gz", "exe", "dmg", "apk", "mp3", "mp4"},
	Forms:     true, NotFound: true, Search: []string{"q", "s", "search", "query", "keyword"}, Tagged: true, Vitals: true, Errors: true,
}

// printBudget prints the sizes of the bundles in this binary, that is of dist
// as it was when the command was compiled.
func printBudget(stdout io.Writer) error {
	first, full, err := largestBanner()
	if err != nil {
		return err
	}
	script := static.Script()
	var over []error
	within := func(what string, size, most int) {
		fmt.Fprintf(stdout, "%-12s %5d of %5d bytes\n", what, size, most)
		if size > most {
			over = append(over, fmt.Errorf("above the budget: %s has %d of %d bytes", what, size, most))
		}
	}
	within("every page", len(script.Brotli), everyPage)
	within("first visit", len(script.Brotli)+first, firstVisit)
	within("preferences", full, preferences)
	within("c.js", len(static.Button().Brotli), reopen)
	within("g.js, raw", len(static.Defaults().Body), beforeGoogle)
	measuring, err := static.ComposeExtras(everything)
	if err != nil {
		return err
	}
	within("extras", len(measuring.Brotli), extras)
	for _, name := range static.Chunks() {
		chunk, _ := static.File(name)
		stem, _, _ := strings.Cut(name, ".")
		most, ok := chunkBudgets[stem]
		if !ok {
			over = append(over, fmt.Errorf("%s has no budget: give it one in chunkBudgets", stem))
		}
		within(stem, len(chunk.Brotli), most)
	}
	return errors.Join(over...)
}

// largestBanner returns the bytes of the first layer and of the preferences,
// each in the language in which they are largest.
func largestBanner() (first, full int, err error) {
	content, err := os.ReadFile(typicalBanner)
	if err != nil {
		return 0, 0, fmt.Errorf("reading a typical banner: %w", err)
	}
	for _, lang := range static.Languages() {
		data, err := translated(content, lang)
		if err != nil {
			return 0, 0, fmt.Errorf("a typical banner in %s: %w", lang, err)
		}
		banner, err := static.ComposeBanner(data)
		if err != nil {
			return 0, 0, fmt.Errorf("a typical banner in %s: %w", lang, err)
		}
		first, full = max(first, len(banner.First().Brotli)), max(full, len(banner.Preferences().Brotli))
	}
	return first, full, nil
}

// translated puts a banner's data, purposes too, into another language.
func translated(content []byte, lang string) ([]byte, error) {
	var data map[string]any
	if err := json.Unmarshal(content, &data); err != nil {
		return nil, err
	}
	texts, _ := static.Texts(lang)
	data["lang"] = lang
	purposes, _ := data["purposes"].([]any)
	for _, p := range purposes {
		purpose, _ := p.(map[string]any)
		for _, part := range []string{"title", "description"} {
			if text := texts[fmt.Sprintf("purpose.%v.%s", purpose["name"], part)]; text != "" {
				purpose[part] = text
			}
		}
	}
	return json.Marshal(data)
}
