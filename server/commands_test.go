package server

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// full is a disk without room, as /dev/full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestPrintedInVain: what did not arrive is no success.
func TestPrintedInVain(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	for name, args := range map[string][]string{
		"snippet":   {"snippet", "nginx", "--config", c.config},
		"one part":  {"snippet", "nginx", "--config", c.config, "--only", "tag"},
		"user hash": {"user", "hash"},
		"check":     {"check", "--config", c.config},
		"help":      {"help"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			status := Report(&said, Run(t.Context(), args, strings.NewReader("correct horse battery\n"), full{}, io.Discard))
			if status != 1 || !strings.Contains(said.String(), "not everything was printed: no space left on device") {
				t.Errorf("status %d, want 1: %s", status, &said)
			}
			status = Report(&said, Run(t.Context(), args, strings.NewReader("correct horse battery\n"), io.Discard, io.Discard))
			if status != 0 {
				t.Errorf("where there is room: status %d: %s", status, &said)
			}
		})
	}
}

// TestUnreadableConfiguration is a mistake in the command line: status 2.
func TestUnreadableConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                             dir + " is a folder; --config names a file, such as " + filepath.Join(dir, "sluice.yaml"),
		filepath.Join(dir, "none.yaml"): "there is no",
		filepath.Join(dir, "x\x00y"):    "invalid argument",
	} {
		for _, command := range []string{"check", "serve"} {
			var said bytes.Buffer
			status := Report(&said, Run(t.Context(), []string{command, "--config", path}, strings.NewReader(""), io.Discard, io.Discard))
			if status != 2 || !strings.Contains(said.String(), want) {
				t.Errorf("sluice %s --config %q: status %d, want 2 and %q: %s", command, path, status, want, &said)
			}
		}
	}
}

// TestUnconfigured tells a file that nobody wrote from one that is named, or
// there and cannot be read.
func TestUnconfigured(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("SLUICE_CONFIG", "")
	if _, err := loadConfig(""); !unconfigured("", err) || unconfigured("sluice.yaml", err) {
		t.Errorf("there is no file: %v", err)
	}
	if err := os.Mkdir("sluice.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(""); unconfigured("", err) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder is there: %v", err)
	}
}
