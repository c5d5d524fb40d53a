package ga4

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"sluice/collector/ga4/judge"
)

// eventName maps an event's name to one that Google takes: the same one
// wherever possible, and always the same for the same name. renamed reports
// whether the site's own name was changed.
func eventName(name string) (out string, renamed bool) {
	if name == "pageview" {
		return "page_view", false
	}
	return sanitise(name, "event_", func(s string) bool { return judge.EventName(s) == "" })
}

// paramName does the same for a property. Three valid names are not for
// properties: under two Google takes what is never sent, under one the items.
func paramName(name string) (out string, renamed bool) {
	return sanitise(name, "param_", func(s string) bool {
		return judge.ParamName(s) == "" && s != "ip_override" && s != "user_data" && s != "items"
	})
}

var foreignRun = regexp.MustCompile(`[^A-Za-z0-9]+`)

// sanitise returns name where it is valid. Otherwise every run of other
// characters becomes one underscore; what is left goes behind prefix if it is
// still not valid. A name that is too long, or of which nothing is left, is
// told apart by eight digits of its hash.
func sanitise(name, prefix string, valid func(string) bool) (string, bool) {
	if valid(name) {
		return name, false
	}
	kept := strings.Trim(foreignRun.ReplaceAllString(name, "_"), "_")
	sum := sha256.Sum256([]byte(name))
	mark := hex.EncodeToString(sum[:4])
	switch {
	case valid(kept):
		return kept, true
	case kept == "":
		return prefix + mark, true
	case valid(prefix + kept):
		return prefix + kept, true
	}
	if !isLetter(kept[0]) {
		kept = prefix + kept
	}
	if room := judge.MaxName - len("_") - len(mark); len(kept) > room {
		kept = kept[:room]
	}
	return strings.TrimRight(kept, "_") + "_" + mark, true
}
