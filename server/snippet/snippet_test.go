package snippet

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example() Installation {
	return Installation{Domain: "example.com", Host: "example.com", Base: "/_s", Upstream: "http://127.0.0.1:8080"}
}

func socket(in *Installation) { in.Upstream = "unix:/run/sluice.sock" }

func at(publicURL string) func(*Installation) {
	return func(in *Installation) { *in = in.At(publicURL) }
}

// TestInstallPage compares what docs/install.md shows with what is printed.
func TestInstallPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range Targets() {
		in := example()
		if target == "static" {
			in.Host = "stats.example.com"
		}
		parts, err := For(target, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if block := "```" + p.Language + "\n" + p.Text + "```\n"; !strings.Contains(string(page), block) {
				t.Errorf("docs/install.md does not show the part %s of %s as it is printed:\n%s", p.Name, target, block)
			}
		}
	}
}

func TestFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target, part string
		change       func(*Installation)
		want, not    string
	}{
		"kept":               {"nginx", "proxy", nil, "proxy_pass http://127.0.0.1:8080/_s/;", "/api/event"},
		"stripped":           {"nginx", "proxy", func(in *Installation) { in.Stripped = true }, "proxy_pass http://127.0.0.1:8080/;", "8080/_s"},
		"caddy stripped":     {"caddy", "proxy", func(in *Installation) { in.Stripped = true }, "handle_path /_s/*", "handle /_s"},
		"next stripped":      {"next", "proxy", func(in *Installation) { in.Stripped = true }, "destination: `${sluice}/:path*`", "${sluice}/_s"},
		"another path":       {"apache", "proxy", func(in *Installation) { in.Base = "/stats" }, `<Location "/stats/">`, "_s"},
		"root doors, nginx":  {"nginx", "proxy", func(in *Installation) { in.RootDoors = []string{"/api/event", "/count"} }, "location = /count {\n  proxy_pass http://127.0.0.1:8080;", ""},
		"root doors, caddy":  {"caddy", "proxy", func(in *Installation) { in.RootDoors = []string{"/api/event", "/count"} }, "path /api/event /count", ""},
		"root doors, apache": {"apache", "proxy", func(in *Installation) { in.RootDoors = []string{"/api/event", "/count"} }, `<Location "/count">`, ""},
		"root doors, next":   {"next", "proxy", func(in *Installation) { in.RootDoors = []string{"/api/event", "/count"} }, "source: '/api/event'", ""},
		"root doors, wp":     {"wordpress", "proxy", func(in *Installation) { in.RootDoors = []string{"/api/event", "/count"} }, "RewriteRule ^api/event$ http://127.0.0.1:8080/api/event [P,L]", ""},
		"www":                {"nginx", "tag", func(in *Installation) { in.Host = "www.example.com" }, `src="/_s/s.js"`, ""},
		"another host":       {"nginx", "tag", func(in *Installation) { in.Host = "stats.example.com" }, `src="https://stats.example.com/_s/s.js"`, ""},
		"another port":       {"nginx", "tag", at("https://stats.example.com:8443/_s"), `src="https://stats.example.com:8443/_s/s.js"`, ""},
		"its own port":       {"nginx", "noscript", at("https://example.com:8443/_s"), `href="https://example.com:8443/_s/choices"`, ""},
		"in the clear":       {"nginx", "tag", at("http://stats.example.com/_s"), `src="http://stats.example.com/_s/s.js"`, "https"},
		"the usual port":     {"nginx", "tag", at("https://Stats.example.com:443/_s"), `src="https://stats.example.com/_s/s.js"`, ""},
		"own, in the clear":  {"nginx", "tag", at("http://example.com:80/_s"), `src="/_s/s.js"`, ""},
		"next, with a port":  {"next", "tag", at("https://stats.example.com:8443/_s"), `src="https://stats.example.com:8443/_s/s.js"`, ""},
		"wp, with a port":    {"wordpress", "tag", at("https://stats.example.com:8443/_s"), `href="https://stats.example.com:8443/_s/choices"`, "stats.example.com/"},
		"static, its port":   {"static", "config", at("https://stats.example.com:8443/_s"), "public_url: https://stats.example.com:8443/_s", ""},
		"static, at a port":  {"static", "proxy", at("https://stats.example.com:8443/_s"), "stats.example.com:8443 {", "://"},
		"static, no TLS":     {"static", "proxy", at("http://stats.example.com/_s"), "http://stats.example.com {", ""},
		"container":          {"nginx", "config", func(in *Installation) { in.Upstream = "http://sluice:8080" }, "trusted_proxies", ""},
		"localhost":          {"nginx", "config", func(in *Installation) { in.Upstream = "http://localhost:8080" }, "", "trusted"},
		"the same machine":   {"nginx", "config", nil, "", "trusted"},
		"socket, nginx":      {"nginx", "proxy", socket, "proxy_pass http://unix:/run/sluice.sock:/_s/;", "http://unix:/run/sluice.sock;"},
		"socket, stripped":   {"nginx", "proxy", func(in *Installation) { socket(in); in.Stripped = true }, "proxy_pass http://unix:/run/sluice.sock:/;", ""},
		"socket, gpc":        {"nginx", "proxy", socket, "proxy_pass http://unix:/run/sluice.sock:;", ""},
		"socket, caddy":      {"caddy", "proxy", socket, "reverse_proxy unix//run/sluice.sock\n", ""},
		"socket, static":     {"static", "proxy", socket, "reverse_proxy unix//run/sluice.sock\n", ""},
		"socket, apache":     {"apache", "proxy", socket, `ProxyPass "unix:/run/sluice.sock|http://localhost/_s/" retry=1`, ""},
		"socket, config":     {"nginx", "config", socket, "", "trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := example()
			if c.change != nil {
				c.change(&in)
			}
			parts, err := For(c.target, in)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for _, p := range parts {
				if p.Name == c.part {
					got = p.Text
				}
			}
			if !strings.Contains(got, c.want) || c.want == "" && got != "" || c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("want %q, and not %q:\n%s", c.want, c.not, got)
			}
		})
	}
}

// TestRefused holds back what would mean something else where it is pasted.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Installation){
		"domain":   func(in *Installation) { in.Domain = `example.com" onload="x` },
		"protocol": func(in *Installation) { in.Scheme = "javascript" },
		"no host":  func(in *Installation) { in.Host = "" },
		"base":     func(in *Installation) { in.Base = "/_s { } location /" },
		"root":     func(in *Installation) { in.Base = "/" },
		"upstream": func(in *Installation) { in.Upstream = "http://127.0.0.1:8080;return 200" },
		"path":     func(in *Installation) { in.Upstream = "http://127.0.0.1:8080/_s" },
		"scheme":   func(in *Installation) { in.Upstream = "127.0.0.1:8080" },
		"socket":   func(in *Installation) { in.Upstream = "unix:/run/s.sock;return 200" },
		"relative": func(in *Installation) { in.Upstream = "unix:s.sock" },
		"nowhere":  func(in *Installation) { in.Upstream = "unix:" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := example()
			change(&in)
			if _, err := For("nginx", in); err == nil {
				t.Errorf("taken: %+v", in)
			}
		})
	}
	for _, target := range []string{"next", "wordpress"} {
		in := example()
		socket(&in)
		if _, err := For(target, in); err == nil || !strings.Contains(err.Error(), target+" reaches no unix socket") || !strings.Contains(err.Error(), "--upstream") {
			t.Errorf("%s at a socket: %v, want one that says what to do", target, err)
		}
	}
	if _, err := For("iis", example()); err == nil || !strings.Contains(err.Error(), "nginx") {
		t.Errorf("an unknown target: %v, want one that names the known", err)
	}
}

func TestUpstreamOf(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":8080": "http://127.0.0.1:8080", "0.0.0.0:80": "http://127.0.0.1:80",
		"[::]:8080": "http://127.0.0.1:8080", "[::1]:8080": "http://[::1]:8080", "10.1.2.3:8080": "http://10.1.2.3:8080",
		"unix:/run/sluice.sock": "unix:/run/sluice.sock",
	} {
		if got := UpstreamOf(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}

// TestWordPress runs the plugin in PHP with the two hooks that it uses.
func TestWordPress(t *testing.T) {
	t.Parallel()
	php, err := exec.LookPath("php")
	if err != nil {
		if os.Getenv("SLUICE_REQUIRE_HOSTS") != "" {
			t.Fatal("there is no php: run make hosts")
		}
		t.Skip("there is no php")
	}
	in := example()
	parts, err := For("wordpress", in)
	if err != nil {
		t.Fatal(err)
	}
	plugin, link := "", ""
	for _, p := range parts {
		switch p.Name {
		case "tag":
			plugin = p.Text
		case "noscript":
			link = p.Text
		}
	}
	file := filepath.Join(t.TempDir(), "sluice.php")
	if err := os.WriteFile(file, []byte(plugin), 0o600); err != nil {
		t.Fatal(err)
	}
	const wordpress = `
		function add_action($hook, $do, $priority = 10) { $GLOBALS['hooks'][$hook] = $do; }
		require $argv[1];
		foreach (['wp_head', 'wp_footer'] as $hook) { $GLOBALS['hooks'][$hook](); }`
	out, err := exec.CommandContext(t.Context(), php, "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-r", wordpress, "--", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(in.Tag()+"\n"+link, string(out)); diff != "" {
		t.Errorf("what WordPress puts into the page (-want +got):\n%s", diff)
	}
}
