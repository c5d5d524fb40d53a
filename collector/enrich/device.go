package enrich

import (
	"net/http"
	"strings"

	"github.com/mssola/useragent"
)

// Device is what is kept of a browser's description of itself.
type Device struct {
	Browser, BrowserVersion string // version: at most two numbers, "17.4"
	OS, OSVersion           string
	Class                   string // "desktop", "mobile", "tablet"; "" where nothing is known
	Bot                     Bot
}

// Agent is how a browser describes itself, in headers that it sends unasked:
// asking for more would be reading from the visitor's device.
type Agent struct {
	UserAgent string
	Brands    string // Sec-CH-UA
	Mobile    string // Sec-CH-UA-Mobile: "?1"
	Platform  string // Sec-CH-UA-Platform: "\"Windows\""
}

// ReadAgent takes an Agent out of a request. What is longer than any browser
// sends is cut.
func ReadAgent(h http.Header) Agent {
	return Agent{
		UserAgent: header(h, "User-Agent", 512), Brands: header(h, "Sec-Ch-Ua", 256),
		Mobile: header(h, "Sec-Ch-Ua-Mobile", 8), Platform: header(h, "Sec-Ch-Ua-Platform", 64),
	}
}

// header is h.Get for a canonical name, cut at limit bytes.
func header(h http.Header, name string, limit int) string {
	lines := h[name]
	if len(lines) == 0 {
		return ""
	}
	return lines[0][:min(len(lines[0]), limit)]
}

// Device reads the description. It costs about ten microseconds; see
// [Devices].
func (a Agent) Device() Device {
	if a.UserAgent == "" {
		return a.hinted(Device{Bot: a.bot(false)})
	}
	ua := useragent.New(a.UserAgent)
	d := Device{Bot: a.bot(ua.Bot()), Class: class(a.UserAgent)}
	d.Browser, d.BrowserVersion = browser(a.UserAgent, ua)
	d.OS, d.OSVersion = system(a.UserAgent, ua.OSInfo())
	d = a.hinted(d)
	d.BrowserVersion, d.OSVersion = short(d.BrowserVersion), short(d.OSVersion)
	d.Browser, _ = Cut(Clean(d.Browser), 64)
	d.OS, _ = Cut(Clean(d.OS), 64)
	return d
}

// hinted lets the client hints correct what user agents hide: Chromium's say
// "Windows NT 10.0", "K" and "Chrome" for whatever is really there.
func (a Agent) hinted(d Device) Device {
	if name, version := brand(a.Brands); name != "" {
		d.Browser, d.BrowserVersion = name, version
	}
	if p := strings.Trim(a.Platform, `"`); p != "" && p != "Unknown" {
		if p == "Chromium OS" {
			p = "Chrome OS"
		}
		if p != d.OS {
			d.OS, d.OSVersion = p, ""
		}
	}
	switch {
	case a.Mobile == "?1" && d.Class != "tablet":
		d.Class = "mobile"
	case a.Mobile == "?0" && d.Class == "":
		d.Class = "desktop"
	}
	return d
}

// brandNames are the browsers in Sec-CH-UA that a report tells apart.
var brandNames = map[string]string{
	"Google Chrome": "Chrome", "Microsoft Edge": "Edge", "Opera": "Opera", "Brave": "Brave", "Vivaldi": "Vivaldi",
	"YaBrowser": "Yandex Browser", "Yandex": "Yandex Browser", "Samsung Internet": "Samsung Internet", "DuckDuckGo": "DuckDuckGo",
}

// brand finds a known browser in a list like
// "Chromium";v="128", "Not;A=Brand";v="24", "Google Chrome";v="128".
func brand(list string) (name, version string) {
	for rest := list; rest != ""; {
		_, quoted, ok := strings.Cut(rest, `"`)
		if !ok {
			break
		}
		label, after, ok := strings.Cut(quoted, `"`)
		if !ok {
			break
		}
		rest = after
		known := brandNames[label]
		if v, ok := strings.CutPrefix(after, `;v="`); ok {
			version, rest, _ = strings.Cut(v, `"`)
		}
		if known != "" {
			return known, version
		}
	}
	return "", ""
}

// marked are browsers whose user agent carries another's name as well; the
// first mark that is found decides.
var marked = []struct{ mark, name string }{
	{"SamsungBrowser/", "Samsung Internet"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"Edg/", "Edge"}, {"OPR/", "Opera"}, {"OPT/", "Opera"}, {"OPX/", "Opera"},
	{"FxiOS/", "Firefox"}, {"Focus/", "Firefox"}, {"CriOS/", "Chrome"}, {"DuckDuckGo/", "DuckDuckGo"}, {"Ddg/", "DuckDuckGo"}, {"YaBrowser/", "Yandex Browser"},
	{"Vivaldi/", "Vivaldi"}, {"UCBrowser/", "UC Browser"}, {"MiuiBrowser/", "MIUI Browser"}, {"HuaweiBrowser/", "Huawei Browser"},
	{"Instagram ", "Instagram"}, {"FBAV/", "Facebook"}, {"GSA/", "Google App"}, {"Silk/", "Silk"}, {"Ecosia", "Ecosia"},
}

func browser(ua string, parsed *useragent.UserAgent) (name, version string) {
	for _, m := range marked {
		if _, after, ok := strings.Cut(ua, m.mark); ok {
			return m.name, leadingVersion(after)
		}
	}
	name, version = parsed.Browser()
	if name == "Safari" {
		// Its own number stands behind "Version"; the one at its name is WebKit's.
		if _, after, ok := strings.Cut(ua, "Version/"); ok {
			version = leadingVersion(after)
		}
	}
	return name, version
}

// leadingVersion returns the digits and dots that s begins with.
func leadingVersion(s string) string {
	for i := 0; i < len(s); i++ {
		if !digit(s[i]) && s[i] != '.' {
			return s[:i]
		}
	}
	return s
}

// system gives operating systems the names that people use.
func system(ua string, os useragent.OSInfo) (name, version string) {
	switch {
	case strings.Contains(ua, "iPad"):
		return "iPadOS", os.Version
	case strings.Contains(ua, "iPhone"), strings.Contains(ua, "iPod"):
		return "iOS", os.Version
	case strings.Contains(ua, "CrOS"):
		return "Chrome OS", ""
	case strings.HasPrefix(os.Name, "Mac OS X"), strings.HasPrefix(os.Name, "Intel Mac OS"):
		return "macOS", os.Version
	case strings.HasPrefix(os.Name, "Linux"), os.Name == "Ubuntu", os.Name == "Fedora":
		return "Linux", ""
	}
	return os.Name, os.Version
}

// class goes by what makers agreed on: telephones say "Mobile", tablets with
// Android do not (developer.chrome.com, "User-Agent on Android").
func class(ua string) string {
	mobile := strings.Contains(ua, "Mobi")
	tablet := strings.Contains(ua, "Tablet") && !strings.Contains(ua, "Tablet PC")
	switch {
	case strings.Contains(ua, "iPad"), tablet, !mobile && (strings.Contains(ua, "Android") || strings.Contains(ua, "Silk/")):
		return "tablet"
	case mobile, strings.Contains(ua, "iPhone"), strings.Contains(ua, "Opera Mini"):
		return "mobile"
	}
	return "desktop"
}

// short keeps the first two numbers of a version and drops a second one that
// says nothing: 128.0.6613.85 is 128, 17.4.1 is 17.4. Finer ones help to tell
// one visitor from another and no report.
func short(version string) string {
	version = leadingVersion(strings.ReplaceAll(version, "_", "."))
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	if major = major[:min(len(major), 6)]; minor == "" || minor == "0" {
		return major
	}
	return major + "." + minor[:min(len(minor), 6)]
}
