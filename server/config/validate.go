package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"filippo.io/age"
	"github.com/ClickHouse/clickhouse-go/v2"
)

// validate returns every problem of a decoded file.
func (c *Config) validate() []Problem {
	k := &checker{places: c.places}
	c.validateServer(k)
	c.validateStorage(k)
	c.validateBackup(k)
	if len(c.Sites) == 0 {
		k.say("sites", "names no site; add one: sites: [{domain: example.com}]")
	}
	domains := map[string]string{}
	for i := range c.Sites {
		path := fmt.Sprintf("sites[%d]", i)
		k.unique(domains, path+".domain", c.Sites[i].Domain)
		c.Sites[i].validate(k, path)
	}
	c.validatePeople(k)
	c.validateMail(k)
	return k.problems
}

func (c *Config) validateServer(k *checker) {
	s := c.Server
	k.listen("server.listen", s.Listen)
	if s.MetricsListen != "" {
		k.listen("server.metrics_listen", s.MetricsListen)
		if s.MetricsListen == s.Listen {
			k.say("server.metrics_listen", "is the public listener; figures and health belong on an address of their own")
		}
	}
	if !basePattern.MatchString(s.BasePath) {
		k.say("server.base_path", "%q is not a path such as /_s", s.BasePath)
	}
	k.webURL("server.public_url", s.PublicURL)
	names := map[string]string{}
	for i, p := range s.Proxies {
		path := fmt.Sprintf("server.proxies[%d]", i)
		if k.required(path+".name", p.Name, "logs call the proxy by it") {
			k.unique(names, path+".name", p.Name)
		}
		if len(p.Secret) < 16 {
			k.say(path+".secret", "is shorter than 16 characters; draw one with: openssl rand -hex 16")
		}
		if p.ClientIPHeader != "" && !headerPattern.MatchString(p.ClientIPHeader) {
			k.say(path+".client_ip_header", "%q is not the name of a header", p.ClientIPHeader)
		}
	}
	for i, d := range s.TLS.Domains {
		if !hostPattern.MatchString(d) {
			k.notHost(fmt.Sprintf("server.tls.domains[%d]", i), d, "write stats.example.com")
		}
	}
	if s.TLS.Directory != "" {
		k.webURL("server.tls.directory", s.TLS.Directory)
	}
	if s.TLS.Email != "" && !emailPattern.MatchString(s.TLS.Email) {
		k.say("server.tls.email", "%q is not an e-mail address", s.TLS.Email)
	}
}

func (c *Config) validateStorage(k *checker) {
	k.required("data_dir", c.DataDir, "name a folder that Sluice may write to")
	if !c.ClickHouse.Embedded() {
		k.clickHouse("clickhouse.url", c.ClickHouse.URL.Reveal())
	}
	if c.ClickHouse.Cluster != "" && !clusterPattern.MatchString(c.ClickHouse.Cluster) {
		k.say("clickhouse.cluster", "%q is not the name of a cluster; it has letters, digits, and _ - . alone", c.ClickHouse.Cluster)
	}
	if c.ClickHouse.Cluster != "" && c.ClickHouse.Embedded() {
		k.say("clickhouse.cluster", "needs servers; set clickhouse.url to theirs or leave it out")
	}
	if c.ClickHouse.MaxMemory < 256<<20 {
		k.say("clickhouse.max_memory", "%s is too little for the engine; give it at least 256 MiB", c.ClickHouse.MaxMemory)
	}
	if c.Spool.Max < 64<<20 {
		k.say("spool.max", "%s is too little; give it at least 64 MiB", c.Spool.Max)
	}
	for i, key := range c.Keys.Token {
		k.key(fmt.Sprintf("keys.token[%d]", i), key)
	}
	if c.Keys.Phone != "" {
		k.key("keys.phone", c.Keys.Phone)
	}
	if c.Limits.PerPrefix > 0 && c.Limits.Burst < 1 {
		k.say("limits.burst", "is below 1, so that no request would ever pass; write 1 or more, or per_prefix: 0")
	}
	if path := c.Geo.Database; path != "" {
		if _, err := os.Stat(path); err != nil {
			k.say("geo.database", "cannot be read: %v", err)
		}
	}
	for key, path := range map[string]string{"bots.data_centres": c.Bots.DataCentres, "bots.referrers": c.Bots.Referrers} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			k.say(key, "cannot be read: %v", err)
		}
	}
	c.Retention.validate(k, "retention")
}

func (c *Config) validateBackup(k *checker) {
	for i, r := range c.Backup.Recipients {
		if _, err := age.ParseRecipients(strings.NewReader(r)); err != nil {
			// The value is not repeated: it may be the identity, by mistake.
			k.say(fmt.Sprintf("backup.recipients[%d]", i), "is not an age recipient; age-keygen prints one as the public key: age1…")
		}
	}
	s := c.Backup.S3
	if s.Endpoint != "" {
		k.webURL("backup.s3.endpoint", s.Endpoint)
	}
	if !slugPattern.MatchString(s.Region) {
		k.say("backup.s3.region", "%q is not the name of a region; write eu-central-1, or whatever your server is set to", s.Region)
	}
	if (s.AccessKey == "") != (s.SecretKey == "") {
		k.say("backup.s3", "has one of access_key and secret_key; it takes both")
	}
}

// clickHouse checks the URL without ever repeating it: it holds a password.
// The driver reads it, so that what passes here is what the store can open.
func (k *checker) clickHouse(path, raw string) {
	scheme, _, _ := strings.Cut(raw, "://")
	if !slices.Contains([]string{"clickhouse", "http", "https"}, scheme) {
		k.say(path, `has no known scheme; write embedded, clickhouse://host:9000/sluice or https://host:8443/sluice`)
		return
	}
	if _, err := clickhouse.ParseDSN(raw); err != nil {
		k.say(path, `is not a URL that ClickHouse's driver reads; write clickhouse://user:password@host:9000/sluice or https://user:password@host:8443/sluice, with a password's special characters as %%XX`)
	}
}

func (c *Config) validatePeople(k *checker) {
	known := func(path string, domains []string) {
		for i, d := range domains {
			if !slices.ContainsFunc(c.Sites, func(s Site) bool { return s.Domain == d }) {
				k.say(fmt.Sprintf("%s[%d]", path, i), "%q is not the domain of a configured site", d)
			}
		}
	}
	for _, p := range c.Hooks.providers() {
		known("hooks."+p.name+".sites", p.sites)
	}
	if (c.Hooks.Meta.AppSecret == "") != (c.Hooks.Meta.VerifyToken == "") {
		k.say("hooks.meta", "needs both: app_secret, which signs messages, and verify_token, which you make up and enter at Meta with the address")
	}
	for i, w := range c.Hooks.Keywords {
		if !strings.ContainsFunc(w, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) {
			k.say(fmt.Sprintf("hooks.keywords[%d]", i), "has no letter; write a word that means STOP")
		}
	}
	emails := map[string]string{}
	for i, u := range c.Users {
		path := fmt.Sprintf("users[%d]", i)
		if !emailPattern.MatchString(u.Email) {
			k.say(path+".email", "%q is not an e-mail address", u.Email)
		}
		k.unique(emails, path+".email", strings.ToLower(u.Email))
		if _, err := ParsePasswordHash(u.PasswordHash); err != nil {
			k.say(path+".password_hash", "%v; make one with: sluice user hash", err)
		}
		k.oneOf(path+".role", u.Role, "admin", "viewer")
		if u.Role == "viewer" && len(u.Sites) == 0 {
			k.say(path+".sites", "a viewer without sites sees nothing; name them: [example.com]")
		}
		if u.Role == "admin" && len(u.Sites) > 0 {
			k.say(path+".sites", "an admin sees every site; leave it out or write role: viewer")
		}
		known(path+".sites", u.Sites)
	}
	names := map[string]string{}
	for i, a := range c.APIKeys {
		path := fmt.Sprintf("api_keys[%d]", i)
		if k.required(path+".name", a.Name, "logs call the key by it") {
			k.unique(names, path+".name", a.Name)
		}
		if !digestPattern.MatchString(a.KeyHash.Reveal()) {
			k.say(path+".key_hash", `is not "sha256:" and 64 hex digits; make it with: printf %%s KEY | sha256sum`)
		}
		if len(a.Sites) == 0 {
			k.say(path+".sites", "names no site, so that the key opens nothing")
		}
		known(path+".sites", a.Sites)
	}
}

func (c *Config) validateMail(k *checker) {
	m := c.Mail
	if m == (Mail{Port: 587, TLS: "starttls"}) {
		return
	}
	if !isHost(strings.ToLower(m.Host)) {
		k.say("mail.host", "%q is not a host name", m.Host)
	}
	if m.Port < 1 || m.Port > 65535 {
		k.say("mail.port", "%d is not a port", m.Port)
	}
	if !emailPattern.MatchString(m.From) {
		k.say("mail.from", "%q is not an e-mail address", m.From)
	}
	k.oneOf("mail.tls", m.TLS, "starttls", "tls", "none")
}
