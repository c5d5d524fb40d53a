package server

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"sluice/server/config"
	"sluice/server/snippet"
)

// runSnippet is `sluice snippet`.
func runSnippet(_ context.Context, t terminal, args []string) error {
	var path, site, upstream, only *string
	var strip *bool
	fs, err := flags(t, "snippet", flagsFirst(args, "config", "site", "upstream", "only"), 1, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		site = fs.String("site", "", "the site's `domain`; needed where the configuration has several")
		upstream = fs.String("upstream", "", "where the web server reaches Sluice, as a `URL`; default: server.listen")
		strip = fs.Bool("strip", false, "take the prefix off before Sluice sees it")
		only = fs.String("only", "", "print one `part` and no heading, for a file: config, proxy, address, tag or noscript")
	})
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{"snippet: name what the site runs on: " + strings.Join(snippet.Targets(), ", ")}
	}
	in, err := siteToInstall(*path, *site)
	if err != nil {
		return err
	}
	if in.Stripped = *strip; *upstream != "" {
		in.Upstream = strings.TrimSuffix(*upstream, "/")
	}
	target := fs.Arg(0)
	if target == "static" && in.Host == in.Domain {
		in.Host = "stats." + in.Domain
	}
	parts, err := snippet.For(target, in)
	if err != nil {
		return &usageError{"snippet: " + err.Error()}
	}
	return printParts(t, target, parts, *only)
}

func printParts(t terminal, target string, parts []snippet.Part, only string) error {
	found := false
	for i, p := range parts {
		if only != "" && only != p.Name {
			continue
		}
		found = true
		if only == "" {
			if i > 0 {
				fmt.Fprintln(t.out)
			}
			fmt.Fprintf(t.out, "--- %d. %s\n\n", i+1, p.Where)
		}
		fmt.Fprint(t.out, p.Text)
	}
	if !found {
		var names []string
		for _, p := range parts {
			names = append(names, p.Name)
		}
		return &usageError{fmt.Sprintf("snippet: %s has no part %q; it has %s", target, only, strings.Join(names, ", "))}
	}
	return nil
}

// siteToInstall describes the site that --site names, or the only one, as the
// configuration has it; without a configuration as its defaults would.
func siteToInstall(path, domain string) (snippet.Installation, error) {
	c, err := loadConfig(path)
	if unconfigured(path, err) {
		if domain == "" {
			return snippet.Installation{}, &usageError{"there is no sluice.yaml here: name it with --config, or the site with --site"}
		}
		d := config.Default()
		return snippet.Installation{Domain: domain, Host: domain, Base: d.Server.BasePath, Upstream: snippet.UpstreamOf(d.Server.Listen)}, nil
	}
	if err != nil {
		return snippet.Installation{}, err
	}
	sites, err := c.ConsentSites()
	if err != nil {
		return snippet.Installation{}, err
	}
	var domains []string
	for _, s := range sites {
		domains = append(domains, s.Domain)
	}
	i := slices.Index(domains, domain)
	if domain == "" && len(sites) == 1 {
		i = 0
	}
	if i < 0 {
		return snippet.Installation{}, &usageError{fmt.Sprintf("name one of the sites with --site: %s", strings.Join(domains, ", "))}
	}
	s := sites[i]
	in := snippet.Installation{
		Domain: s.Domain, Base: s.BasePath, Upstream: snippet.UpstreamOf(c.Server.Listen), RootDoors: rootDoors(c.Sites[i].Accept),
	}
	return in.At(s.PublicURL), nil
}

// rootDoors are the paths that the trackers of others ask for, whatever
// base_path is.
func rootDoors(a config.Accept) (doors []string) {
	for _, d := range []struct {
		open bool
		path string
	}{{a.Plausible, "/api/event"}, {a.Umami, "/api/send"}, {a.GoatCounter, "/count"}, {a.Gtag, "/g/collect"}} {
		if d.open {
			doors = append(doors, d.path)
		}
	}
	return doors
}
