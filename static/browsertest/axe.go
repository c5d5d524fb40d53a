package browsertest

import (
	"encoding/json"
	"os"

	"github.com/chromedp/chromedp"
)

// Axe loads axe-core into the page, for Faults. The debugger may do so under any
// policy of the page; eval may not. The calling package lies right below the
// repository's root.
func (b *Tab) Axe() {
	b.t.Helper()
	source, err := os.ReadFile("../node_modules/axe-core/axe.min.js")
	if err != nil {
		b.t.Fatalf("%v: run npm ci", err)
	}
	b.Do(chromedp.Evaluate[chromedp.Void](string(source)))
}

// Faults returns what axe-core finds wrong with the whole page, by the rules of
// every tag that it has, the experimental ones and those of level AAA among
// them, but for the rules named.
func (b *Tab) Faults(except ...string) []string {
	b.t.Helper()
	off := map[string]any{}
	for _, rule := range except {
		off[rule] = map[string]bool{"enabled": false}
	}
	rules, err := json.Marshal(off)
	if err != nil {
		b.t.Fatal(err)
	}
	return Eval[[]string](b, `axe.run(document, {
		runOnly: { type: 'tag', values: [...new Set(axe.getRules().flatMap((rule) => rule.tags))] }, resultTypes: ['violations'], rules: `+string(rules)+`,
	}).then(({ violations }) => violations.map((v) => v.id + ': ' + v.nodes.map((n) => [n.target, n.failureSummary].join(' ')).join('; ')))`)
}
