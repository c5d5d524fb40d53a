// Package storetest opens the real store for tests: a fresh database in an
// engine of its own, gone when the test ends.
package storetest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sluice/collector/store"
	"sluice/collector/store/engine"
)

// requireVariable turns a missing engine from a skip into a failure.
const requireVariable = "SLUICE_REQUIRE_ENGINE"

// Open returns a prepared store in a directory of the test's own. The package
// of the test has to begin its TestMain with [engine.MainIfChild]. Where
// libchdb is not installed the test is skipped, or fails with
// SLUICE_REQUIRE_ENGINE=1. Each call costs 0.1–0.5 s.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenWith(t, store.Options{})
}

// OpenWith is Open with options; Library and, where it is empty, DataDir are
// filled in.
func OpenWith(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	o.Library = Library(t)
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Library returns the path of libchdb as the built binary would find it, or
// skips the test, or fails it.
func Library(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path, err := engine.Find(filepath.Join(root, "bin", "sluice"))
	if err == nil {
		return path
	}
	if os.Getenv(requireVariable) == "1" {
		t.Fatalf("%s=1, but: %v", requireVariable, err)
	}
	t.Skip(err)
	return ""
}

// moduleRoot is the folder with go.mod: tests run in their package's folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
