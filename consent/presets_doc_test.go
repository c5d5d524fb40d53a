package consent

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/services.md from the presets")

// TestServicesDoc keeps the table of docs/services.md what the presets say.
func TestServicesDoc(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../docs/services.md", "<!-- presets -->\n", "<!-- /presets -->\n"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(content, []byte(begin))
	got, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		t.Fatalf("%s has no place for the table between %q and %q", path, begin, end)
	}
	want := presetsTable(t)
	if *update {
		whole := slices.Concat(before, []byte(begin), []byte(want), []byte(end), after)
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the presets say; run go test ./consent -run TestServicesDoc -update (-presets +doc):\n%s", path, diff)
	}
}

func presetsTable(t *testing.T) string {
	t.Helper()
	all, err := Presets()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| preset | purpose | provider, and who else receives data | transfer | kept in the browser | after a withdrawal | legal source |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, purpose := range []Purpose{Essential, Analytics, Preference, Media, Marketing} {
		for _, name := range keys(all) {
			if s := all[name]; s.Purpose == purpose {
				b.WriteString(presetRow(&s))
			}
		}
	}
	return b.String()
}

func presetRow(s *Service) string {
	purpose := string(s.Purpose)
	if len(s.Pages) > 0 {
		purpose += " on " + strings.Join(s.Pages, ", ")
	}
	provider := "the controller"
	if s.External {
		provider = strings.Join(append([]string{s.Provider + ", " + s.Country}, s.Recipients...), "; ")
	}
	transfer := s.Transfer
	if transfer == "" {
		transfer = "none"
	}
	kept := map[CookieKind]int{}
	for _, c := range s.Cookies {
		kept[c.Kind]++
	}
	var storage []string
	for _, k := range []struct {
		kind CookieKind
		name string
	}{{"", "cookies"}, {LocalStorage, "local"}, {SessionStorage, "session"}} {
		if kept[k.kind] > 0 {
			storage = append(storage, fmt.Sprintf("%d %s", kept[k.kind], k.name))
		}
	}
	if storage == nil {
		storage = []string{"nothing"}
	}
	stops := "stops in the page"
	switch {
	case s.Purpose == Essential:
		stops = ""
	case s.Reload:
		stops = "reloads"
	}
	var law []string
	for _, l := range s.Legal {
		law = append(law, fmt.Sprintf("%s (%s)", l.Source, l.Date))
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s |\n",
		s.Name, purpose, provider, transfer, strings.Join(storage, ", "), stops, strings.Join(law, "; "))
}
