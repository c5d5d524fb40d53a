package e2e

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/andybalholm/brotli"

	"sluice/server"
)

// program finds what make installs from Debian; a machine without it fails
// where SLUICE_REQUIRE_HOSTS says so, as in CI.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, candidate := range []string{name, "/usr/sbin/" + name} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path
			}
		}
	}
	if os.Getenv("SLUICE_REQUIRE_HOSTS") != "" {
		t.Fatalf("there is no %s: run make hosts", names[0])
	}
	t.Skipf("there is no %s", names[0])
	return ""
}

// begin starts a program in a process group of its own; the whole group is
// gone when the test ends.
func begin(t *testing.T, dir string, environment []string, name string, args ...string) {
	t.Helper()
	said := &logs{}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, said, said
	cmd.Env = append(os.Environ(), environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have gone already
		_ = cmd.Wait()                                      // was killed: says so
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said.tail(40))
		}
	})
}

// write fills a file below a folder and returns its path.
func write(t *testing.T, dir, name, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(fmt.Sprintf(format, args...)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pages are the site itself: one page with what the snippet says goes in it,
// and a folder that shows where it is.
func pages(t *testing.T, h *host, target string) string {
	t.Helper()
	dir := openFolder(t)
	write(t, dir, "www/index.html", `<!doctype html><html lang="en"><head><title>Home</title><link rel="icon" href="data:,">
%s</head><body><h1>A page</h1>%s</body></html>`, h.snippet(t, target, "tag"), h.snippet(t, target, "noscript"))
	return dir
}

// nginxFrame is the part of nginx's configuration that every test has.
const nginxFrame = `%[1]s
daemon off; worker_processes 1; pid %[2]s/nginx.pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/f; uwsgi_temp_path %[2]s/u; scgi_temp_path %[2]s/s;
  types { text/html html; text/javascript js; }
  proxy_cache_path %[2]s/cache keys_zone=pages:1m;
  server {
    listen %[3]s;
%[4]s
  }
}
`

// unprivileged is a line for root alone: a web server's workers leave its
// privileges, Apache's must.
func unprivileged(line string) string {
	if os.Getuid() != 0 {
		return ""
	}
	return line
}

// openFolder is a temporary folder that a web server's workers may read, and
// write below run.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-host")
	if err == nil {
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "run"), 0o755), os.Chmod(filepath.Join(dir, "run"), 0o777))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// beginNginx serves the site with all that a busy nginx has around the
// snippet: a cache for everything that hides cookies, expiry dates, a location
// for .js files, error pages of its own, gzip.
func beginNginx(t *testing.T, h *host) {
	name, dir := program(t, "nginx"), pages(t, h, "nginx")
	block := fmt.Sprintf(`    root %s/www;
    gzip on; gzip_types text/javascript application/json; gzip_min_length 1;
    expires 1y;
    proxy_cache pages; proxy_cache_valid any 10m; proxy_ignore_headers Cache-Control Set-Cookie Expires Vary; proxy_hide_header Set-Cookie;
    proxy_intercept_errors on; error_page 404 409 /index.html;
    location ~* \.(js|css|json)$ { expires max; }
%s`, dir, h.snippet(t, "nginx", "proxy"))
	conf := write(t, dir, "nginx.conf", nginxFrame, unprivileged("user nobody nogroup;"), dir, h.behind, block)
	begin(t, dir, nil, name, "-p", dir, "-c", conf)
}

// beginCache puts an nginx that caches all it may in front of the host, which
// moves to another port.
func beginCache(t *testing.T, h *host) {
	name, dir := program(t, "nginx"), openFolder(t)
	block := fmt.Sprintf(`    proxy_cache pages; proxy_cache_valid 200 10m; add_header X-Cache $upstream_cache_status always;
    location / {
      proxy_pass http://%s;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }`, h.behind)
	conf := write(t, dir, "nginx.conf", nginxFrame, unprivileged("user nobody nogroup;"), dir, h.address, block)
	begin(t, dir, nil, name, "-p", dir, "-c", conf)
}

func beginCaddy(t *testing.T, h *host) {
	name, dir := program(t, "caddy"), pages(t, h, "caddy")
	conf := write(t, dir, "Caddyfile", `{
	admin off
	auto_https off
	storage file_system %[1]s/storage
}
http://%[2]s {
	bind 127.0.0.1
	encode gzip zstd
%[3]s
	handle {
		root * %[1]s/www
		try_files {path} /index.html
		file_server
	}
}
`, dir, h.at(), h.snippet(t, "caddy", "proxy"))
	begin(t, dir, []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir}, name, "run", "--config", conf, "--adapter", "caddyfile")
}

// TestStaticHost has Caddy judge the whole host that pages on somebody else's
// server load Sluice from; certificates for it cannot be had here.
func TestStaticHost(t *testing.T) {
	t.Parallel()
	name, dir := program(t, "caddy"), openFolder(t)
	var out bytes.Buffer
	if err := server.Run(t.Context(), []string{"snippet", "static", "--site", "example.com", "--only", "proxy", "--config", write(t, dir, "sluice.yaml", "sites: [{domain: example.com}]\n")}, strings.NewReader(""), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	adapt := exec.CommandContext(t.Context(), name, "adapt", "--config", write(t, dir, "Caddyfile", "%s", out.String()), "--adapter", "caddyfile")
	adapt.Env = append(os.Environ(), "HOME="+dir)
	got, err := adapt.Output()
	if err != nil || !strings.Contains(string(got), `"host":["stats.example.com"]`) || !strings.Contains(string(got), `"dial":"127.0.0.1:8080"`) {
		t.Errorf("caddy adapt: %v\n%s\nof\n%s", err, got, out.String())
	}
}

// apacheFrame is the part of Apache's configuration that every test has.
const apacheFrame = `%[1]s
ServerName %[2]s
Listen %[3]s
PidFile %[4]s/run/apache.pid
DefaultRuntimeDir %[4]s
Mutex sem
ErrorLog /dev/stderr
StartServers 1
MinSpareThreads 1
ThreadsPerChild 8
MaxRequestWorkers 8
DocumentRoot %[4]s/www
TypesConfig /dev/null
AddType text/html .html
AddType text/javascript .js
DirectoryIndex index.html
`

func apacheModules(extra ...string) string {
	var lines strings.Builder
	for _, m := range append([]string{"mpm_event", "authz_core", "mime", "dir", "headers", "proxy", "proxy_http", "rewrite", "filter", "deflate", "expires"}, extra...) {
		fmt.Fprintf(&lines, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	return lines.String()
}

// beginApache has expiry dates, gzip, a cache and error pages of its own around
// the snippet, and the usual rewriting of a single page's application.
func beginApache(t *testing.T, h *host) {
	name, dir := program(t, "apache2"), pages(t, h, "apache")
	conf := write(t, dir, "apache.conf", apacheFrame+`%[5]s
<Directory %[4]s/www>
  Require all granted
  FallbackResource /index.html
</Directory>
ExpiresActive On
ExpiresDefault "access plus 1 year"
ProxyErrorOverride On
SetOutputFilter DEFLATE
CacheRoot %[4]s/run
CacheEnable disk /
CacheIgnoreCacheControl On
CacheStoreNoStore On
CacheStorePrivate On
CacheIgnoreHeaders Set-Cookie
<VirtualHost %[3]s>
%[6]s
</VirtualHost>
`, apacheModules("cache", "cache_disk"), h.domain, h.behind, dir, unprivileged("User nobody\nGroup nogroup"), h.snippet(t, "apache", "proxy"))
	begin(t, dir, nil, name, "-DFOREGROUND", "-f", conf)
}

// beginHtaccess is WordPress's place without WordPress: its rewriting below
// the snippet, in .htaccess.
func beginHtaccess(t *testing.T, h *host) {
	name, dir := program(t, "apache2"), pages(t, h, "apache")
	write(t, dir, "www/.htaccess", `%s
# BEGIN WordPress
RewriteEngine On
RewriteBase /
RewriteRule ^index\.html$ - [L]
RewriteCond %%{REQUEST_FILENAME} !-f
RewriteCond %%{REQUEST_FILENAME} !-d
RewriteRule . /index.html [L]
# END WordPress
`, h.snippet(t, "wordpress", "proxy"))
	conf := write(t, dir, "apache.conf", apacheFrame+`%[5]s
<Directory %[4]s/www>
  Require all granted
  AllowOverride All
</Directory>
`, apacheModules(), h.domain, h.behind, dir, unprivileged("User nobody\nGroup nogroup"))
	begin(t, dir, nil, name, "-DFOREGROUND", "-f", conf)
}

// unpacked is the text of what brotli packed once.
func unpacked(t *testing.T, packed string) string {
	t.Helper()
	plain, err := io.ReadAll(brotli.NewReader(strings.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gzip.NewReader(strings.NewReader(string(plain))); err == nil {
		t.Error("packed twice")
	}
	return string(plain)
}
