package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/consent"
)

func TestFullExampleIsValid(t *testing.T) {
	t.Setenv("GA_API_SECRET", "s3cret")
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ga := c.Sites[0].Services[0]
	if got, want := ga.APISecret.Reveal(), "s3cret"; got != want {
		t.Errorf("api_secret from the environment: got %q, want %q", got, want)
	}
	if got, want := c.Keys.Phone.Reveal(), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="; got != want {
		t.Errorf("phone key from its file: got %q, want %q", got, want)
	}
	if got, want := c.Sites[0].Exclude.IPs[0].Prefix, netip.MustParsePrefix("203.0.113.7/32"); got != want {
		t.Errorf("one address as a network: got %v, want %v", got, want)
	}
	if got, want := c.Limits, (Limits{PerPrefix: 100, Burst: 500, PerSite: 10}); got != want {
		t.Errorf("limits: got %v, want %v", got, want)
	}
	abs, err := filepath.Abs("testdata/data")
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != abs {
		t.Errorf("data_dir relative to the file: got %q, want %q", c.DataDir, abs)
	}
}

// TestFullExampleNamesEveryKey walks the types: a field that the example does
// not set to something is a field that nobody documented.
func TestFullExampleNamesEveryKey(t *testing.T) {
	t.Setenv("GA_API_SECRET", "s3cret")
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		found := false
		for path := range c.places {
			if shape(path) == key || shape(path) == key+"_file" {
				found = true
				break
			}
		}
		if !found {
			t.Errorf("testdata/full.yaml does not show %s", key)
		}
	}
}

// TestReferenceNamesEveryKey keeps docs/configuration.md complete.
func TestReferenceNamesEveryKey(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(doc), "[]", "")
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		named := false
		for name, more := key, true; more; _, name, more = strings.Cut(name, ".") {
			named = named || strings.Contains(text, "`"+name+"`")
		}
		if !named {
			t.Errorf("docs/configuration.md does not name %s", key)
		}
	}
}

// keysOf lists the paths of all leaves, with list indexes left out.
func keysOf(t reflect.Type, path string) []string {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	fields := map[string]int{}
	if t.Kind() == reflect.Struct {
		fields = fieldsOf(t)
	}
	if len(fields) == 0 {
		return []string{path}
	}
	var out []string
	for key, i := range fields {
		out = append(out, keysOf(t.Field(i).Type, join(path, key))...)
	}
	return out
}

// shape leaves the indexes out of a path.
func shape(path string) string {
	var b strings.Builder
	depth := 0
	for _, r := range path {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		default:
			if depth == 0 {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

func TestMinimalFile(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte("sites: [{domain: Example.com}]"), "/etc/sluice")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.DataDir, "/etc/sluice/data"; got != want {
		t.Errorf("data_dir: got %q, want %q", got, want)
	}
	sites, err := c.ConsentSites()
	if err != nil {
		t.Fatal(err)
	}
	want := []*consent.Site{{
		Domain: "example.com", PublicURL: "https://example.com/_s", BasePath: "/_s",
		TimeZone: time.UTC, Controller: consent.Controller{Name: "example.com"},
		Notice: consent.NoticeInfo{Version: "1"}, ConsentDays: 180,
		OnWithdrawal: consent.Anonymise, HonourGPC: true, Layout: "bar",
	}}
	equalZones := cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
	if diff := cmp.Diff(want, sites, equalZones, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("sites (-want +got):\n%s", diff)
	}
	if got := c.Notices(); len(got) != 0 {
		t.Errorf("notices of a minimal file: %v", got)
	}
}

// TestDomainsIgnoreCase: a domain is the same however it is written, and wherever.
func TestDomainsIgnoreCase(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(`
sites: [{domain: Example.com.}]
users: [{email: a@example.com, role: viewer, sites: [EXAMPLE.com], password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"}]
api_keys: [{name: k, sites: [Example.COM.], key_hash: "sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}]
`), "/etc/sluice")
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{c.Sites[0].Domain, c.Users[0].Sites[0], c.APIKeys[0].Sites[0]} {
		if got != "example.com" {
			t.Errorf("got %q, want example.com", got)
		}
	}
}

func TestNoticesSayWhatComesLater(t *testing.T) {
	t.Setenv("GA_API_SECRET", "s3cret")
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range c.Notices() {
		if n.Line == 0 {
			t.Errorf("notice without a line: %v", n)
		}
		if !strings.Contains(n.Text, "not available yet") {
			t.Errorf("notice %q does not say that the feature is not available yet", n.Text)
		}
		got = append(got, n.Path)
	}
	want := []string{
		"clickhouse.cluster",
		"mail",
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

// TestRetentionOf takes a site's own periods before those of all sites.
func TestRetentionOf(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(`retention: {events: 20 months}
sites: [{domain: a.example, retention: {events: 10 days, forwards: 1 months}}, {domain: b.example}]`), "")
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]Retention{
		"a.example": {Events: Period{Days: 10}, Receipts: Period{Months: 36}, Forwards: Period{Months: 1}, Counters: Period{Months: 36}},
		"b.example": {Events: Period{Months: 20}, Receipts: Period{Months: 36}, Forwards: Period{Months: 13}, Counters: Period{Months: 36}},
		"c.example": {Events: Period{Months: 20}, Receipts: Period{Months: 36}, Forwards: Period{Months: 13}, Counters: Period{Months: 36}},
	} {
		if got := c.RetentionOf(domain); got != want {
			t.Errorf("%s: got %+v, want %+v", domain, got, want)
		}
	}
}

func TestNoticeOfReceiptsThatGoFirst(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]int{
		"retention: {events: 13 months, receipts: 12 months}": 1,
		"retention: {receipts: 24 months}":                    1, // events: 25 months
		"retention: {events: 12 months, receipts: 12 months}": 0,
		"retention: {events: 365 days, receipts: 12 months}":  0,
		"retention: {events: 36 months}":                      0,
		"retention: {counters: 1 months, forwards: 1 months}": 0,
	} {
		c, err := Parse([]byte(file+"\nsites: [{domain: example.com}]"), "")
		if err != nil {
			t.Fatal(err)
		}
		got := c.Notices()
		if len(got) != want || want > 0 && (got[0].Path != "retention.receipts" || got[0].Line != 1) {
			t.Errorf("%s: got notices %v, want %d", file, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	site := "sites:\n  - domain: example.com\n"
	tests := []struct {
		name, file string
		want       []string // each a prefix of one problem, in order
	}{
		{"unknown key", "sever: {}\n" + site, []string{`1:1: sever: unknown key; did you mean server?`}},
		{"unknown nested key", site + "    time_zone: UTC\n", []string{`3:5: sites[0].time_zone: unknown key; did you mean timezone?`}},
		{"unknown key in a flow mapping", "spool: {max: 1 GiB, min: 3}\n" + site, []string{`1:21: spool.min: unknown key; did you mean max?`}},
		{"wrong purpose", "sites:\n  - domain: a.com\n  - domain: b.com\n    services:\n      - {name: x, purpose: stats, provider: X}\n",
			[]string{`5:19: sites[1].services[0].purpose: "stats" is not one of essential, analytics, preference, marketing, media`}},
		{"all at once", "spool: {max: lots}\nserver: {listen: nowhere}\nsites:\n  - domain: https://example.com\n    timezone: Mars/Olympus\n", []string{
			`1:14: spool.max: "lots" is not a size`,
			`2:10: server.listen: "nowhere" is not an address`,
			`4:5: sites[0].domain: "https://example.com" is not a host name`,
			`5:5: sites[0].timezone: "Mars/Olympus" is not a time zone`,
		}},
		{"name with an umlaut", "sites:\n  - domain: München.example\n", []string{`2:5: sites[0].domain: "münchen.example" is not a host name; write its ASCII form, xn--mnchen-3ya.example`}},
		{"name of an address", "sites:\n  - domain: https://münchen.example/\n", []string{`is not a host name; write example.com, without scheme`}},
		{"byte order mark", "\ufeffdata_dir: /tmp\nsights: x\n" + site, []string{`2:1: sights: unknown key`}},
		{"no site", "data_dir: /tmp\n", []string{`sites: names no site`}},
		{"empty file", "", []string{`sites: names no site`}},
		{"two sites, one domain", site + "  - domain: EXAMPLE.com\n", []string{`3:5: sites[1].domain: "example.com" is already used by sites[0].domain`}},
		{"list where a value belongs", "data_dir: [a]\n" + site, []string{`1:11: data_dir: expected one value here, found a list`}},
		{"value where a list belongs", "sites: example.com\n", []string{`1:8: sites: expected a list here, found a single value`}},
		{"not YAML", "sites: [\n", []string{`1:8: `}},
		{"duplicate key", "data_dir: a\ndata_dir: b\n" + site, []string{`2:1: `}},
		{"unset variable", "data_dir: ${SLUICE_TEST_UNSET}\n" + site, []string{`1:11: data_dir: the environment variable SLUICE_TEST_UNSET is not set`}},
		{"missing secret file", "keys: {phone_file: /nonexistent/key}\n" + site, []string{`1:20: keys.phone_file: cannot be read`}},
		{"file of something that is no secret", "data_dir_file: x\n" + site, []string{`1:1: data_dir_file: unknown key`}},
		{"a site's retention", site + "    retention: {events: 0 days, counters: 37 months}\n", []string{`retention.events: keeps nothing`, `retention.counters: 37 months is above the ceiling`}},
		{"retention above the ceiling", "retention: {events: 4 years}\n" + site, []string{`1:13: retention.events: 48 months is above the ceiling of 36 months`}},
		{"viewer of nothing", site + "users: [{email: a@b, password_hash: x, role: viewer}]\n", []string{
			`3:9: users[0].sites: a viewer without sites`, `3:22: users[0].password_hash: is not an argon2id hash`,
		}},
		{"sockets", "server: {listen: 'unix:', metrics_listen: 'unix:/" + strings.Repeat("x", 107) + "', listen_mode: '0680'}\n" + site, []string{
			`server.listen: names no socket`, `is longer than the 107 bytes`, `server.listen_mode: "0680" is not a mode; write 0660`,
		}},
		{"mode of nobody", "server: {listen_mode: 0}\n" + site, []string{`server.listen_mode: "0" is not a mode`}},
		{"password hash that is too light", site + "users: [{email: a@b, password_hash: '$argon2id$v=19$m=4096,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', role: admin}]\n", []string{
			`users[0].password_hash: has parameters out of bounds, m=4096,t=2,p=1: m is 8192 to 262144, t and p are 1 to 16; make one with: sluice user hash`,
		}},
		{"analytics without account", site + "    services: [{preset: google-analytics}]\n", []string{
			`3:16: sites[0].services[0].measurement_id: "" is not a measurement ID`, `3:16: sites[0].services[0].api_secret: is missing`,
		}},
		{"webhook without anything", site + "    services: [{preset: webhook}]\n", []string{
			`services[0].name: is missing`, `services[0].url: is missing`, `services[0].secret: is missing`,
		}},
		{"webhook in the clear, with a weak secret", site + "    services: [{preset: webhook, name: w, purpose: analytics, provider: P, country: DE, url: \"http://hooks.example/?k=1\", secret: hunter2}]\n", []string{
			`services[0].url: has to be https`, `services[0].secret: it is whsec_`,
		}},
		{"matomo without a token", site + "    services: [{preset: matomo, name: m, purpose: analytics, provider: P, country: DE, url: \"https://m.example/?x=1\", site_id: one}]\n", []string{
			`services[0].token: is missing`, `services[0].url: is a web address with a query`, `services[0].site_id: "one" is not the number`,
		}},
		{"keys of another preset", site + "    services: [{preset: hotjar, id: \"1\", secret: x, token: y, region: true, url: \"https://x.example\"}]\n", []string{
			`measurement_id, api_secret, endpoint, region and relay belong to`, `secret belongs to`, `site_id and token belong to`, `url belongs to`,
		}},
		{"relay without gtag", site + "    services: [{preset: google-analytics, measurement_id: G-1234567, api_secret: s, relay: true}]\n", []string{
			`3:85: sites[0].services[0].relay: has nothing to relay: only hits of gtag.js are, which come with accept: {gtag: true}`,
		}},
		{"gtag without a property", site + "    accept: {gtag: true}\n", []string{`sites[0].accept.gtag: needs a service with preset: google-analytics`}},
		{"unknown preset", site + "    services: [{preset: hotjarr}]\n", []string{`3:17: sites[0].services[0].preset: "hotjarr" is not one of`}},
		{"funnel over an unknown goal", site + "    funnels: [{name: F, steps: [/a, Buy]}]\n", []string{`3:37: sites[0].funnels[0].steps[1]: "Buy" is neither a path`}},
		{"backup to nobody", "backup: {recipients: [age1x], s3: {endpoint: minio, access_key: a}}\n" + site, []string{
			`1:23: backup.recipients[0]: is not an age recipient`, `1:31: backup.s3: has one of access_key and secret_key`,
			`1:36: backup.s3.endpoint: "minio" is not a web address`,
		}},
		{"theme that escapes its value", site + "    banner: {theme: {accent: \"red;}\"}}\n", []string{`sites[0].banner.theme.accent`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tt.file), t.TempDir())
			var problems *Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want *Problems", err)
			}
			var got []string
			for _, p := range problems.List {
				got = append(got, p.String())
			}
			ok := len(got) == len(tt.want)
			for i := range tt.want {
				ok = ok && strings.Contains(got[i], tt.want[i])
			}
			if !ok {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestSocketsAreBesideTheFile(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]Server{
		"":                           {Listen: "127.0.0.1:8080", MetricsListen: "127.0.0.1:9464", ListenMode: 0o660},
		`listen: "unix:run/s.sock"`:  {Listen: "unix:/etc/sluice/run/s.sock", MetricsListen: "127.0.0.1:9464", ListenMode: 0o660},
		`listen: "unix:/run/s.sock"`: {Listen: "unix:/run/s.sock", MetricsListen: "127.0.0.1:9464", ListenMode: 0o660},
		`metrics_listen: "unix:m"`:   {Listen: "127.0.0.1:8080", MetricsListen: "unix:/etc/sluice/m", ListenMode: 0o660},
		`listen_mode: 0666`:          {Listen: "127.0.0.1:8080", MetricsListen: "127.0.0.1:9464", ListenMode: 0o666},
		`listen_mode: "600"`:         {Listen: "127.0.0.1:8080", MetricsListen: "127.0.0.1:9464", ListenMode: 0o600},
	} {
		c, err := Parse([]byte("server: {"+file+"}\nsites: [{domain: example.com}]"), "/etc/sluice")
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		got := Server{Listen: c.Server.Listen, MetricsListen: c.Server.MetricsListen, ListenMode: c.Server.ListenMode}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// TestClickHouseURL: several hosts are fine under every scheme, and https needs
// no parameter that says it again.
func TestClickHouseURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"embedded":                              "embedded",
		"clickhouse://u:p@h1:9000,h2:9000/x":    "clickhouse://u:p@h1:9000,h2:9000/x",
		"http://h1:8123,h2:8123/x":              "http://h1:8123,h2:8123/x",
		"https://h1:8443,h2:8443/x":             "https://h1:8443,h2:8443/x?secure=true",
		"https://h/x?dial_timeout=1s":           "https://h/x?dial_timeout=1s&secure=true",
		"https://h/x?secure=true":               "https://h/x?secure=true&secure=true",
		"tcp://h:9000/x":                        "", // the store knows no such scheme
		"https://h/x?secure=false":              "",
		"clickhouse://h:9000/x?dial_timeout=1x": "",
		"clickhouse:///x":                       "",
		"https:h":                               "",
	} {
		c, err := Parse(fmt.Appendf(nil, "clickhouse: {url: %q}\nsites: [{domain: example.com}]", url), t.TempDir())
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "clickhouse.url: ") {
				t.Errorf("%s: got %v, want it refused", url, err)
			}
		} else if err != nil || c.ClickHouse.URL.Reveal() != want {
			t.Errorf("%s: got %v, %v; want %s", url, c.ClickHouse.URL.Reveal(), err, want)
		}
	}
}

func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte("clickhouse: {url: 'clickhouse://u:hunter2@h:9000/sluice'}\nsites: [{domain: example.com}]"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(verb, c.ClickHouse); strings.Contains(got, "hunter2") {
			t.Errorf("%s prints the password: %s", verb, got)
		}
	}
	_, err = Parse([]byte("clickhouse: {url: 'ftp://u:hunter2@h/x'}\nsites: [{domain: example.com}]"), t.TempDir())
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("problem with a URL that holds a password: %v", err)
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) { return "<" + name + ">", name != "GONE" }
	for in, want := range map[string]string{
		"plain":               "plain",
		"${A}":                "<A>",
		"x${A}y${B}":          "x<A>y<B>",
		"$${A}":               "${A}",
		"$argon2id$v=19$m=19": "$argon2id$v=19$m=19",
	} {
		got, err := expand(in, env)
		if err != nil || got != want {
			t.Errorf("expand(%q): got %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := expand("${GONE}", env); err == nil {
		t.Error("an unset variable passed")
	}
}

func TestScalars(t *testing.T) {
	t.Parallel()
	var size Size
	for in, want := range map[string]Size{"1 GiB": 1 << 30, "512MiB": 512 << 20, "1.5 KiB": 1536, "10 MB": 10_000_000} {
		if err := size.UnmarshalText([]byte(in)); err != nil || size != want {
			t.Errorf("size %q: got %d, %v; want %d", in, size, err, want)
		}
	}
	for _, in := range []string{"", "GiB", "1", "-1 MiB", "1 XiB", "99999999 TiB"} {
		if err := size.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("size %q passed as %d", in, size)
		}
	}
	var rate Rate
	for in, want := range map[string]Rate{"200/s": 200, "600/min": 10, "0": 0, "7200/h": 2} {
		if err := rate.UnmarshalText([]byte(in)); err != nil || rate != want {
			t.Errorf("rate %q: got %v, %v; want %v", in, rate, err, want)
		}
	}
	for _, in := range []string{"", "200", "x/s", "1/fortnight", "-1/s", "NaN/s"} {
		if err := rate.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("rate %q passed as %v", in, rate)
		}
	}
	var period Period
	for in, want := range map[string]Period{"25 months": {Months: 25}, "1 month": {Months: 1}, "180 days": {Days: 180}, "2 years": {Months: 24}, "2 weeks": {Days: 14}} {
		if err := period.UnmarshalText([]byte(in)); err != nil || period != want {
			t.Errorf("period %q: got %v, %v; want %v", in, period, err, want)
		}
	}
	for _, in := range []string{"", "months", "3", "1.5 months", "-1 days", "3 hours"} {
		if err := period.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("period %q passed as %v", in, period)
		}
	}
}
