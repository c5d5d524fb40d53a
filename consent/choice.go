package consent

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Remembered is what the readable cookie sl_choice tells the script about the
// choice. It proves nothing: the server believes only tokens. The same
// fixtures (testdata/choice.json) are read by the Go and TypeScript tests.
//
//	1:<notice version>:<granted purposes>:<granted services>:<unix seconds>[:<signals>]
//
// "1?" in the place of "1" says that something is to be asked again.
//
// Lists are joined by "+"; the version is percent-encoded as JavaScript's
// encodeURIComponent does. Essential is not listed. The last field is there
// where the decision turns on a signal of Google's Consent Mode.
type Remembered struct {
	Notice   string    `json:"notice"`
	Purposes []string  `json:"purposes"`
	Services []string  `json:"services"`
	Signals  []string  `json:"signals"` // nil for none
	Pending  bool      `json:"pending"` // what was granted has partly changed, and is listed no longer
	Time     time.Time `json:"-"`
}

// ChoiceCookie is the name of the cookie that remembers the choice.
const ChoiceCookie = "sl_choice"

// KeptCookie is where the script keeps choice and token itself, in a browser
// that the server's cookies do not reach.
const KeptCookie = "sl_kept"

// String encodes r as a cookie value.
func (r Remembered) String() string {
	layout := "1"
	if r.Pending {
		layout = pendingLayout
	}
	fields := []string{
		layout, encodeURIComponent(r.Notice),
		strings.Join(r.Purposes, "+"), strings.Join(r.Services, "+"),
		strconv.FormatInt(r.Time.Unix(), 10),
	}
	if len(r.Signals) > 0 {
		fields = append(fields, strings.Join(r.Signals, "+"))
	}
	return strings.Join(fields, ":")
}

// pendingLayout opens the cookie where there is something to ask.
const pendingLayout = "1?"

// choiceTime is how a time is written: one spelling for one moment.
var choiceTime = regexp.MustCompile(`^[1-9][0-9]{0,11}$`)

var errChoiceCookie = errors.New("not a choice cookie of version 1")

// ParseRemembered reads a cookie value.
func ParseRemembered(s string) (Remembered, error) {
	f := strings.Split(s, ":")
	if len(f) != 5 && (len(f) != 6 || f[5] == "") || f[0] != "1" && f[0] != pendingLayout {
		return Remembered{}, errChoiceCookie
	}
	notice, err := url.PathUnescape(f[1])
	if err != nil || !utf8.ValidString(notice) { // as decodeURIComponent refuses it
		return Remembered{}, errChoiceCookie
	}
	if !choiceTime.MatchString(f[4]) {
		return Remembered{}, errChoiceCookie
	}
	seconds, err := strconv.ParseInt(f[4], 10, 64)
	if err != nil {
		return Remembered{}, errChoiceCookie
	}
	r := Remembered{Notice: notice, Purposes: splitList(f[2]), Services: splitList(f[3]), Time: time.Unix(seconds, 0).UTC()}
	r.Pending = f[0] == pendingLayout
	if len(f) == 6 {
		if r.Signals = splitList(f[5]); len(r.Signals) == 0 { // "+"
			return Remembered{}, errChoiceCookie
		}
	}
	return r, nil
}

func splitList(s string) []string {
	return slices.DeleteFunc(strings.Split(s, "+"), func(p string) bool { return p == "" })
}

// encodeURIComponent percent-encodes like the JavaScript function: url's query
// escaping, but a space is %20 and !'()* stay.
func encodeURIComponent(s string) string {
	s = url.QueryEscape(s)
	return strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(s)
}
