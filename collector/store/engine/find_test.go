package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sluice/collector/store/engine"
)

func TestFind(t *testing.T) {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	ours := "node_modules/@chdb/lib-" + runtime.GOOS + "-" + arch + "-gnu/libchdb.so"
	for _, c := range []struct {
		name  string
		files []string // within the test's folder
		exe   string   // "" means bin/sluice
		env   string   // within the test's folder; "" leaves it unset
		want  string   // "" means a usual library folder or a NotFoundError
	}{
		{name: "beside the executable", files: []string{"bin/libchdb.so", ours}, want: "bin/libchdb.so"},
		{name: "in lib", files: []string{"bin/lib/libchdb.so"}, want: "bin/lib/libchdb.so"},
		{name: "in the npm package", files: []string{ours}, want: ours},
		{name: "in another platform's npm package", files: []string{"node_modules/@chdb/lib-plan9-vax/libchdb.so"}},
		{name: "through a link", files: []string{"real/bin/sluice", "real/" + ours}, exe: "link", want: "real/" + ours},
		{name: "the variable names the file", files: []string{"else/x.so", "bin/libchdb.so"}, env: "else/x.so", want: "else/x.so"},
		{name: "the variable names the folder", files: []string{"else/libchdb.so"}, env: "else", want: "else/libchdb.so"},
		{name: "never the working directory", files: []string{"cwd/libchdb.so", "cwd/lib/libchdb.so"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range append(c.files, "cwd/other") {
				path := filepath.Join(root, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			exe := filepath.Join(root, "bin", "sluice")
			if c.exe != "" {
				exe = filepath.Join(root, c.exe)
				if err := os.Symlink(filepath.Join(root, "real", "bin", "sluice"), exe); err != nil {
					t.Fatal(err)
				}
			}
			env := ""
			if c.env != "" {
				env = filepath.Join(root, c.env)
			}
			t.Setenv(engine.LibraryVariable, env)
			t.Chdir(filepath.Join(root, "cwd"))
			got, err := engine.Find(exe)
			if c.want != "" {
				if want := filepath.Join(root, c.want); got != want || err != nil {
					t.Errorf("got %q, %v; want %q", got, err, want)
				}
				return
			}
			var missing *engine.NotFoundError
			if strings.HasPrefix(got, root) || err != nil && !errors.As(err, &missing) {
				t.Errorf("got %q, %v; want nothing under %s", got, err, root)
			}
		})
	}
}

func TestFindRefusesAVariableThatLies(t *testing.T) {
	for name, value := range map[string]string{"relative": "lib/libchdb.so", "missing": filepath.Join(t.TempDir(), "no.so"), "empty folder": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(engine.LibraryVariable, value)
			if got, err := engine.Find("/usr/bin/sluice"); err == nil || !strings.Contains(err.Error(), engine.LibraryVariable) {
				t.Errorf("got %q, %v; want an error that names the variable", got, err)
			}
		})
	}
}
