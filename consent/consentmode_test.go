package consent

import (
	"strings"
	"testing"
)

func TestSignals(t *testing.T) {
	t.Parallel()
	analytics := Service{Name: "google-analytics", Purpose: Analytics, Hosts: []string{"*.google-analytics.com"}}
	ads := Service{Name: "google-ads", Purpose: Marketing, ConsentMode: []string{"ad_user_data", "ad_storage", "ad_personalization"}}
	video := Service{Name: "youtube", Purpose: Media, Hosts: []string{"www.youtube.com", "notgoogle-analytics.com"}}
	cases := []struct {
		name     string
		services []Service
		purposes []Purpose
		granted  []string
		want     string
	}{
		{"no tag of Google's", []Service{video}, []Purpose{Analytics, Preference, Media}, []string{"statistics", "youtube"}, ""},
		{"analytics", []Service{analytics, ads}, []Purpose{Analytics}, []string{"statistics", "google-analytics"}, "analytics_storage"},
		{"analytics without Google", []Service{analytics, ads}, []Purpose{Analytics}, []string{"statistics"}, ""},
		{"marketing", []Service{analytics, ads}, []Purpose{Marketing}, []string{"google-ads"}, "ad_personalization ad_storage ad_user_data"},
		{"marketing, its tag refused", []Service{analytics, ads}, []Purpose{Marketing}, nil, ""},
		{"preference", []Service{analytics}, []Purpose{Preference}, nil, "functionality_storage personalization_storage"},
		{"analytics beside an advertising tag", []Service{ads}, []Purpose{Analytics}, []string{"statistics"}, "analytics_storage"},
		{"nothing", []Service{analytics, ads}, nil, nil, ""},
	}
	for _, c := range cases {
		r := Receipt{Purposes: map[Purpose]bool{}, Services: map[string]bool{}}
		for _, p := range c.purposes {
			r.Purposes[p] = true
		}
		for _, s := range c.granted {
			r.Services[s] = true
		}
		site := Site{Services: c.services}
		if got := strings.Join(site.signals(&r), " "); got != c.want {
			t.Errorf("%s: signals %q, want %q", c.name, got, c.want)
		}
	}
}
