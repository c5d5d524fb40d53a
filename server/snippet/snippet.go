// Package snippet writes what a site's developer pastes: the stanza that hands
// Sluice's doors on, the script tag, and the link that works without
// JavaScript.
//
// # Why templates, one for each program
//
// Each is proved against the program itself in server/e2e, and shown in
// docs/install.md as it is printed; both read the same template.
package snippet

import (
	"cmp"
	"embed"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"text/template"
)

//go:embed targets/*.tmpl
var files embed.FS

// The parts that a target may have, in the order in which they are pasted.
var order = []string{"config", "proxy", "address", "tag", "noscript"}

// Installation is what the templates speak of.
type Installation struct {
	Domain   string // of the site
	Scheme   string // of the doors, as browsers reach them; "" is https
	Host     string // under which browsers reach the doors, with a port where it is not the scheme's own; mostly Domain
	Base     string // the path that is handed on: /_s, without a slash at its end
	Upstream string // of Sluice: http://127.0.0.1:8080, without a slash at its end, or unix:/path
	Stripped bool   // Base is taken off before Sluice sees it
	// RootDoors are paths beside Base that are handed on as they are: the doors
	// of trackers whose address cannot be set.
	RootDoors []string
}

// Part is one thing to paste.
type Part struct {
	Name     string // config, proxy, address, tag or noscript
	Where    string // it belongs
	Language string // as a fenced block of Markdown names it
	Text     string // ends with a line break
}

// Targets lists what For knows.
func Targets() []string {
	entries, err := files.ReadDir("targets")
	if err != nil {
		panic(fmt.Sprintf("snippet: %v", err)) // embedded: cannot happen
	}
	var names []string
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".tmpl"); name != common {
			names = append(names, name)
		}
	}
	return names
}

// common is the template that every target shares.
const common = "page"

// sockets are the targets that reach a unix socket.
var sockets = []string{"apache", "caddy", "nginx", "static"}

// For returns the parts for a target. Each template defines, for a part P that
// it has, "P" and "P where"; the page's own parts are common.
func For(target string, in Installation) ([]Part, error) {
	if !slices.Contains(Targets(), target) {
		return nil, fmt.Errorf("there is no snippet for %q; there is one for %s", target, strings.Join(Targets(), ", "))
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.Socket() != "" && !slices.Contains(sockets, target) {
		return nil, fmt.Errorf("%s reaches no unix socket, and Sluice listens at %s: let server.listen be an address, and name it with --upstream http://127.0.0.1:8080", target, in.Upstream)
	}
	t, err := template.ParseFS(files, path.Join("targets", common+".tmpl"), path.Join("targets", target+".tmpl"))
	if err != nil {
		return nil, fmt.Errorf("parse the template of %s: %w", target, err)
	}
	var parts []Part
	for _, name := range order {
		text, err := run(t, name, in)
		if err != nil || text == "" {
			if err != nil {
				return nil, err
			}
			continue
		}
		where, err := run(t, name+" where", in)
		if err != nil {
			return nil, err
		}
		language, where, _ := strings.Cut(where, ": ")
		parts = append(parts, Part{name, strings.TrimSuffix(where, "\n"), language, text})
	}
	return parts, nil
}

// run executes one of the templates; "" where there is none of this name.
func run(t *template.Template, name string, in Installation) (string, error) {
	if t.Lookup(name) == nil {
		return "", nil
	}
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, name, in); err != nil {
		return "", fmt.Errorf("write the part %q: %w", name, err)
	}
	text := strings.TrimSpace(b.String())
	if text == "" {
		return "", nil
	}
	return text + "\n", nil
}

// check refuses what would change the meaning of a template: everything here
// is pasted into the configuration of another program.
func (in Installation) check() error {
	if in.Scheme != "" && in.Scheme != "http" && in.Scheme != "https" {
		return fmt.Errorf("%q is neither http nor https", in.Scheme)
	}
	for _, host := range []string{in.Domain, in.Host} {
		if host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._[]:") != "" {
			return fmt.Errorf("%q is not a host's name in lower case", host)
		}
	}
	if in.Base == "" || in.Base[0] != '/' || strings.Trim(in.Base, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/") != "" || path.Clean(in.Base) != in.Base || in.Base == "/" {
		return fmt.Errorf("%q is not a path such as /_s", in.Base)
	}
	for _, door := range in.RootDoors {
		if strings.Trim(door, "abcdefghijklmnopqrstuvwxyz/") != "" || !strings.HasPrefix(door, "/") {
			return fmt.Errorf("%q is not the path of a door", door)
		}
	}
	if file := in.Socket(); file != "" {
		if strings.Trim(file, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@+") != "" || !path.IsAbs(file) {
			return fmt.Errorf("%q is not a socket such as unix:/run/sluice.sock, of letters, digits and - . _ @ + alone", in.Upstream)
		}
		return nil
	}
	u, err := url.Parse(in.Upstream)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(in.Upstream, "\"'` {};\\$") || u.Path != "" || u.RawQuery != "" {
		return fmt.Errorf("%q is not an address such as http://127.0.0.1:8080 or unix:/run/sluice.sock", in.Upstream)
	}
	return nil
}

// Target is the path below Upstream that stands for Base.
func (in Installation) Target() string {
	if in.Stripped {
		return ""
	}
	return in.Base
}

// At is in where browsers reach the doors at a site's public_url.
func (in Installation) At(publicURL string) Installation {
	u, err := url.Parse(publicURL)
	if err != nil {
		return in // the configuration takes no such address
	}
	in.Scheme, in.Host = u.Scheme, strings.ToLower(u.Host)
	if port := u.Port(); port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		in.Host = strings.TrimSuffix(in.Host, ":"+port)
	}
	return in
}

// Origin is scheme, host and port of the doors.
func (in Installation) Origin() string {
	return cmp.Or(in.Scheme, "https") + "://" + in.Host
}

// Site is Origin as Caddy writes it, which takes https for granted.
func (in Installation) Site() string { return strings.TrimPrefix(in.Origin(), "https://") }

// Address is Base as the page names it: a path, or where that would lead
// elsewhere, to another host or port than the page's, a URL.
func (in Installation) Address() string {
	if in.Host == in.Domain || in.Host == "www."+in.Domain {
		return in.Base
	}
	return in.Origin() + in.Base
}

// Socket is the path of the unix socket that Upstream names; "" for none.
func (in Installation) Socket() string {
	if file, ok := strings.CutPrefix(in.Upstream, "unix:"); ok {
		return file
	}
	return ""
}

// Dial is Upstream as Caddy writes it, without its scheme where that is the
// usual one.
func (in Installation) Dial() string {
	if file := in.Socket(); file != "" {
		return "unix/" + file
	}
	return strings.TrimPrefix(in.Upstream, "http://")
}

// Nginx is Upstream as nginx writes it: a path may follow.
func (in Installation) Nginx() string {
	if file := in.Socket(); file != "" {
		return "http://unix:" + file + ":"
	}
	return in.Upstream
}

// Apache is Upstream as Apache writes it: a path may follow.
func (in Installation) Apache() string {
	if file := in.Socket(); file != "" {
		return "unix:" + file + "|http://localhost"
	}
	return in.Upstream
}

// Remote says that Upstream is another machine or container: its address is
// not among those that Sluice trusts unasked.
func (in Installation) Remote() bool {
	u, err := url.Parse(in.Upstream)
	if err != nil || u.Hostname() == "localhost" || in.Socket() != "" {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err != nil || !a.IsLoopback()
}

// UpstreamOf is where a proxy on the same machine reaches what listens on
// address: a wildcard is any address, so the loopback one as well. A socket is
// its own.
func UpstreamOf(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Tag is the script tag as HTML, for the parts and for whoever recommends it.
func (in Installation) Tag() string {
	return fmt.Sprintf(`<script async src="%s/s.js" data-site="%s" data-cfasync="false" nowprocket data-no-optimize="1" data-no-defer="1"></script>`, in.Address(), in.Domain)
}
