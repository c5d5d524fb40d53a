package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/consent"
)

const (
	demoFile = "sluice.yaml"
	// demoHeading begins the demo's configuration, which every start writes
	// anew: a file without it is somebody's own.
	demoHeading = "# Written by sluice demo at every start."
	// demoMark is in a folder whose history has not come to its end. Half a
	// history looks like a whole one otherwise: receipts exist, and no later
	// start would make the rest.
	demoMark = "history.unfinished"
)

// claimDemoFolder makes dir where it is missing, and refuses one that holds a
// configuration or a server's data which the demo has not written.
func claimDemoFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make --data-dir: %w", err)
	}
	path := filepath.Join(dir, demoFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil && strings.HasPrefix(string(text), demoHeading):
		return nil
	case err == nil:
		return &usageError{fmt.Sprintf("demo: %s is not the demo's own, which writes that file anew at every start; name another folder with --data-dir", path)}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read what is in --data-dir: %w", err)
	}
	for _, name := range serverData() {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return &usageError{fmt.Sprintf("demo: %s holds the data of a server (%s), to which the demo would add its own; name another folder with --data-dir", dir, name)}
		}
	}
	return nil
}

// serverData are the names under which a server keeps what it was told, and
// what it makes of it.
func serverData() []string { return append(slices.Clone(copied), queuesName) }

// markTornDemo marks the folder until unmark is called.
func markTornDemo(dir string) (unmark func() error, err error) {
	path := filepath.Join(dir, demoMark)
	if err := consent.WriteFile(path, []byte("sluice demo has not come to the end of its history here.\n"), 0o600); err != nil {
		return nil, fmt.Errorf("mark the demo's folder: %w", err)
	}
	return func() error {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the mark of the demo's folder: %w", err)
		}
		return nil
	}, nil
}

// clearTornDemo removes a history that was interrupted, and reports whether
// there was one. The mark goes last: a second interruption leaves it.
func clearTornDemo(dir string) (torn bool, err error) {
	release, err := lockDataDir(dir) // another demo may be at its history
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if _, err := os.Lstat(filepath.Join(dir, demoMark)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, name := range append(serverData(), demoMark) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return false, fmt.Errorf("start the demo over: %w", err)
		}
	}
	return true, nil
}
