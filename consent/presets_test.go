package consent

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// offered are the presets that sites rely on, under the purpose that each
// belongs to.
var offered = map[Purpose][]string{
	Essential: {"stripe", "turnstile"},
	Analytics: {Statistics, "google-analytics", "google-tag-manager", "hotjar", "clarity", "matomo", "matomo-cloud", "plausible"},
	Media: {"whatsapp", "green-api", "twilio", "youtube", "vimeo", "google-maps", "intercom", "crisp", "calendly",
		"google-fonts", "recaptcha"},
	Marketing: {"meta-pixel", "linkedin-insight", "google-ads", "tiktok-pixel", "hubspot"},
}

func TestPresets(t *testing.T) {
	t.Parallel()
	all, err := Presets()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for purpose, names := range offered {
		n += len(names)
		for _, name := range names {
			if s, ok := all[name]; !ok || s.Purpose != purpose {
				t.Errorf("%s is under %q, want %s", name, s.Purpose, purpose)
			}
		}
	}
	if n != len(all) {
		t.Errorf("%d presets, %d are expected", len(all), n)
	}
	for name, s := range all {
		if s.Name != name {
			t.Errorf("%s is named %q", name, s.Name)
		}
		checkLaw(t, &s)
		for _, c := range s.Cookies {
			if c.Name == "" || !ValidDuration(c.Lasts) {
				t.Errorf("%s: %q lasts %q, which no language can put into words", name, c.Name, c.Lasts)
			}
			if c.Kind != "" && c.Kind != LocalStorage && c.Kind != SessionStorage {
				t.Errorf("%s: %s is kept in %q, which no browser has", name, c.Name, c.Kind)
			}
		}
		if name != Statistics {
			checkFile(t, &s)
		}
	}
	if _, ok := PresetFor("facebook"); ok {
		t.Error("a preset that there is not")
	}
	all["hotjar"] = Service{}
	if again, _ := PresetFor("hotjar"); again.Name == "" {
		t.Error("the map is shared")
	}
}

// checkLaw checks what makes a service lawful.
func checkLaw(t *testing.T, s *Service) {
	t.Helper()
	if len(s.Legal) == 0 {
		t.Errorf("%s rests on no source of law", s.Name)
	}
	for _, l := range s.Legal {
		if _, err := time.Parse(time.DateOnly, l.Date); l.Source == "" || err != nil {
			t.Errorf("%s: source %+v without a date", s.Name, l)
		}
	}
	if problem := s.TransferProblem(); problem != "" {
		t.Errorf("%s: transfer %s", s.Name, problem)
	}
	if s.Purpose == Essential && len(s.Pages) == 0 {
		t.Errorf("%s is essential everywhere; want the pages that need it, and those alone", s.Name)
	}
	if s.Purpose != Marketing && len(s.ConsentMode) > 0 {
		t.Errorf("%s turns on %v under %s", s.Name, s.ConsentMode, s.Purpose)
	}
}

// checkFile checks what a preset's file has to say of a vendor's service.
func checkFile(t *testing.T, s *Service) {
	t.Helper()
	if s.Title == "" || s.External != (s.Provider != "") {
		t.Errorf("%s: %+v says too little", s.Name, s)
	}
	for _, lang := range []string{"en", "de"} {
		if text := s.Texts[lang]; !strings.HasSuffix(text, ".") || strings.Count(text, ".") != 1 {
			t.Errorf("%s: %s is described by %q; want one sentence", s.Name, lang, text)
		}
	}
	if s.External {
		if u, err := url.Parse(s.PolicyURL); err != nil || u.Scheme != "https" || len(s.Hosts) == 0 {
			t.Errorf("%s: policy %q, hosts %v", s.Name, s.PolicyURL, s.Hosts)
		}
	}
	content, err := os.ReadFile("presets/" + s.Name + ".yaml")
	if err != nil || !strings.Contains(string(content), "# Sources: ") {
		t.Errorf("%s: the file names no sources", s.Name)
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
