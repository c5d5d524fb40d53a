package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

// TestPathsOfGoals are compared as browsers send them, and called as they were
// written.
func TestPathsOfGoals(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(`sites: [{domain: example.com, goals: [{name: Danke, path: /danke-schön}], funnels: [{name: F, steps: [/größe, Danke]}]}]`), "/etc/sluice")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := c.ConsentSites()
	if err != nil {
		t.Fatal(err)
	}
	danke := consent.Goal{Name: "Danke", Path: "/danke-sch%C3%B6n"}
	want := []consent.Funnel{{Name: "F", Steps: []consent.Goal{{Name: "/größe", Path: "/gr%C3%B6%C3%9Fe"}, danke}}}
	if diff := cmp.Diff([]consent.Goal{danke}, sites[0].Goals) + cmp.Diff(want, sites[0].Funnels); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSiteBelowAnother: the cookies of the upper one keep to their host.
func TestSiteBelowAnother(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte("sites: [{domain: shop.example.com}, {domain: example.com}, {domain: anexample.com}]"), "/etc/sluice")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := c.ConsentSites()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false} {
		if sites[i].HostCookies != want {
			t.Errorf("%s: cookies keep to their host: %v, want %v", sites[i].Domain, sites[i].HostCookies, want)
		}
	}
}

func TestTestHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"localhost":             "",
		"stage.example.com":     "",
		"*.stage.example.com":   "",
		"*.example.com":         "", // example.com itself stays
		"*.preview.example.dev": "",
		"*.test":                "",
		"example.com":           "covers example.com itself",
		"Example.com":           "covers example.com itself",
		"*.com":                 "covers example.com itself",
		"*.dev":                 "covers the sites of others: under dev anybody registers names",
		"*.co.uk":               "covers the sites of others",
		"*.github.io":           "covers the sites of others",
		"*.":                    "is not a host name",
		"https://localhost":     "is not a host name; write localhost or",
		"*.münchen.example":     "is not a host name; write its ASCII form, *.xn--mnchen-3ya.example",
	} {
		_, err := Parse(fmt.Appendf(nil, "sites: [{domain: example.com, test_hosts: [%q]}]", host), t.TempDir())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), "test_hosts[0]: ") || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", host, err, want)
		}
	}
}
