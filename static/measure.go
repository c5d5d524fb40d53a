package static

// Measure says what a site measures beyond pageviews: Settings of
// src/extras/settings.ts. Its zero value is nothing.
type Measure struct {
	Routes     bool     `json:"routes,omitempty"`      // navigations within the page
	HashRoutes bool     `json:"hash_routes,omitempty"` // "#/cart" is a page of its own
	Engagement bool     `json:"engagement,omitempty"`
	Scroll     bool     `json:"scroll,omitempty"`
	Outbound   bool     `json:"outbound,omitempty"`
	Downloads  []string `json:"downloads,omitempty"` // extensions, in small letters
	Forms      bool     `json:"forms,omitempty"`
	NotFound   bool     `json:"not_found,omitempty"`
	Search     []string `json:"search,omitempty"` // parameters of the query
	Tagged     bool     `json:"tagged,omitempty"`
	Vitals     bool     `json:"vitals,omitempty"`
	Errors     bool     `json:"errors,omitempty"`
}

// ExtrasName is the hashed name under which the script asks for what is
// measured beyond pageviews, with the site in the query: the name changes with
// the code, not with a site's settings.
func ExtrasName() string { return Path(extrasName) }

// ComposeExtras puts a site's settings into the code that measures. It is kept
// for an hour: after that, pages follow a change of the settings.
func ComposeExtras(m Measure) (Asset, error) {
	code, err := fill(extrasName, m)
	if err != nil {
		return Asset{}, err
	}
	return newAsset(ExtrasName(), code, "public, max-age=3600"), nil
}
