package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/server/config"
)

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
