package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestRecipients: where events may be sent. What is refused here would stop the
// server at its start, or be tried for a day and given up.
func TestRecipients(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://hooks.example/x?key=1":          "",
		"https://HOOKS.Example./x":               "",
		"https://my_hooks.example:8443/x":        "",
		"https://bücher.example/x":               "",
		"https://localhost/x":                    "",
		"https://[2001:db8::1]:8443/x":           "",
		"http://127.0.0.1:9999/x":                "",
		"http://[fe80::1%25eth0]:9999/x":         "",
		"https://-bad_ü.example/x":               `is at "-bad_ü.example", which is not a host name`,
		"https://-bad.example/x":                 `is at "-bad.example", which is not a host name`,
		"https://a..example/x":                   "which is not a host name",
		"https://hooks.example:99999/x?key=tell": "is at port 99999; there are 1 to 65535",
		"https://hooks.example:0/x":              "is at port 0",
		"https://127.0.0.1:70000/x":              "is at port 70000",
		"https://:443/x":                         "is not a web address",
		"https://ada:pass@hooks.example/x":       "is not a web address without a user name",
		"http://hooks.example/x":                 "has to be https",
	} {
		file := fmt.Sprintf("sites: [{domain: example.com, controller: {name: E}, services: [{preset: webhook, name: w, purpose: analytics, provider: E, url: %q, secret: %s}]}]\n", url, webhookKey)
		_, err := Parse([]byte(file), t.TempDir())
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: refused: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", url, err, want)
		case want != "" && strings.Contains(err.Error(), "tell"):
			t.Errorf("%s: the key is repeated: %v", url, err)
		}
	}
}
