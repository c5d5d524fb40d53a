package standintest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Visitors and people of this repository's tests: they are found in forms as
// well in which a stranger's address could not be told from anything else.
var (
	visitors = []string{
		"203.0.113.1", "203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.9", "203.0.113.77", "203.0.113.200", "198.51.100.9", "198.51.100.77",
		"81.2.69.142", "2001:4860:4860:1b::8888", "2001:db8::1", "2001:db8::7", "2001:db8::9", "2001:db8:77:1:2:3:4:5",
	}
	people = []string{"ada@example.com", "ada@example.org", "eve@example.com", "bob@example.com", "nobody@example.com"}
)

// telling are headers that say where a request, or what is in it, came from.
var telling = []string{
	"Cookie", "Set-Cookie", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip",
	"Cf-Connecting-Ip", "Fastly-Client-Ip", "Forwarded", "Via", "Referer", "Origin", "Authorization", "Sluice-Token",
}

// needle is one way to write an address or an e-mail address down.
type needle struct {
	name  string
	bytes []byte
	// alone: only where neither a digit nor a letter touches it; in random names
	// it would turn up by chance.
	alone bool
}

// Scan says what a request tells that none may, in its headers, its URL and its
// body: as it is written, percent-encoded, and inside of JSON.
func Scan(r *http.Request, body []byte, ownHosts ...string) (found []string) {
	for _, name := range telling {
		if len(r.Header[name]) > 0 {
			found = append(found, "header "+name)
		}
	}
	for name, values := range r.Header {
		found = append(found, scan("header "+name, strings.Join(values, "\n"), ownHosts)...)
	}
	found = append(found, scan("the URL", r.URL.RequestURI(), ownHosts)...)
	return append(found, scan("the body", string(body), ownHosts)...)
}

func scan(where, text string, ownHosts []string) (found []string) {
	for _, spelt := range spellings(text) {
		for _, what := range slices.Concat(literals(spelt, ownHosts), known(spelt)) {
			found = append(found, what+" in "+where)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// spellings is a text as it stands and with its encodings taken off, as often
// as there are any.
func spellings(text string) []string {
	out := []string{text}
	var decoded any
	if json.Unmarshal([]byte(text), &decoded) == nil {
		var inside strings.Builder
		strung(&inside, decoded)
		out = append(out, inside.String())
	}
	for i := 0; i < len(out) && len(out) < 8; i++ {
		for _, plain := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape} {
			if s, err := plain(out[i]); err == nil && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// strung writes every text of a JSON value, keys too, on a line each.
func strung(to *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		to.WriteString(v + "\n")
	case []any:
		for _, item := range v {
			strung(to, item)
		}
	case map[string]any:
		for key, item := range v {
			to.WriteString(key + "\n")
			strung(to, item)
		}
	}
}

var (
	mail = regexp.MustCompile(`[\pL\pN._+-]+@[\pL\pN-]+(\.[\pL\pN-]+)+`)
	// maybe is what could be an address; ParseAddr decides.
	maybe = regexp.MustCompile(`[0-9A-Fa-f:.]*[0-9A-Fa-f][:.][0-9A-Fa-f:.]*|::[0-9A-Fa-f:.]*`)
)

// literals finds whatever reads as an address or as an e-mail address.
func literals(text string, ownHosts []string) (found []string) {
	if m := mail.FindString(text); m != "" {
		found = append(found, fmt.Sprintf("e-mail address %q", m))
	}
	for _, at := range maybe.FindAllStringIndex(text, -1) {
		token := strings.Trim(text[at[0]:at[1]], ".")
		addr, err := netip.ParseAddr(token)
		if err != nil && strings.Count(token, ":") == 1 { // with a port
			host, _, _ := strings.Cut(token, ":")
			addr, err = netip.ParseAddr(host)
		}
		if err != nil || addr.IsUnspecified() || slices.Contains(ownHosts, addr.String()) {
			continue
		}
		if addr.Is6() && (wordAt(text, at[0]-1) || wordAt(text, at[1])) {
			continue // a name of a program's, as std::dead
		}
		found = append(found, fmt.Sprintf("address %q", token))
	}
	return found
}

func wordAt(s string, i int) bool {
	return i >= 0 && i < len(s) && (s[i] == '_' || s[i] >= '0' && s[i] <= '9' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 0x80)
}

// known finds the addresses and e-mail addresses of the tests in other forms.
func known(text string) (found []string) {
	content := []byte(text)
	lower := bytes.ToLower(content)
	for _, n := range needles() {
		if holds(content, n) || holds(lower, n) {
			found = append(found, n.name)
		}
	}
	return found
}

func holds(content []byte, n needle) bool {
	for from := 0; ; {
		i := bytes.Index(content[from:], n.bytes)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(n.bytes)
		if !n.alone || !wordAt(string(content[max(0, start-1):start]), 0) && !wordAt(string(content[end:min(len(content), end+1)]), 0) {
			return true
		}
		from = start + 1
	}
}

// needles are all forms that known looks for.
var needles = sync.OnceValue(func() (out []needle) {
	for _, text := range visitors {
		out = append(out, ofAddress(netip.MustParseAddr(text))...)
	}
	for _, text := range people {
		for name, b := range map[string][]byte{"": []byte(text), "base64 of ": []byte(base64.RawStdEncoding.EncodeToString([]byte(text)))} {
			out = append(out, needle{name: name + "e-mail address " + text, bytes: b})
		}
		s256, s1, m5 := sha256.Sum256([]byte(text)), sha1.Sum([]byte(text)), md5.Sum([]byte(text))
		for _, sum := range [][]byte{s256[:], s1[:], m5[:]} {
			out = append(out,
				needle{name: "hash of e-mail address " + text, bytes: []byte(hex.EncodeToString(sum))},
				needle{name: "hash of e-mail address " + text, bytes: []byte(base64.RawStdEncoding.EncodeToString(sum))},
				needle{name: "hash of e-mail address " + text, bytes: []byte(base64.RawURLEncoding.EncodeToString(sum))})
		}
	}
	return out
})

func ofAddress(a netip.Addr) []needle {
	full := a.As16()
	name := "address " + a.String()
	out := []needle{
		{name + " as text", []byte(a.String()), true},
		{name + " as text, expanded", []byte(a.StringExpanded()), true},
		{name + " as bytes", full[:], false},
		{name + " in hex", []byte(hex.EncodeToString(full[:])), false},
		{name + " in base64", []byte(base64.RawStdEncoding.EncodeToString(full[:])), false},
	}
	if !a.Is4() {
		return out
	}
	b := a.As4()
	n := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	dotted := a.String()
	return append(out,
		needle{name + " as a number", []byte(strconv.FormatUint(n, 10)), true},
		needle{name + " in hex", []byte(fmt.Sprintf("%08x", n)), true},
		needle{name + " written with dashes", []byte(strings.ReplaceAll(dotted, ".", "-")), true},
		needle{name + " without its last number", []byte(dotted[:strings.LastIndex(dotted, ".")+1]), false},
	)
}
