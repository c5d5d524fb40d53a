package consent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNoticesSaveLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notices.json")
	if got, err := LoadNotices(path); err != nil || got != nil {
		t.Errorf("no file: %v, %v; want none", got, err)
	}
	want := []*Notice{testNotice(t, shop())}
	if err := SaveNotices(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := LoadNotices(path)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	for _, damaged := range []string{"", "[", "{}", "[null]", `[{"site":"example.com"}]`} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadNotices(path); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v, want an error that says damaged", damaged, err)
		}
	}
}

func TestRemember(t *testing.T) {
	t.Parallel()
	first, second := testNotice(t, shop()), testNotice(t, versioned("2026-01"))
	elsewhere := shop()
	elsewhere.Domain = "example.org"
	other := testNotice(t, elsewhere)
	at := func(day int) time.Time { return noon.Add(days(day)) }
	remember := func(history []*Notice, current *Notice, day int, wantChanged bool) []*Notice {
		t.Helper()
		kept, changed, err := Remember(history, current, at(day))
		if err != nil {
			t.Fatal(err)
		}
		if changed != wantChanged {
			t.Errorf("day %d: changed %t, want %t", day, changed, wantChanged)
		}
		if last := kept[len(kept)-1]; last.Fingerprint != current.Fingerprint || !last.Until.IsZero() {
			t.Errorf("day %d: the last one is %+v, want the current one in use", day, last)
		}
		return kept
	}

	history := remember([]*Notice{other}, first, 0, true)
	history = remember(history, first, 1, false)
	if got := history[1].Since; !got.Equal(at(0)) {
		t.Errorf("served since %s, want the first day", got)
	}
	history = remember(history, second, 10, true)
	if got := history[1].Until; !got.Equal(at(10)) {
		t.Errorf("replaced on %s, want the tenth day", got)
	}
	back := remember(history, first, 20, true) // the operator changes it back
	if got := back[len(back)-1].Since; !got.Equal(at(0)) {
		t.Errorf("back again, served since %s, want the first day", got)
	}
	if kept := remember(history, second, 10+MaxConsentDays, false); len(kept) != 3 {
		t.Errorf("%d notices, want the replaced one kept while a token may refer to it", len(kept))
	}
	kept := remember(history, second, 11+MaxConsentDays, true)
	if len(kept) != 2 || kept[0].Site != "example.org" {
		t.Errorf("%d notices, want the replaced one dropped and the other site's kept", len(kept))
	}
}

func TestRememberCollision(t *testing.T) {
	t.Parallel()
	n := testNotice(t, shop())
	twin := *n
	twin.Hash = strings.Repeat("0", 64)
	if _, _, err := Remember([]*Notice{&twin}, n, noon); err == nil {
		t.Error("two contents under one fingerprint are accepted")
	}
}

func versioned(version string) *Site {
	s := shop()
	s.Notice.Version = version
	return s
}

// What asks visitors again, and for which purpose.
func TestNoticeFingerprints(t *testing.T) {
	t.Parallel()
	base := testNotice(t, shop())
	for _, tc := range []struct {
		name    string
		change  func(*Site)
		again   []Purpose // whose visitors are asked again
		version bool      // the notice as a whole is another
	}{
		{"nothing", func(*Site) {}, nil, false},
		{"the look of the banner", func(s *Site) { s.Layout = "box"; s.Theme = map[string]string{"accent": "red"} }, nil, false},
		{"a text that is no purpose's", func(s *Site) { s.Texts = map[string]map[string]string{"en": {"title": "Hi"}} }, nil, false},
		{"how a service is called", func(s *Site) { s.Services[0].Title = "Hotjar (Contentsquare)" }, nil, false},
		{"empty instead of missing", func(s *Site) { s.Services[0].Hosts = []string{} }, nil, false},
		{"an essential service", func(s *Site) { s.Services[2].Provider = "Adyen" }, nil, false},
		{"the version", func(s *Site) { s.Notice.Version = "2026-01" }, nil, true},
		{"consent_days", func(s *Site) { s.ConsentDays = 90 }, nil, true},
		{"a provider", func(s *Site) { s.Services[0].Provider = "Other" }, []Purpose{Analytics}, true},
		{"a country", func(s *Site) { s.Services[1].Country = "IE" }, []Purpose{Media}, true},
		{"a host", func(s *Site) { s.Services[0].Hosts = []string{"hotjar.com"} }, []Purpose{Analytics}, true},
		{"a cookie", func(s *Site) { s.Services[1].Cookies = nil }, []Purpose{Media}, true},
		{"a Google signal", func(s *Site) { s.Services[0].ConsentMode = []string{"ad_storage"} }, []Purpose{Analytics}, true},
		{"own statistics worded otherwise", func(s *Site) {
			s.Services = append([]Service{{Name: Statistics, Purpose: Analytics}}, s.Services...)
		}, []Purpose{Analytics}, true},
		{"an own purpose's words", func(s *Site) { s.Purposes[0].Description = "Panels." }, []Purpose{"research"}, true},
		{"a purpose's words in German", func(s *Site) {
			s.Texts = map[string]map[string]string{"de": {"purpose.media.title": "Videos"}}
		}, []Purpose{Media}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			site := shop()
			tc.change(site)
			got := testNotice(t, site)
			var again []Purpose
			for i, p := range got.Purposes {
				if p.Hash != base.Purposes[i].Hash {
					again = append(again, p.Name)
				}
			}
			if diff := cmp.Diff(tc.again, again); diff != "" {
				t.Errorf("asked again: %s", diff)
			}
			if other := got.Fingerprint != base.Fingerprint; other != tc.version {
				t.Errorf("another notice: %t, want %t", other, tc.version)
			}
		})
	}
}

func TestNoticeLimits(t *testing.T) {
	t.Parallel()
	site := shop()
	for i := range maxServices {
		site.Services = append(site.Services, Service{Name: strings.Repeat("x", i+1), Purpose: Media})
	}
	if _, err := NewNotice(site, testWords); err == nil {
		t.Error("more services than a token holds are accepted")
	}
}
