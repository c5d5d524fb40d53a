package enrich

import "strings"

// Source is who sent a visitor.
type Source struct {
	Name string // for people: "Google", "news.example"; "" for nobody
	Kind Kind
}

// Kind is what a source is, as far as channels care.
type Kind uint8

// Kinds of sources. The zero Kind is any other site.
const (
	Other Kind = iota
	Search
	Social
	Video
	Shopping
	Email
)

// SourceOf names a host.
func SourceOf(host string) Source {
	for h := host; h != ""; {
		if s, ok := hosts[h]; ok {
			return s
		}
		_, parent, ok := strings.Cut(h, ".")
		if !ok {
			break
		}
		h = parent
	}
	if s, ok := brands[brandOf(host)]; ok {
		return s
	}
	return Source{Name: strings.TrimPrefix(host, "www.")}
}

// SourceNamed reads what somebody wrote into utm_source or ref: a brand in any
// spelling, a host, or a name of their own.
func SourceNamed(name string) Source {
	low := strings.ToLower(name)
	if s, ok := brands[low]; ok {
		return s
	}
	if s, ok := aliases[low]; ok {
		return s
	}
	if strings.Contains(low, ".") {
		if host, ok := parseHost(low); ok {
			return SourceOf(host)
		}
	}
	return Source{Name: name}
}

// brandOf returns the label before the public suffix, taking a country's
// second level (co.uk, com.au) as part of it: "google" for www.google.co.uk.
func brandOf(host string) string {
	rest, tld, ok := cutLast(host)
	if !ok {
		return ""
	}
	upper, label, _ := cutLast(rest)
	if len(tld) == 2 && upper != "" {
		switch label {
		case "co", "com", "org", "net", "gov", "ac", "or", "ne":
			_, label, _ = cutLast(upper)
		}
	}
	return label
}

// cutLast splits host at its last dot; without one, all of it is last.
func cutLast(host string) (rest, last string, ok bool) {
	i := strings.LastIndexByte(host, '.')
	if i < 0 {
		return "", host, false
	}
	return host[:i], host[i+1:], true
}

// hosts are names that a brand's label alone would not tell apart; a host also
// stands for everything below it.
var hosts = map[string]Source{
	"mail.google.com":       {"Gmail", Email},
	"docs.google.com":       {"Google Docs", Other},
	"drive.google.com":      {"Google Drive", Other},
	"meet.google.com":       {"Google Meet", Other},
	"sites.google.com":      {"Google Sites", Other},
	"calendar.google.com":   {"Google Calendar", Other},
	"classroom.google.com":  {"Google Classroom", Other},
	"groups.google.com":     {"Google Groups", Social},
	"news.google.com":       {"Google News", Other},
	"gemini.google.com":     {"Gemini", Other},
	"shopping.google.com":   {"Google Shopping", Shopping},
	"googlesyndication.com": {"Google Ads", Other},
	"mail.yahoo.com":        {"Yahoo Mail", Email},
	"outlook.live.com":      {"Outlook", Email},
	"outlook.office.com":    {"Outlook", Email},
	"outlook.office365.com": {"Outlook", Email},
	"mail.proton.me":        {"Proton Mail", Email},
	"mail.ru":               {"Mail.ru", Search},
	"e.mail.ru":             {"Mail.ru", Email},
	"copilot.microsoft.com": {"Copilot", Other},
	"teams.microsoft.com":   {"Microsoft Teams", Other},
	"search.brave.com":      {"Brave", Search},
	"search.aol.com":        {"AOL", Search},
	"news.ycombinator.com":  {"Hacker News", Social},
	"t.co":                  {"X", Social},
	"x.com":                 {"X", Social},
	"t.me":                  {"Telegram", Social},
	"wa.me":                 {"WhatsApp", Social},
	"fb.me":                 {"Facebook", Social},
	"lnkd.in":               {"LinkedIn", Social},
	"youtu.be":              {"YouTube", Video},
	"pin.it":                {"Pinterest", Social},
	"redd.it":               {"Reddit", Social},
	"bsky.app":              {"Bluesky", Social},
	"vk.com":                {"VK", Social},
	"ok.ru":                 {"Odnoklassniki", Social},
	"dev.to":                {"DEV", Social},
	"qwant.com":             {"Qwant", Search},
	"claude.ai":             {"Claude", Other},
	"so.com":                {"360 Search", Search},
	"youtube-nocookie.com":  {"YouTube", Video},
}

// brands are known by their name, whatever the top-level domain.
var brands = map[string]Source{
	"google": {"Google", Search}, "bing": {"Bing", Search}, "duckduckgo": {"DuckDuckGo", Search}, "yahoo": {"Yahoo", Search},
	"yandex": {"Yandex", Search}, "ya": {"Yandex", Search}, "baidu": {"Baidu", Search}, "ecosia": {"Ecosia", Search}, "startpage": {"Startpage", Search},
	"qwant": {"Qwant", Search}, "naver": {"Naver", Search}, "daum": {"Daum", Search}, "seznam": {"Seznam", Search},
	"sogou": {"Sogou", Search}, "ask": {"Ask", Search}, "aol": {"AOL", Search}, "kagi": {"Kagi", Search},
	"mojeek": {"Mojeek", Search}, "metager": {"MetaGer", Search}, "swisscows": {"Swisscows", Search}, "brave": {"Brave", Search},
	"coccoc": {"Coc Coc", Search}, "rambler": {"Rambler", Search},

	"facebook": {"Facebook", Social}, "instagram": {"Instagram", Social}, "threads": {"Threads", Social}, "twitter": {"X", Social},
	"linkedin": {"LinkedIn", Social}, "reddit": {"Reddit", Social}, "pinterest": {"Pinterest", Social}, "quora": {"Quora", Social},
	"whatsapp": {"WhatsApp", Social}, "telegram": {"Telegram", Social}, "snapchat": {"Snapchat", Social}, "tumblr": {"Tumblr", Social},
	"mastodon": {"Mastodon", Social}, "weibo": {"Weibo", Social}, "xing": {"XING", Social}, "discord": {"Discord", Social},
	"lobsters": {"Lobsters", Social}, "medium": {"Medium", Social}, "producthunt": {"Product Hunt", Social}, "bluesky": {"Bluesky", Social},
	"stackoverflow": {"Stack Overflow", Social}, "nextdoor": {"Nextdoor", Social}, "messenger": {"Messenger", Social},

	"youtube": {"YouTube", Video}, "vimeo": {"Vimeo", Video}, "dailymotion": {"Dailymotion", Video}, "twitch": {"Twitch", Video},
	"tiktok": {"TikTok", Social}, "netflix": {"Netflix", Video}, "rumble": {"Rumble", Video}, "bilibili": {"Bilibili", Video},

	"amazon": {"Amazon", Shopping}, "ebay": {"eBay", Shopping}, "etsy": {"Etsy", Shopping}, "walmart": {"Walmart", Shopping},
	"alibaba": {"Alibaba", Shopping}, "aliexpress": {"AliExpress", Shopping}, "idealo": {"idealo", Shopping}, "shopify": {"Shopify", Shopping},
	"zalando": {"Zalando", Shopping}, "otto": {"OTTO", Shopping}, "temu": {"Temu", Shopping}, "mercadolibre": {"Mercado Libre", Shopping},

	"github": {"GitHub", Other}, "wikipedia": {"Wikipedia", Other}, "slack": {"Slack", Other}, "chatgpt": {"ChatGPT", Other},
	"openai": {"ChatGPT", Other}, "perplexity": {"Perplexity", Other}, "claude": {"Claude", Other}, "notion": {"Notion", Other},
	"mailchimp": {"Mailchimp", Email}, "gmail": {"Gmail", Email}, "gmx": {"GMX", Email}, "substack": {"Substack", Email},
}

// aliases are what people write into utm_source beside a brand's own name.
var aliases = map[string]Source{
	"fb": {"Facebook", Social}, "ig": {"Instagram", Social}, "insta": {"Instagram", Social}, "x": {"X", Social}, "yt": {"YouTube", Video},
	"adwords": {"Google", Search}, "google ads": {"Google", Search}, "googleads": {"Google", Search}, "google_ads": {"Google", Search},
	"facebook_ads": {"Facebook", Social}, "facebook ads": {"Facebook", Social}, "meta": {"Facebook", Social}, "li": {"LinkedIn", Social},
	"hn": {"Hacker News", Social}, "hackernews": {"Hacker News", Social}, "hacker news": {"Hacker News", Social},
	"product hunt": {"Product Hunt", Social}, "google shopping": {"Google Shopping", Shopping}, "chatgpt.com": {"ChatGPT", Other},
}
