package importer

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"sluice/collector/enrich"
)

// maxLine bounds a line of a log or of JSON.
const maxLine = 4 << 20

// lines calls fn for every line of a part, numbered from 1.
func lines(p part, fn func(n int, line string) error) error {
	s := bufio.NewScanner(p.r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	for s.Scan() {
		n++
		if err := fn(n, s.Text()); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return &FileError{File: p.name, Line: n + 1, Problem: err.Error()}
	}
	return nil
}

// assets are the endings of files that belong to a page and are none.
var assets = []string{
	".css", ".js", ".mjs", ".map", ".json", ".xml", ".txt", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico",
	".woff", ".woff2", ".ttf", ".otf", ".eot", ".mp4", ".webm", ".mp3", ".zip", ".gz", ".pdf", ".webmanifest", ".wasm",
}

// readLog reads an access log in the combined format, or in Apache's
// vhost_combined, which begins with HOST:PORT of the server and a space:
//
//	ADDRESS - USER [31/Dec/2025:10:00:00 +0100] "GET /path HTTP/1.1" 200 512 "REFERRER" "USER AGENT"
//
// A pageview is a GET that was answered with 2xx or 304, of no file that belongs
// to a page, by no bot. The address goes into a hash of this run and no further:
// it is looked up nowhere.
func (r *run) readLog(p part) error {
	devices := enrich.NewDevices(4000)
	return lines(p, func(n int, line string) error {
		if line == "" {
			return nil
		}
		e, problem := parseCombined(line)
		if problem != "" {
			return &FileError{File: p.name, Line: n, Problem: problem}
		}
		switch {
		case e.method != "GET":
			r.skip("other methods than GET")
			return nil
		case e.status[0] != '2' && e.status != "304":
			r.skip("answers other than 2xx and 304")
			return nil
		case slices.Contains(assets, strings.ToLower(path.Ext(e.url.Path))):
			r.skip("files that belong to pages")
			return nil
		}
		device := devices.Read(enrich.Agent{UserAgent: strings.Clone(e.agent[:min(len(e.agent), 512)])})
		if device.Bot != "" || e.agent == "" || e.agent == "-" {
			r.skip("bots")
			return nil
		}
		return r.hit(hit{
			at: e.at, visitor: r.hits.key(e.address, e.agent), name: pageview, url: e.url, from: e.referrer,
			of: []string{"browser", device.Browser, "os", device.OS, "device", device.Class},
		})
	})
}

// entry is one line of a log.
type entry struct {
	address, method, status, referrer, agent string
	at                                       time.Time
	url                                      enrich.Address
}

// parseCombined takes a line apart, or says what is wrong with it.
func parseCombined(line string) (e entry, problem string) {
	head, rest, ok := strings.Cut(line, " [")
	when, rest, ok2 := strings.Cut(rest, "] ")
	if !ok || !ok2 {
		return e, "has no time in brackets: wanted is the combined log format"
	}
	if e.address, ok = visitorAddress(head); !ok {
		return e, "has neither an IP address nor a host name where the address should be: wanted is the combined log format, or vhost_combined"
	}
	var err error
	if e.at, err = time.Parse("02/Jan/2006:15:04:05 -0700", when); err != nil {
		return e, fmt.Sprintf("the time %q is not like 31/Dec/2025:10:00:00 +0100", when)
	}
	request, rest, ok := quoted(rest)
	if !ok {
		return e, "has no request in quotes"
	}
	var target string
	e.method, target, _ = strings.Cut(request, " ")
	target, _, _ = strings.Cut(target, " ")
	e.status, rest, _ = strings.Cut(strings.TrimPrefix(rest, " "), " ")
	if len(e.status) != 3 || strings.Trim(e.status, "0123456789") != "" {
		return e, fmt.Sprintf("the status %q is no number of three digits", e.status)
	}
	_, rest, _ = strings.Cut(rest, " ") // bytes
	if e.referrer, rest, ok = quoted(rest); !ok {
		return e, "has no referrer in quotes: the common log format does not name it, wanted is the combined one"
	}
	if e.agent, _, ok = quoted(strings.TrimPrefix(rest, " ")); !ok {
		return e, "has no user agent in quotes"
	}
	if a, absolute := enrich.ParseAddress(target); absolute {
		e.url = a
		return e, ""
	}
	e.url.Path, e.url.Query, _ = strings.Cut(target, "?")
	return e, ""
}

// visitorAddress finds the visitor's address in what stands before the time.
func visitorAddress(head string) (string, bool) {
	first, rest, _ := strings.Cut(head, " ")
	if address := strings.TrimSuffix(first, ","); isAddress(address) { // a comma: the first that X-Forwarded-For names
		return address, true
	}
	host, port, err := net.SplitHostPort(first)
	if err != nil || !isAddress(host) || port == "" || strings.Trim(port, "0123456789") != "" {
		return "", false
	}
	second, _, _ := strings.Cut(rest, " ")
	return second, isAddress(second)
}

// isAddress reports whether a word is an IP address or a host name.
func isAddress(word string) bool {
	if _, err := netip.ParseAddr(word); err == nil {
		return true
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return strings.Trim(word, "-._") != "" && strings.Trim(word, letters+"-._") == ""
}

// quoted reads a text in quotes in which \" stands for a quote.
func quoted(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return strings.ReplaceAll(s[1:i], `\"`, `"`), s[i+1:], true
		}
	}
	return "", s, false
}
