package static

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// placeholder is where the banner's bundle takes a site's data: an identifier
// that occurs once.
const placeholder = "__SLUICE_DATA__"

// ComposeBanner puts a site's data, a JSON object of the shape BannerData in
// src/consent/wire.ts, into the banner's code. Its `texts` are laid over the
// embedded ones of its `lang`; of these only names without a dot go to the
// browser ("purpose.analytics.title" is for whoever makes up the data). It is
// meant for start-up: compressing takes some 50 ms.
func ComposeBanner(data []byte) (Asset, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return Asset{}, fmt.Errorf("composing a banner: data: %w", err)
	}
	var lang string
	if err := json.Unmarshal(object["lang"], &lang); err != nil {
		return Asset{}, fmt.Errorf("composing a banner: data.lang: %w", err)
	}
	own := map[string]string{}
	if raw, ok := object["texts"]; ok {
		if err := json.Unmarshal(raw, &own); err != nil {
			return Asset{}, fmt.Errorf("composing a banner: data.texts: %w", err)
		}
	}
	texts, err := json.Marshal(bannerTexts(lang, own))
	if err != nil {
		return Asset{}, fmt.Errorf("composing a banner: texts: %w", err)
	}
	object["texts"] = texts
	// JSON means the same wherever the code ends up: encoding/json escapes <, >,
	// &, U+2028 and U+2029, also in raw parts.
	literal, err := json.Marshal(object)
	if err != nil {
		return Asset{}, fmt.Errorf("composing a banner: %w", err)
	}
	before, after, found := bytes.Cut(read(bannerName), []byte(placeholder))
	if !found || bytes.Contains(after, []byte(placeholder)) {
		return Asset{}, fmt.Errorf("composing a banner: %s has not exactly one %s", bannerName, placeholder)
	}
	return newAsset(bannerName, bytes.Join([][]byte{before, after}, literal), "private, no-store"), nil
}

// bannerTexts lays own texts over the embedded ones.
func bannerTexts(lang string, own map[string]string) map[string]string {
	texts, ok := Texts(lang)
	if !ok {
		texts, _ = Texts(Match(lang))
	}
	maps.Copy(texts, own)
	maps.DeleteFunc(texts, func(name, _ string) bool { return strings.Contains(name, ".") })
	return texts
}
