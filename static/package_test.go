package static_test

import (
	"encoding/json"
	"os"
	"testing"
)

// TestPackageVersion keeps the package for React at Sluice's own version.
func TestPackageVersion(t *testing.T) {
	t.Parallel()
	version := func(path string) (v struct{ Version string }) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(content, &v)
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if got, want := version("npm/package.json"), version("../package.json"); got != want || got.Version == "" {
		t.Errorf("static/npm is at version %q, Sluice at %q", got.Version, want.Version)
	}
}
