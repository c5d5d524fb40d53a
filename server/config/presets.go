package config

import (
	"maps"
	"slices"

	"sluice/consent"
)

// preset returns the service that a preset describes.
func preset(name string) (consent.Service, bool) {
	s, ok := presetTable[name]
	return s, ok
}

func presetNames() []string { return slices.Sorted(maps.Keys(presetTable)) }

var presetTable = map[string]consent.Service{
	"google-analytics": {Name: "google-analytics"},
	"hotjar":           {Name: "hotjar"},
	"stripe":           {Name: "stripe"},
	"whatsapp":         {Name: "whatsapp"},
	"statistics":       {Name: "statistics"},
}
