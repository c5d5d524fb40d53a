package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// LibraryVariable is the environment variable that names libchdb, or the
// folder that holds it, by an absolute path. It wins over every other place.
const LibraryVariable = "SLUICE_LIBCHDB"

// NotFoundError says where libchdb was looked for.
type NotFoundError struct{ Looked []string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("the embedded ClickHouse engine (libchdb) is not installed. "+
		"Run `make build`, or put libchdb.so beside the sluice binary, or name it in $%s, "+
		"or set clickhouse.url to a ClickHouse server. Looked in: %s", LibraryVariable, strings.Join(e.Looked, ", "))
}

// Find returns the path of libchdb for the given executable: the one that
// $SLUICE_LIBCHDB names; else beside the executable, its links resolved, in
// ., lib and ../node_modules/@chdb/*; else in the usual library folders. The
// working directory is never searched: it may belong to somebody else. The
// error is a *NotFoundError where libchdb is in none of them.
func Find(executable string) (string, error) {
	if named := os.Getenv(LibraryVariable); named != "" {
		return findNamed(named)
	}
	if resolved, err := filepath.EvalSymlinks(executable); err == nil {
		executable = resolved
	}
	if !filepath.IsAbs(executable) {
		return "", fmt.Errorf("look for libchdb beside %q: the path is not absolute", executable)
	}
	beside := filepath.Dir(executable)
	folders := []string{beside, filepath.Join(beside, "lib")}
	packages := filepath.Join(filepath.Dir(beside), "node_modules", "@chdb", "lib-"+platform()+"*")
	matches, err := filepath.Glob(packages)
	if err != nil {
		return "", fmt.Errorf("look for libchdb in %s: %w", packages, err)
	}
	folders = append(folders, matches...)
	folders = append(folders, libraryFolders()...)
	for _, folder := range folders {
		if path, ok := libraryIn(folder); ok {
			return path, nil
		}
	}
	if len(matches) == 0 {
		folders = append(folders, packages)
	}
	return "", &NotFoundError{Looked: folders}
}

func findNamed(named string) (string, error) {
	if !filepath.IsAbs(named) {
		return "", fmt.Errorf("$%s is %q: it has to be an absolute path", LibraryVariable, named)
	}
	info, err := os.Stat(named)
	if err != nil {
		return "", fmt.Errorf("$%s: %w", LibraryVariable, err)
	}
	if !info.IsDir() {
		return named, nil
	}
	if path, ok := libraryIn(named); ok {
		return path, nil
	}
	return "", fmt.Errorf("$%s: no libchdb.so in %s", LibraryVariable, named)
}

// libraryIn looks for libchdb in folder. Its macOS builds go by either name.
func libraryIn(folder string) (string, bool) {
	for _, name := range []string{"libchdb.so", "libchdb.dylib"} {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, true
		}
	}
	return "", false
}

// platform is the operating system and processor in npm's words.
func platform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return runtime.GOOS + "-" + arch
}

func libraryFolders() []string {
	folders := []string{"/usr/local/lib", "/usr/lib"}
	switch {
	case runtime.GOOS == "darwin":
		folders = append(folders, "/opt/homebrew/lib")
	case runtime.GOARCH == "amd64":
		folders = append(folders, "/usr/lib/x86_64-linux-gnu", "/usr/lib64")
	case runtime.GOARCH == "arm64":
		folders = append(folders, "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
	}
	return folders
}
