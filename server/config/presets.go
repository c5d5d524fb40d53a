package config

import (
	"maps"
	"slices"

	"sluice/consent"
)

// preset returns the service that a preset describes.
func preset(name string) (consent.Service, bool) { return consent.PresetFor(name) }

// presetNames lists the presets. One that cannot be read would fail consent's
// own tests.
func presetNames() []string {
	all, err := consent.Presets()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(all))
}

// kinds lists what presets say of themselves: the words that every language has
// a sentence for.
func kinds() []string {
	all, err := consent.Presets()
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range all {
		out = append(out, s.Kind)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
