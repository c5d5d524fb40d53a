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
