// Package static holds what browsers load: the embedded script, the banner and
// the dashboards' bundle, built from src by the command bundle, and the texts
// of the banner.
//
// # Why dist holds plain files only
//
// The bundles are committed uncompressed and compressed when they are first
// used: a diff of dist stays readable, a new release of a compressor changes
// nothing that is committed, and the banner, which carries a site's data, has to
// be compressed at run time anyway. It costs some 20 ms for the script and 50 ms
// for a banner, once each.
package static

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed dist
var dist embed.FS

const (
	scriptName      = "s.js"
	bannerName      = "b.js"
	preferencesName = "p.js"
	defaultsName    = "g.js"
	extrasName      = "extras.js"
	buttonName      = "c.js"
)

// withDoors are served by doors of their own; the rest by hashed names.
var withDoors = []string{scriptName, bannerName, preferencesName, defaultsName, extrasName, buttonName}

// hashLength is how many hexadecimal digits of a content's SHA-256 its name and
// ETag carry: 24 bits tell the releases of one file apart, and more would cost
// the script, which names its chunks.
const hashLength = 6

// Script returns the embedded script, s.js.
var Script = sync.OnceValue(func() Asset {
	return newAsset(scriptName, read(scriptName), "no-cache")
})

// Defaults returns g.js, which tells Google's tags, before they run, that
// nothing is granted.
var Defaults = sync.OnceValue(func() Asset {
	return newAsset(defaultsName, read(defaultsName), "no-cache")
})

// Button returns c.js, a button that opens the choice again.
var Button = sync.OnceValue(func() Asset {
	return newAsset(buttonName, read(buttonName), "no-cache")
})

// File returns the content of a hashed name such as "dashboard.012345.js",
// to be cached for ever; false where there is no such file, or no longer.
func File(name string) (Asset, bool) {
	load, ok := files()[name]
	if !ok {
		return Asset{}, false
	}
	return load(), true
}

// Path returns the hashed name of a file of dist, "dashboard.js" for one; ""
// where dist has no such file.
func Path(name string) string {
	content, err := fs.ReadFile(dist, "dist/"+name)
	if err != nil {
		return ""
	}
	return HashedName(name, content)
}

// HashedName puts the hash of its content into a file's name.
func HashedName(name string, content []byte) string {
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "." + hash(content) + ext
}

// Chunks lists the hashed names of what the script and the banner load later,
// for doors beside theirs: every script of dist but those with doors of their
// own and the dashboards'.
func Chunks() []string {
	var out []string
	for name := range files() {
		if path.Ext(name) == ".js" && !strings.HasPrefix(name, "dashboard.") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// files maps hashed names to their content; each is compressed when it is first
// asked for.
var files = sync.OnceValue(func() map[string]func() Asset {
	entries, err := fs.ReadDir(dist, "dist")
	if err != nil {
		panic(fmt.Sprintf("static: %v", err)) // embedded: cannot happen
	}
	m := map[string]func() Asset{}
	for _, entry := range entries {
		name := entry.Name()
		if slices.Contains(withDoors, name) {
			continue
		}
		m[Path(name)] = sync.OnceValue(func() Asset {
			return newAsset(Path(name), read(name), "public, max-age=31536000, immutable")
		})
	}
	return m
})

func read(name string) []byte {
	content, err := fs.ReadFile(dist, "dist/"+name)
	if err != nil {
		panic(fmt.Sprintf("static: %v: run go run ./static/bundle", err)) // built into the binary, or not
	}
	return content
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:hashLength]
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
