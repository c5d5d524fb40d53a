package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/language"
)

// checker collects problems, each at the place of its path or of the nearest
// parent that the file names.
type checker struct {
	places   map[string]place
	problems []Problem
}

func (k *checker) say(path, format string, args ...any) {
	p := Problem{Path: path, Text: fmt.Sprintf(format, args...)}
	at := k.locate(path)
	p.Line, p.Column = at.line, at.column
	k.problems = append(k.problems, p)
}

func (k *checker) locate(path string) place {
	for {
		if at, ok := k.places[path]; ok {
			return at
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return place{}
		}
		path = path[:i]
	}
}

func (k *checker) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.say(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func (k *checker) required(path, value, why string) bool {
	if strings.TrimSpace(value) == "" {
		k.say(path, "is missing; %s", why)
		return false
	}
	return true
}

// unique reports the second appearance of each value.
func (k *checker) unique(seen map[string]string, path, value string) {
	if value == "" {
		return
	}
	if first, ok := seen[value]; ok {
		k.say(path, "%q is already used by %s", value, first)
		return
	}
	seen[value] = path
}

var (
	hostPattern    = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	slugPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)
	basePattern    = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
	headerPattern  = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)
	digestPattern  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	clusterPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`) // as in collector/store
	emailPattern   = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)
)

func isHost(s string) bool {
	return len(s) <= 253 && (hostPattern.MatchString(s) || net.ParseIP(s) != nil)
}

// notHost says that value is no host name, and what to do about it: to write
// its ASCII form, where it has one.
func (k *checker) notHost(path, value, remedy string) {
	name := strings.TrimPrefix(value, "*.")
	if ascii, err := idna.Lookup.ToASCII(name); err == nil && isHost(ascii) {
		remedy = "write its ASCII form, " + strings.TrimSuffix(value, name) + ascii
	}
	k.say(path, "%q is not a host name; %s", value, remedy)
}

// maxSocketPath is what an address of a unix socket holds, its last byte
// excepted (unix(7)).
const maxSocketPath = 107

// listen checks host:port or unix:/path.
func (k *checker) listen(path, value string) {
	if file, ok := strings.CutPrefix(value, "unix:"); ok {
		if file == "" {
			k.say(path, "names no socket; write unix:/run/sluice.sock")
		}
		if len(file) > maxSocketPath {
			k.say(path, "%s is longer than the %d bytes that the path of a socket may have", file, maxSocketPath)
		}
		return
	}
	host, port, err := net.SplitHostPort(value)
	n, convErr := strconv.Atoi(port)
	if err != nil || convErr != nil || n < 0 || n > 65535 || (host != "" && !isHost(strings.ToLower(host))) {
		k.say(path, "%q is not an address to listen on; write 127.0.0.1:8080, :8080 or unix:/run/sluice.sock", value)
	}
}

// webURL checks an absolute http(s) URL without query and fragment.
func (k *checker) webURL(path, value string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		k.say(path, "%q is not a web address; write https://example.com/path", value)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		k.say(path, "%q carries a login, a query or a fragment; leave it out", value)
	}
}

// link checks a web address that visitors follow; any query is allowed.
func (k *checker) link(path, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		k.say(path, "%q is not a web address; write https://example.com/privacy", value)
	}
}

// key checks 32 bytes in base64, any of its alphabets.
func (k *checker) key(path string, value Secret) {
	if b, err := DecodeKey(value); err != nil || len(b) != 32 {
		k.say(path, "is not base64 of 32 bytes; draw one with: openssl rand -base64 32")
	}
}

// DecodeKey reads a key from base64 in its standard or URL alphabet, padded or
// not.
func DecodeKey(s Secret) ([]byte, error) {
	text := strings.TrimRight(strings.TrimSpace(s.Reveal()), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("key is not base64: %w", err)
	}
	return b, nil
}

func (k *checker) paths(path string, list []string) {
	for i, p := range list {
		if !strings.HasPrefix(p, "/") {
			k.say(fmt.Sprintf("%s[%d]", path, i), "%q is not a path; begin with /", p)
		}
	}
}

func (k *checker) countries(path string, list []string) {
	for i, c := range list {
		if !countryPattern.MatchString(c) {
			k.say(fmt.Sprintf("%s[%d]", path, i), "%q is not a country; write two capital letters as in ISO 3166: DE", c)
		}
	}
}

func (k *checker) language(path, tag string) {
	if _, err := language.Parse(tag); err != nil {
		k.say(path, "%q is not a language; write de or pt-BR", tag)
	}
}

// suggest names the known key that a typing error is nearest to.
func suggest(key string, fields map[string]int) string {
	best, distance := "", 3
	known := make([]string, 0, len(fields))
	for field := range fields {
		known = append(known, field)
	}
	slices.Sort(known)
	for _, field := range known {
		if d := editDistance(key, field); d < distance {
			best, distance = field, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	return "; known here: " + strings.Join(known, ", ")
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
