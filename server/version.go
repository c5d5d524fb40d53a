package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"sluice/collector/store/engine"
)

// version and commit are set by the linker (`make build`). A plain `go build`
// leaves them empty, and what Go itself has noted is taken.
var version, commit string

// buildInfo is what this binary was built from.
type buildInfo struct{ version, commit string }

func readBuild() buildInfo {
	b := buildInfo{version: version, commit: commit}
	info, ok := debug.ReadBuildInfo()
	if ok && b.version == "" {
		b.version = info.Main.Version
	}
	if ok && b.commit == "" {
		b.commit = stampedCommit(info)
	}
	if b.commit == "" {
		b.commit = "unknown"
	}
	return b
}

// stampedCommit is the commit that the go command has noted.
func stampedCommit(info *debug.BuildInfo) (commit string) {
	dirty := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " (modified)"
		}
	}
	return commit + dirty
}

func runVersion(_ context.Context, t terminal, args []string) error {
	if _, err := flags(t, "version", args, 0, nil); err != nil {
		return err
	}
	b := readBuild()
	fmt.Fprintf(t.out, "sluice %s\ncommit %s\nengine %s\n%s %s/%s\n",
		b.version, b.commit, engineVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// engineVersion is the version of the installed libchdb, as the package that
// brought it says: loading half a gigabyte to ask it would take longer than
// the rest of the command.
func engineVersion() string {
	self, err := os.Executable()
	if err != nil {
		return "unknown: " + err.Error()
	}
	library, err := engine.Find(self)
	var missing *engine.NotFoundError
	if errors.As(err, &missing) {
		return "not installed"
	}
	if err != nil {
		return "unknown: " + err.Error()
	}
	var pkg struct {
		Version string `json:"version"`
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(library), "package.json"))
	if err != nil || json.Unmarshal(data, &pkg) != nil || pkg.Version == "" {
		return "of unknown version, " + library
	}
	return "chdb " + pkg.Version + ", " + library
}

// runEngine is the child that the supervisor of collector/store/engine starts.
func runEngine(_ context.Context, t terminal, args []string) error {
	return engine.Main(args, t.in, t.out, t.err)
}
