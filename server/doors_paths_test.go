package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/server/config"
	"sluice/static"
)

// TestWeightOfMeasuring: what measures with the settings of a site that says
// nothing is 2.5 kB at most, as browsers get it.
func TestWeightOfMeasuring(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte("sites: [{domain: example.com}]"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := static.ComposeExtras(static.Measure(c.Sites[0].Measure))
	if err != nil || len(a.Brotli) > 2500 {
		t.Errorf("%d bytes, %v; want 2500 at most", len(a.Brotli), err)
	}
}

// TestExcludedPaths are compared as browsers send them.
func TestExcludedPaths(t *testing.T) {
	t.Parallel()
	o, err := siteOptions(&config.Site{Exclude: config.Exclude{Paths: []string{"/geschützt/*", "/health"}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/gesch%C3%BCtzt/*", "/health"}, o.ExcludePaths); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
