package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"sluice/static"
)

const (
	sources = "static/src"
	dist    = "static/dist"
)

// A bundle is one file that browsers load.
type bundle struct {
	entry string // below sources
	// name is the file's below dist, one that no blocker's generic rule matches
	// (design.md 5); styles that it imports land beside it as .css.
	name string
	// licences keeps the comments that third-party licences ask for. Bundles
	// without third-party code have none to keep.
	licences bool
	// eager asks the browser to compile all of it off the main thread, while it
	// arrives, instead of function by function when each is called
	// (https://v8.dev/blog/explicit-compile-hints).
	eager   bool
	plugins []api.Plugin
}

// bundles lists what is built, in order: what loads a chunk stands after it,
// and calls it __chunks.name ("marked.js" is __chunks.marked), which becomes the
// name under which the doors serve exactly these bytes.
var bundles = []bundle{
	{entry: "frames/frames.ts", name: "frames.js", plugins: []api.Plugin{styleAsText}},
	{entry: "marked/marked.ts", name: "marked.js"},
	{entry: "inspect/inspect.ts", name: "inspect.js", plugins: []api.Plugin{styleAsText}},
	{entry: "extras/extras.ts", name: "extras.js"},
	{entry: "clear/clear.ts", name: "clear.js"},
	{entry: "defaults.ts", name: "g.js"},
	{entry: "sluice.ts", name: "s.js", eager: true},
	{entry: "banner/banner.ts", name: "b.js", eager: true, plugins: []api.Plugin{styleAsText}},
	{entry: "button/button.ts", name: "c.js", plugins: []api.Plugin{styleAsText, oneText}},
	{entry: "preferences/preferences.ts", name: "p.js", plugins: []api.Plugin{styleAsText}},
	{entry: "dashboard/dashboard.ts", name: "dashboard.js", licences: true},
}

// chunks is the object whose members name the chunks in the sources
// (src/chunks.d.ts).
const chunks = "__chunks"

// build returns every file of dist by name.
func build() (map[string][]byte, error) {
	files, names := map[string][]byte{}, map[string]string{}
	for _, b := range bundles {
		entry := filepath.Join(sources, b.entry)
		comments := api.LegalCommentsNone
		if b.licences {
			comments = api.LegalCommentsEndOfFile
		}
		banner := map[string]string{}
		if b.eager {
			banner["js"] = "//# allFunctionsCalledOnLoad"
		}
		result := api.Build(api.BuildOptions{
			EntryPoints:       []string{entry},
			Outfile:           filepath.Join(dist, b.name),
			Bundle:            true,
			Format:            api.FormatIIFE,
			Target:            api.ES2020,
			Charset:           api.CharsetUTF8,
			TsconfigRaw:       "{}", // the root's asks for "use strict", 13 bytes that buy nothing here
			MinifyWhitespace:  true,
			MinifyIdentifiers: true,
			MinifySyntax:      true,
			LegalComments:     comments,
			Banner:            banner,
			Plugins:           b.plugins,
			Define:            names,
		})
		if err := problems(result.Errors, result.Warnings); err != nil {
			return nil, fmt.Errorf("building %s: %w", b.name, err)
		}
		for _, f := range result.OutputFiles {
			files[filepath.Base(f.Path)] = f.Contents
		}
		code := files[b.name]
		if bytes.Contains(code, []byte(chunks)) {
			return nil, fmt.Errorf("building %s: it names a chunk that is not built before it: see bundles", b.name)
		}
		names[chunks+"."+strings.TrimSuffix(b.name, ".js")] = strconv.Quote(static.HashedName(b.name, code))
	}
	return files, nil
}

// The package for React, published to npm: one module, and React left to the
// application. Its types are emitted by tsc.
const (
	packageSource = "static/npm/src/index.ts"
	packageFile   = "static/npm/dist/index.js"
)

// buildPackage returns the module. Its first line keeps it out of what React
// runs on the server alone.
func buildPackage() ([]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{packageSource},
		Bundle:      true,
		External:    []string{"react"},
		Format:      api.FormatESModule,
		Target:      api.ES2020,
		Charset:     api.CharsetUTF8,
		TsconfigRaw: "{}",
		Banner:      map[string]string{"js": `'use client';`},
	})
	if err := problems(result.Errors, result.Warnings); err != nil {
		return nil, fmt.Errorf("building %s: %w", packageFile, err)
	}
	return result.OutputFiles[0].Contents, nil
}

// spaces are what esbuild leaves alone in custom properties, where they might
// mean something; behind a colon or a comma they do not.
var spaces = regexp.MustCompile(`(--[a-z-]+:|,) `)

// styleAsText gives a bundle its style as minified text, for a constructed
// style sheet: a strict style-src allows no other that a script brings along.
var styleAsText = api.Plugin{
	Name: "style-as-text",
	Setup: func(b api.PluginBuild) {
		b.OnLoad(api.OnLoadOptions{Filter: `\.css$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			source, err := os.ReadFile(args.Path)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			result := api.Transform(string(source), api.TransformOptions{
				Loader:           api.LoaderCSS,
				MinifyWhitespace: true,
				MinifySyntax:     true,
				Sourcefile:       args.Path,
			})
			text := spaces.ReplaceAllString(strings.TrimSpace(string(result.Code)), "$1")
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderText, Errors: result.Errors, Warnings: result.Warnings}, nil
		})
	},
}

// oneText resolves "texts:NAME" to an object with that text in every language.
var oneText = api.Plugin{
	Name: "one-text",
	Setup: func(b api.PluginBuild) {
		const scheme = "texts:"
		b.OnResolve(api.OnResolveOptions{Filter: "^" + scheme}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: strings.TrimPrefix(args.Path, scheme), Namespace: scheme}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: scheme}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			texts := map[string]string{}
			for _, lang := range static.Languages() {
				all, _ := static.Texts(lang)
				texts[lang] = all[args.Path]
			}
			content, err := json.Marshal(texts)
			text := string(content)
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderJSON}, err
		})
	},
}

// bundleTests bundles every *.test.ts below root into dir, for node --test.
func bundleTests(root, dir string) error {
	var entries []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".test.ts") {
			entries = append(entries, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for tests: %w", err)
	}
	result := api.Build(api.BuildOptions{
		EntryPoints:  entries,
		Outdir:       dir,
		OutExtension: map[string]string{".js": ".mjs"},
		Bundle:       true,
		Format:       api.FormatESModule,
		Platform:     api.PlatformNode,
		Target:       api.ES2022,
		Sourcemap:    api.SourceMapInline,
		Write:        true,
	})
	return problems(result.Errors, result.Warnings)
}

// writeDist writes what build returns.
func writeDist(stdout io.Writer) error {
	files, err := build()
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dist, name), content, 0o644); err != nil {
			return fmt.Errorf("writing dist: %w", err)
		}
		fmt.Fprintf(stdout, "%s/%s: %d bytes\n", dist, name, len(content))
	}
	module, err := buildPackage()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d bytes\n", packageFile, len(module))
	if err := os.WriteFile(packageFile, module, 0o644); err != nil {
		return fmt.Errorf("writing the package: %w", err)
	}
	return nil
}

// checkDist reports every file of dist that is missing, different or not built
// by the sources.
func checkDist() error {
	files, err := build()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		return fmt.Errorf("reading dist: %w", err)
	}
	var wrong []string
	for _, entry := range entries {
		name := entry.Name()
		have, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil {
			return fmt.Errorf("reading dist: %w", err)
		}
		if want, ok := files[name]; !ok || !bytes.Equal(have, want) {
			wrong = append(wrong, name)
		}
		delete(files, name)
	}
	for name := range files {
		wrong = append(wrong, name)
	}
	module, err := buildPackage()
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(packageFile); err != nil || !bytes.Equal(have, module) {
		wrong = append(wrong, packageFile)
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("%s is not what %s builds (%s): run go run ./static/bundle, and commit the result",
			dist, sources, strings.Join(wrong, ", "))
	}
	return nil
}

// problems joins esbuild's messages; a warning counts as an error.
func problems(lists ...[]api.Message) error {
	var errs []error
	for _, messages := range lists {
		for _, line := range api.FormatMessages(messages, api.FormatMessagesOptions{}) {
			errs = append(errs, errors.New(strings.TrimSpace(line)))
		}
	}
	return errors.Join(errs...)
}
