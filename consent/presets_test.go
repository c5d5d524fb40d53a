package consent

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPresets(t *testing.T) {
	t.Parallel()
	all, err := Presets()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"google-analytics", "hotjar", "stripe", "whatsapp", Statistics} {
		if _, ok := all[name]; !ok {
			t.Errorf("no preset %s", name)
		}
	}
	purposes := []Purpose{Essential, Analytics, Preference, Marketing, Media}
	country := regexp.MustCompile(`^[A-Z]{2}$`)
	for name, s := range all {
		if s.Name != name || !slices.Contains(purposes, s.Purpose) {
			t.Errorf("%s: name %q, purpose %q", name, s.Name, s.Purpose)
		}
		for _, c := range s.Cookies {
			if c.Name == "" || c.Purpose == "" || duration(c.Lasts, map[string]string{"lasts.session": "s"}) == "" {
				t.Errorf("%s: cookie %+v says too little", name, c)
			}
			if c.Lasts != "session" && !numberOfUnits.MatchString(c.Lasts) {
				t.Errorf("%s: %s lasts %q, which no language can put into words", name, c.Name, c.Lasts)
			}
		}
		if name == Statistics {
			continue
		}
		if s.Title == "" || s.Provider == "" || !country.MatchString(s.Country) || !s.External || len(s.Hosts) == 0 {
			t.Errorf("%s: %+v says too little", name, s)
		}
		if u, err := url.Parse(s.PolicyURL); err != nil || u.Scheme != "https" {
			t.Errorf("%s: policy %q", name, s.PolicyURL)
		}
		content, err := os.ReadFile("presets/" + name + ".yaml")
		if err != nil || !strings.Contains(string(content), "# Source") || !strings.Contains(string(content), "Read 20") {
			t.Errorf("%s: the file names no source with a date", name)
		}
	}
	stripe, _ := PresetFor("stripe")
	if stripe.Purpose != Essential || len(stripe.Pages) == 0 {
		t.Errorf("stripe is %s on %v; want essential where somebody pays, and there alone", stripe.Purpose, stripe.Pages)
	}
	if _, ok := PresetFor("facebook"); ok {
		t.Error("a preset that there is not")
	}
	all["hotjar"] = Service{}
	if again, _ := PresetFor("hotjar"); again.Name == "" {
		t.Error("the map is shared")
	}
}

func TestAllServices(t *testing.T) {
	t.Parallel()
	s := shop()
	if got := s.AllServices(); len(got) != 4 || got[0].Name != Statistics || got[0].Provider != "Example GmbH" {
		t.Errorf("statistics missing: %+v", got)
	}
	s.Services = append(s.Services, Service{Name: Statistics, Purpose: Analytics})
	got := s.AllServices()
	if len(got) != 4 || got[3].Provider != "Example GmbH" {
		t.Errorf("statistics named: %+v", got)
	}
	if s.Services[3].Provider != "" {
		t.Error("the configuration was changed")
	}
}
