package consent

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed presets/*.yaml
var presetFiles embed.FS

// preset is the file of one; its name is the file's.
type preset struct {
	Title       string            `yaml:"title"`
	Purpose     Purpose           `yaml:"purpose"`
	Kind        string            `yaml:"kind"`
	Texts       map[string]string `yaml:"texts"`
	Provider    string            `yaml:"provider"`
	Recipients  []string          `yaml:"recipients"`
	Country     string            `yaml:"country"`
	Transfer    string            `yaml:"transfer"`
	PolicyURL   string            `yaml:"policy_url"`
	Legal       []Legal           `yaml:"legal"`
	Reload      bool              `yaml:"reload"`
	Hosts       []string          `yaml:"hosts"`
	Pages       []string          `yaml:"pages"`
	ConsentMode []string          `yaml:"consent_mode"`
	Cookies     []Cookie          `yaml:"cookies"`
}

func (p *preset) service(name string) Service {
	return Service{
		Name: name, Title: p.Title, Purpose: p.Purpose, Kind: p.Kind, Texts: p.Texts,
		Provider: p.Provider, Recipients: slices.Clip(p.Recipients), Country: p.Country, Transfer: p.Transfer,
		PolicyURL: p.PolicyURL, Legal: slices.Clip(p.Legal), External: p.Provider != "", Reload: p.Reload,
		Hosts: slices.Clip(p.Hosts), Pages: slices.Clip(p.Pages), ConsentMode: slices.Clip(p.ConsentMode),
		Cookies: slices.Clip(p.Cookies),
	}
}

// Presets returns the services that Sluice knows, by name; the operator's
// fields are laid over them. The map is a copy, the slices within are shared:
// replace them, do not change them. Statistics is among them, for a site that
// wants to word it otherwise; its provider is the controller.
func Presets() (map[string]Service, error) {
	all, err := presets()
	return maps.Clone(all), err
}

// PresetFor returns one preset.
func PresetFor(name string) (Service, bool) {
	all, err := presets()
	if err != nil { // embedded, and read by a test: cannot happen
		return Service{}, false
	}
	s, ok := all[name]
	return s, ok
}

var presets = sync.OnceValues(func() (map[string]Service, error) {
	files, err := presetFiles.ReadDir("presets")
	if err != nil {
		return nil, fmt.Errorf("list presets: %w", err)
	}
	all := map[string]Service{Statistics: OwnStatistics("")}
	for _, f := range files {
		content, err := presetFiles.ReadFile(path.Join("presets", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("read preset: %w", err)
		}
		var p preset
		if err := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict()).Decode(&p); err != nil {
			return nil, fmt.Errorf("preset %s: %w", f.Name(), err)
		}
		name := strings.TrimSuffix(f.Name(), ".yaml")
		all[name] = p.service(name)
	}
	return all, nil
})
