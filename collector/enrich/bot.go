package enrich

import "strings"

// IsBot reports whether a user agent names a program rather than a browser.
// It goes by what a program says of itself: who hides is not found, and an
// empty header says nothing, since privacy tools strip headers.
func IsBot(userAgent string) bool {
	ua := strings.ToLower(userAgent)
	for _, mark := range botMarks {
		if strings.Contains(ua, mark) {
			return true
		}
	}
	// "bot" ends a word in a crawler's name; CUBOT makes telephones.
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

// botMarks are parts of names of crawlers, monitors, HTTP libraries and
// automated browsers, lower case.
var botMarks = []string{
	"headless", "phantomjs", "slimerjs", "selenium", "puppeteer", "playwright", "cypress/", "electron-crawler",
	"crawl", "spider", "slurp", "scrapy", "archiver", "facebookexternalhit", "mediapartners-google", "google-inspectiontool",
	"bingpreview", "skypeuripreview", "whatsapp/", "embedly", "quora link preview", "gptbot", "chatgpt-user", "perplexity-user",
	"chrome-lighthouse", "pagespeed", "gtmetrix", "pingdom", "uptime", "statuscake", "site24x7", "newrelicpinger", "datadogsynthetics",
	"curl/", "wget/", "httpie/", "python-", "python/", "aiohttp", "go-http-client", "java/", "apache-httpclient", "libwww",
	"okhttp", "axios/", "node-fetch", "undici", "got (", "guzzle", "ruby/", "perl/", "php/", "postmanruntime", "insomnia/",
}
