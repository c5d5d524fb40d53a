package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/static/browsertest"
)

// nextFolder holds the application and, once make has been here, Next.js.
const nextFolder = "testdata/next"

// TestNext is TestHosts for Next.js, built and started as in production: behind
// a web server with the tag as it is printed, and alone with the package for
// React. Its development server is asked for what hydration did not find: React
// says that there, and only there.
func TestNext(t *testing.T) {
	t.Parallel()
	behind := &host{domain: "next.localhost", begin: beginBuilt, cached: true}
	alone := &host{domain: "next-stripped.localhost", begin: beginBuilt, strip: true, naive: true}
	developed := &host{domain: "next-dev.localhost", naive: true}
	r := newHostsRig(t, []*host{behind, alone, developed})
	for _, h := range []*host{behind, alone} {
		t.Run(h.domain, func(t *testing.T) {
			t.Parallel()
			testHost(t, r.in(t), h)
			useReact(t, r.in(t), h)
		})
	}
	t.Run(developed.domain, func(t *testing.T) {
		t.Parallel()
		hydrate(t, developed)
	})
}

// hydrate loads a page under the development server, twice: without a choice
// and with one. React finds on the client what it sent.
func hydrate(t *testing.T, h *host) {
	t.Helper()
	dir := nextApp(t, h)
	runNext(t, h, dir, "dev")
	c := &visitorClient{t: t, host: h, client: clientFrom(t, visitorInNorway, h.address)}
	c.until(http.MethodGet, "/", http.StatusOK)
	b := browsertest.Open(t)
	b.Visit("http://" + h.at() + "/")
	b.Asked()
	b.Until(`document.querySelector('#choice').textContent === 'no'`)
	b.Click("Accept all", "section")
	b.Until(`document.querySelector('#choice')?.textContent === 'yes'`)
	b.Visit("http://" + h.at() + "/")
	b.Until(`document.querySelector('#choice')?.textContent === 'yes'`)
	wantQuiet(t, b)
}

// useReact goes through the application: the hook says the choice, again after
// each change, and the router's navigations are counted.
func useReact(t *testing.T, r *rig, h *host) {
	t.Helper()
	b := browsertest.Open(t)
	b.Visit("http://" + h.at() + "/")
	b.Asked()
	b.Until(`document.querySelector('#choice').textContent === 'no'`)
	b.Click("Accept all", "section")
	b.Gone()
	b.Until(`document.querySelector('#choice').textContent === 'yes'`)
	b.Run(`document.querySelector('#track').click()`)
	b.Run(`document.querySelector('#next').click()`)
	b.Until(`document.querySelector('h1').textContent === 'Other' && location.pathname === '/other'`)
	r.wantRows("SELECT name, path FROM events WHERE site = '"+h.domain+"' AND (name = 'Pressed' OR path = '/other') ORDER BY name", "Pressed,/", "pageview,/other")
	b.Run(`history.back()`)
	b.Until(`document.querySelector('#choice')?.textContent === 'yes'`)
	b.Run(`document.querySelector('#open').click()`)
	b.Until(`$('dialog')?.open`)
	b.Click("Reject all", "dialog")
	b.Gone()
	b.Until(`document.querySelector('#choice').textContent === 'no'`)
	if got := browsertest.Eval[int](b, `document.querySelectorAll('script[src$="/s.js"]').length`); got != 1 {
		t.Errorf("%d script tags, want 1", got)
	}
	wantQuiet(t, b)
}

// nextApp writes an application below the folder of Next.js: it finds its
// packages there. Behind a web server it has the tag as it is printed, alone the
// package for React, and the file that says where visitors come from.
func nextApp(t *testing.T, h *host) (dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(nextFolder, "node_modules", "next")); err != nil {
		if os.Getenv("SLUICE_REQUIRE_HOSTS") != "" {
			t.Fatal("Next.js is not installed: run make hosts: ", err)
		}
		t.Skip("Next.js is not installed")
	}
	apps := filepath.Join(nextFolder, "apps")
	if err := os.MkdirAll(apps, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(apps, "app-")
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		_ = os.Remove(apps) // while other applications are there it stays
	})
	for from, to := range map[string]string{
		filepath.Join(nextFolder, "app"): filepath.Join(dir, "app"),
		"../../static/npm/dist":          filepath.Join(dir, "node_modules/@sluice/react/dist"),
	} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	manifest, err := os.ReadFile("../../static/npm/package.json")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "node_modules/@sluice/react/package.json", "%s", manifest)
	write(t, dir, "next.config.mjs", "%s", h.snippet(t, "next", "proxy"))
	imports, tag := "", h.snippet(t, "next", "tag")
	if h.naive {
		imports, tag = `import { SluiceScript } from '@sluice/react';`, `<SluiceScript site="`+h.domain+`" />`
		write(t, dir, "proxy.js", "%s", h.snippet(t, "next", "address"))
	}
	write(t, dir, "app/layout.js", `%s
export const metadata = { title: 'Home', icons: { icon: 'data:,' } };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        %s
        {children}
        %s
      </body>
    </html>
  );
}
`, imports, tag, h.snippet(t, "next", "noscript"))
	return dir
}

var nextEnvironment = []string{"NEXT_TELEMETRY_DISABLED=1", "NO_COLOR=1"}

// runNext starts Next.js by its script: npm's own wrapper would stay behind.
func runNext(t *testing.T, h *host, dir, command string) {
	t.Helper()
	address, port, err := net.SplitHostPort(h.behind)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, dir, nextEnvironment, "node", "../../node_modules/next/dist/bin/next", command, "-H", address, "-p", port)
}

func beginBuilt(t *testing.T, h *host) {
	t.Helper()
	dir := nextApp(t, h)
	build := exec.CommandContext(t.Context(), "node", "../../node_modules/next/dist/bin/next", "build")
	build.Dir, build.Env = dir, append(os.Environ(), nextEnvironment...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("next build: %v\n%s", err, out)
	}
	runNext(t, h, dir, "start")
}

// wantQuiet fails on errors and warnings in the console: a hydration that did
// not find what the server sent is one.
func wantQuiet(t *testing.T, b *browsertest.Tab) {
	t.Helper()
	for _, line := range b.Console() {
		for _, kind := range []string{"error", "warning", "exception"} {
			if strings.HasPrefix(line, kind) {
				t.Errorf("the console says %q", line)
			}
		}
	}
}
