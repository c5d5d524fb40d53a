package enrich

import "strings"

// Referrer is where a visitor came from, as the browser tells it.
type Referrer struct {
	URL    string // scheme, host and path, masked; "" for none, one that is no URL, and the site's own
	From   Source
	Masked int // as in Page
}

const maxReferrer = 1000

// Referrer reads a referrer. internal reports whether a host belongs to
// the site: a step within it is no arrival.
func (r *Rules) Referrer(raw string, internal func(host string) bool) Referrer {
	if raw == "" {
		return Referrer{}
	}
	if app, ok := strings.CutPrefix(raw, "android-app://"); ok {
		return appReferrer(app)
	}
	a, ok := ParseAddress(raw)
	if !ok || internal(a.Host) {
		return Referrer{}
	}
	scheme := "https://"
	if raw[4] == ':' {
		scheme = "http://"
	}
	host := a.Host
	if strings.Contains(host, ":") { // IPv6
		host = "[" + host + "]"
	}
	path, _ := Cut(Clean(a.Path), maxReferrer)
	path, masked := r.Mask(path)
	return Referrer{URL: scheme + host + path, From: SourceOf(a.Host), Masked: masked}
}

// ReadReferrer is Rules.Referrer by the defaults.
func ReadReferrer(raw string, internal func(host string) bool) Referrer {
	return (*Rules)(nil).Referrer(raw, internal)
}

// appReferrer reads what Android's Chrome sends for a link tapped in an app:
// android-app://com.example.app/.
func appReferrer(app string) Referrer {
	app, _, _ = strings.Cut(app, "/")
	host, ok := parseHost(app)
	if !ok {
		return Referrer{}
	}
	if s, known := apps[host]; known {
		return Referrer{URL: "android-app://" + host, From: s}
	}
	return Referrer{URL: "android-app://" + host, From: Source{Name: host}}
}

// apps are package names of Android apps that send visitors.
var apps = map[string]Source{
	"com.google.android.googlequicksearchbox": {"Google", Search},
	"com.google.android.gm":                   {"Gmail", Email},
	"com.linkedin.android":                    {"LinkedIn", Social},
	"com.pinterest":                           {"Pinterest", Social},
	"com.reddit.frontpage":                    {"Reddit", Social},
	"com.slack":                               {"Slack", Other},
	"org.telegram.messenger":                  {"Telegram", Social},
	"com.twitter.android":                     {"X", Social},
}
