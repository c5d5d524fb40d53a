package enrich

import (
	"strings"

	"github.com/x-way/crawlerdetect"
)

// Bot says what gives a program away that is no visitor's browser; "" for a
// visitor. A header that is missing gives nobody away: privacy tools strip
// headers.
type Bot string

// What gives programs away.
const (
	Crawler     Bot = "crawler"      // it says so itself, in its user agent
	Headless    Bot = "headless"     // a browser without a screen, or under a program's control
	Headers     Bot = "headers"      // its headers contradict each other
	DataCentre  Bot = "data_centre"  // its address belongs to one
	SpamAddress Bot = "spam_address" // the page it claims to come from is a spammer's
)

// bot goes by what the program says of itself; who hides is not found.
// parsed is mssola/useragent's verdict. It costs some 0.4 ms for an agent that
// was not seen before (see Devices): crawlerdetect's list is one expression of
// some thousand names.
func (a Agent) bot(parsed bool) Bot {
	ua := strings.ToLower(a.UserAgent)
	switch {
	case contains(ua, automation), strings.Contains(strings.ToLower(a.Brands), "headless"):
		return Headless
	case parsed, contains(ua, libraries), namesBot(ua), a.UserAgent != "" && crawlerdetect.IsCrawler(a.UserAgent):
		return Crawler
	case a.contradicts():
		return Headers
	}
	return ""
}

func contains(s string, marks []string) bool {
	for _, mark := range marks {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}

// namesBot finds names that end in "bot", lower case; CUBOT makes telephones.
func namesBot(ua string) bool {
	for rest := ua; ; {
		i := strings.Index(rest, "bot")
		if i < 0 {
			return false
		}
		cubot := strings.HasSuffix(rest[:i], "cu")
		rest = rest[i+len("bot"):]
		if !cubot && (rest == "" || !letter(rest[0])) {
			return true
		}
	}
}

// automation marks browsers that programs drive, lower case.
var automation = []string{"headless", "phantomjs", "slimerjs", "selenium", "puppeteer", "playwright", "cypress/", "electron-crawler"}

// libraries marks programs that crawlerdetect's list does not know, lower case.
var libraries = []string{
	"crawl", "chatgpt-user", "perplexity-user", "pagespeed", "python-", "python/", "aiohttp", "java/", "undici", "got (", "guzzle",
	"perl/", "php/", "insomnia/", "axios/", "node-fetch", "okhttp",
}

// contradicts compares headers that describe the same thing, where they are
// there. Chromium alone sends client hints (Sec-CH-UA), with the same major
// version as in its user agent; and a telephone's or Mac's user agent does not
// come from Windows. Within Linux, Android and Chrome OS anything goes: "show
// the desktop site" changes the one and not the other.
func (a Agent) contradicts() bool {
	ua := a.UserAgent
	if ua == "" {
		return false
	}
	if major := chromiumMajor(a.Brands); major != "" {
		_, after, found := strings.Cut(ua, "Chrome/")
		if said, _, _ := strings.Cut(leadingVersion(after), "."); !found || said != major {
			return true
		}
	}
	switch strings.Trim(a.Platform, `"`) {
	case "Windows":
		return !strings.Contains(ua, "Windows")
	case "macOS":
		return strings.Contains(ua, "Windows") || strings.Contains(ua, "Android")
	case "Android", "Linux", "Chrome OS", "Chromium OS":
		return strings.Contains(ua, "Windows") || strings.Contains(ua, "Macintosh") || strings.Contains(ua, "iPhone") || strings.Contains(ua, "iPad")
	}
	return false
}

// chromiumMajor returns the version of Chromium in a list of brands, "" where
// there is none.
func chromiumMajor(brands string) string {
	_, after, found := strings.Cut(brands, `"Chromium";v="`)
	if !found {
		return ""
	}
	major, _, _ := strings.Cut(leadingVersion(after), ".")
	return major
}
