package doctor

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
)

// policy is one Content-Security-Policy: sources by directive, as CSP3 parses
// them (the first of a name counts).
type policy map[string][]string

func parsePolicy(text string) policy {
	p := policy{}
	for _, directive := range strings.Split(text, ";") {
		words := strings.Fields(directive)
		if len(words) == 0 {
			continue
		}
		if name := strings.ToLower(words[0]); p[name] == nil {
			p[name] = append([]string{}, words[1:]...)
		}
	}
	return p
}

// first returns the sources of the first directive that the policy has, and
// its name; "" where it has none of them.
func (p policy) first(names ...string) ([]string, string) {
	for _, name := range names {
		if sources, ok := p[name]; ok {
			return sources, name
		}
	}
	return nil, ""
}

// examinePolicy checks each policy of the page against what Sluice does in it:
// load scripts from the doors, fetch there, and use one Trusted Types policy.
func (e *examination) examinePolicy(header http.Header, elements []element, tag *element) {
	var policies []string
	for _, line := range header.Values("Content-Security-Policy") {
		policies = append(policies, strings.Split(line, ",")...)
	}
	for _, el := range elements {
		if el.name == "meta" && strings.EqualFold(el.attr("http-equiv"), "Content-Security-Policy") {
			policies = append(policies, el.attr("content"))
		}
	}
	if len(policies) == 0 {
		e.ok("csp", "the page has no Content-Security-Policy that could be in the way")
		return
	}
	if e.base == nil {
		return
	}
	before := len(e.report.Findings)
	source := "'self'"
	if !e.allowsSelf() {
		source = e.base.Scheme + "://" + e.base.Host
	}
	for _, text := range policies {
		p := parsePolicy(text)
		if sources, name := p.first("script-src-elem", "script-src", "default-src"); name != "" && !e.allowsScripts(sources, tag) {
			e.wrong("csp", "script-src "+source, "the page's policy blocks Sluice's scripts: %s %s", name, strings.Join(sources, " "))
		}
		if sources, name := p.first("connect-src", "default-src"); name != "" && !e.allows(sources) {
			e.wrong("csp", "connect-src "+source, "the page's policy blocks choices and events: %s %s", name, strings.Join(sources, " "))
		}
		if types, ok := p["trusted-types"]; ok && !hasWord(types, "sluice") && !hasWord(types, "*") {
			e.wrong("csp", "trusted-types sluice "+strings.Join(types, " "), "the page's policy refuses Sluice's Trusted Types policy")
		}
	}
	if len(e.report.Findings) == before {
		e.ok("csp", "the page's Content-Security-Policy lets Sluice work")
	}
}

// allowsScripts: the tag itself, and what it inserts after it. A nonce lets in
// the tag alone; with 'strict-dynamic' what a script with a nonce inserts, too,
// and hosts no longer count.
func (e *examination) allowsScripts(sources []string, tag *element) bool {
	if hasWord(sources, "'strict-dynamic'") {
		return tag != nil && tag.attr("nonce") != "" && hasWord(sources, "'nonce-"+tag.attr("nonce")+"'")
	}
	return e.allows(sources)
}

// allows reports whether a source list has the doors.
func (e *examination) allows(sources []string) bool {
	for _, s := range sources {
		switch s = strings.ToLower(s[:len(s)-len(pathOf(s))]) + pathOf(s); {
		case s == "*", s == "'self'" && e.allowsSelf(), s == e.base.Scheme+":", s == "http:" && e.base.Scheme == "https":
			return true
		case strings.HasPrefix(s, "'"), strings.HasSuffix(s, ":"):
			continue
		case e.allowsHost(s):
			return true
		}
	}
	return false
}

// pathOf is the path of a source that names a host.
func pathOf(source string) string {
	start := 0
	if i := strings.Index(source, "://"); i >= 0 {
		start = i + len("://")
	}
	if i := strings.IndexByte(source[start:], '/'); i >= 0 {
		return source[start+i:]
	}
	return ""
}

// allowsSelf: the page's own origin, or its host by https.
func (e *examination) allowsSelf() bool {
	upgraded := e.page.Scheme == "http" && e.base.Scheme == "https" && usualPort(e.page) && usualPort(e.base)
	return strings.EqualFold(e.base.Hostname(), e.page.Hostname()) &&
		(upgraded || e.base.Scheme == e.page.Scheme && portOf(e.base) == portOf(e.page))
}

// allowsHost compares a source such as https://*.example.com:443/_s/ with the
// doors, part by part (CSP3 6.7.2.8 to 6.7.2.12). All of the doors have to be
// let in, so that a path which names one file is not enough.
func (e *examination) allowsHost(source string) bool {
	path := pathOf(source)
	scheme, host, named := strings.Cut(strings.TrimSuffix(source, path), "://")
	if !named {
		scheme, host = e.page.Scheme, scheme
	}
	host, port, _ := strings.Cut(host, ":")
	name := strings.ToLower(e.base.Hostname())
	if host != "*" && host != name && (!strings.HasPrefix(host, "*.") || !strings.HasSuffix(name, host[1:])) {
		return false
	}
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	return (scheme == e.base.Scheme || scheme == "http" && e.base.Scheme == "https") &&
		(port == "*" || port == portOf(e.base) || port == "" && usualPort(e.base)) &&
		(path == "" || strings.HasSuffix(path, "/") && strings.HasPrefix(e.base.Path, path))
}

var usualPorts = map[string]string{"http": "80", "https": "443"}

func portOf(u *url.URL) string { return cmp.Or(u.Port(), usualPorts[u.Scheme]) }

// usualPort reports whether nobody has to name the port.
func usualPort(u *url.URL) bool { return portOf(u) == usualPorts[u.Scheme] }

func hasWord(words []string, want string) bool {
	for _, w := range words {
		if strings.EqualFold(w, want) {
			return true
		}
	}
	return false
}
