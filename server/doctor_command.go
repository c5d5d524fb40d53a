package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"

	"sluice/consent"
	"sluice/server/doctor"
	"sluice/server/snippet"
)

// runDoctor is `sluice doctor`.
func runDoctor(ctx context.Context, t terminal, args []string) error {
	var path *string
	var asJSON *bool
	fs, err := flags(t, "doctor", flagsFirst(args, "config"), 1, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		asJSON = fs.Bool("json", false, "print the findings as JSON")
	})
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{"doctor: name a page of the site, such as https://example.com/"}
	}
	o, err := doctorOptions(*path, fs.Arg(0))
	if err != nil {
		return err
	}
	report, err := doctor.Examine(ctx, o)
	if err != nil {
		return &usageError{"doctor: " + err.Error()}
	}
	if *asJSON {
		enc := json.NewEncoder(t.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		printReport(t.out, report)
	}
	if err != nil {
		return fmt.Errorf("print the findings: %w", err)
	}
	if !report.OK {
		return errors.New("the installation does not work as it should")
	}
	return nil
}

func printReport(w io.Writer, r *doctor.Report) {
	words := map[doctor.State]string{doctor.OK: "ok", doctor.Note: "note", doctor.Wrong: "WRONG"}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%-6s %-13s %s\n", words[f.State], f.Check, f.Says)
		if f.Mend != "" {
			fmt.Fprintf(w, "%20s  > %s\n", "", f.Mend)
		}
	}
}

// doctorOptions takes from the configuration what it says of the page's site;
// without one the page has to say it. Services are all that Sluice knows, and
// the site's own.
func doctorOptions(path, page string) (doctor.Options, error) {
	o := doctor.Options{URL: page}
	u, err := doctor.ParsePage(page)
	if err != nil {
		return o, &usageError{"doctor: " + err.Error()}
	}
	all, err := consent.Presets()
	if err != nil {
		return o, err
	}
	delete(all, consent.Statistics)
	c, err := loadConfig(path)
	if unconfigured(path, err) {
		o.Services = byName(all)
		return o, nil
	}
	if err != nil {
		return o, err
	}
	sites, err := c.ConsentSites()
	if err != nil {
		return o, err
	}
	var policies []*consent.Policy
	for _, s := range sites {
		policies = append(policies, &consent.Policy{Site: s})
	}
	p, err := consent.NewSites(policies...).ForHost(u.Host)
	if err != nil {
		return o, &usageError{fmt.Sprintf("doctor: %s is of no site in %s; name the file with --config", page, configPath(path))}
	}
	for _, s := range p.Site.Services {
		all[s.Name] = s
	}
	o.Services = byName(all)
	in := snippet.Installation{Domain: p.Site.Domain, Base: p.Site.BasePath, Upstream: snippet.UpstreamOf(c.Server.Listen)}
	o.Installation = in.At(p.Site.PublicURL)
	return o, nil
}

// byName orders services, so that two runs find the same.
func byName(services map[string]consent.Service) (out []consent.Service) {
	for _, name := range slices.Sorted(maps.Keys(services)) {
		out = append(out, services[name])
	}
	return out
}
