package ga4

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"sluice/collector/ga4/judge"
)

// items maps the event's list of products: Google's own params, and the first
// ten of the site's by name. What is null, nested or not a number where one
// belongs is left out, for Google would drop the whole event.
func (b *builder) items() []map[string]any {
	if b.ev.Items == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(b.ev.Items))
	d.UseNumber()
	var in []map[string]any
	if err := d.Decode(&in); err != nil {
		b.losses.Dropped++
		return nil
	}
	if len(in) > judge.MaxItems {
		b.losses.Dropped += len(in) - judge.MaxItems
		in = in[:judge.MaxItems]
	}
	var out []map[string]any
	for _, item := range in {
		if kept := b.product(item); len(kept) > 0 {
			out = append(out, kept)
		}
	}
	return out
}

func (b *builder) product(item map[string]any) map[string]any {
	out := map[string]any{}
	custom := 0
	for _, key := range slices.Sorted(maps.Keys(item)) {
		name, renamed := paramName("", key)
		value := b.scalar(item[key])
		if judge.NumericParam(name) {
			value = asNumber(value)
		}
		own := judge.StandardItemParam(name)
		if _, taken := out[name]; taken || value == nil || !own && custom == judge.MaxItemParams {
			b.losses.Dropped++
			continue
		}
		if !own {
			custom++
		}
		if renamed {
			b.losses.Renamed++
		}
		out[name] = value
	}
	return out
}
