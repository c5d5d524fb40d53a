package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads, decodes and validates the file at path. A file that can be read
// but not used is reported as *[Problems].
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolve configuration path: %w", err)
	}
	c, problems := parse(data, filepath.Dir(abs), os.LookupEnv)
	if len(problems) > 0 {
		return nil, &Problems{File: path, List: problems}
	}
	return c, nil
}

// Parse is [Load] for data that is in memory already. Relative paths are
// relative to dir.
func Parse(data []byte, dir string) (*Config, error) {
	c, problems := parse(data, dir, os.LookupEnv)
	if len(problems) > 0 {
		return nil, &Problems{File: "configuration", List: problems}
	}
	return c, nil
}

func parse(data []byte, dir string, env func(string) (string, bool)) (*Config, []Problem) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // editors on Windows begin with a byte order mark
	c := Default()
	d := &decoder{dir: dir, env: env, places: map[string]place{}}
	d.decode(data, c)
	c.places = d.places
	c.complete(dir)
	if len(d.problems) > 0 && len(d.places) == 0 {
		return c, d.problems // no YAML at all: nothing else can be said
	}
	problems := d.problems
	for _, p := range c.validate() {
		// A value that could not be decoded is not reported again for what
		// stands in its place.
		if !slices.ContainsFunc(d.problems, func(q Problem) bool { return q.Path == p.Path }) {
			problems = append(problems, p)
		}
	}
	return c, sorted(problems)
}

// complete fills in what follows from other values.
func (c *Config) complete(dir string) {
	for _, path := range []*string{&c.DataDir, &c.Geo.Database, &c.Bots.DataCentres, &c.Bots.Referrers} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for _, listen := range []*string{&c.Server.Listen, &c.Server.MetricsListen} {
		if path, ok := strings.CutPrefix(*listen, "unix:"); ok && path != "" && !filepath.IsAbs(path) {
			*listen = "unix:" + filepath.Join(dir, path)
		}
	}
	// The driver asks for the parameter beside the scheme; the first one counts.
	if url := c.ClickHouse.URL; strings.HasPrefix(url.Reveal(), "https://") {
		separator := Secret("?")
		if strings.Contains(url.Reveal(), "?") {
			separator = "&"
		}
		c.ClickHouse.URL += separator + "secure=true"
	}
	c.Server.BasePath = strings.TrimSuffix(c.Server.BasePath, "/")
	c.Server.PublicURL = strings.TrimSuffix(c.Server.PublicURL, "/")
	lowerAll(c.Server.TLS.Domains)
	for i := range c.Users {
		lowerAll(c.Users[i].Sites)
	}
	for i := range c.APIKeys {
		lowerAll(c.APIKeys[i].Sites)
	}
	for _, h := range c.Hooks.providers() {
		lowerAll(h.sites)
	}
	for i := range c.Sites {
		s := &c.Sites[i]
		s.Domain = domain(s.Domain)
		if s.PublicURL == "" && s.Domain != "" {
			s.PublicURL = "https://" + s.Domain + c.Server.BasePath
		}
		s.PublicURL = strings.TrimSuffix(s.PublicURL, "/")
		if s.Controller.Name == "" {
			s.Controller.Name = s.Domain
		}
		lowerAll(s.TestHosts)
	}
}

// domain is how a site's name is compared.
func domain(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func lowerAll(domains []string) {
	for i := range domains {
		domains[i] = domain(domains[i])
	}
}
