package collector

// Explained is what became of one event, for a visitor who looks at their own:
// what was stored, and where it goes from there. It is told where a request
// asks for it ("debug": true), and holds nothing that was not in that request
// or derived from it.
type Explained struct {
	Index    int          `json:"index"`
	Stored   *StoredEvent `json:"stored"`
	Forwards []any        `json:"forwards"` // by destination; forward.Explanation
}

// StoredEvent is the part of an event's row that explains it; no key, no hash,
// no token.
type StoredEvent struct {
	Name     string         `json:"name"`
	Hostname string         `json:"hostname"`
	Path     string         `json:"path"`
	Title    string         `json:"title,omitempty"`
	Source   string         `json:"source,omitempty"`
	Channel  string         `json:"channel,omitempty"`
	Country  string         `json:"country,omitempty"`
	Browser  string         `json:"browser,omitempty"`
	OS       string         `json:"os,omitempty"`
	Device   string         `json:"device,omitempty"`
	Props    map[string]any `json:"props,omitempty"`
	Revenue  string         `json:"revenue,omitempty"`
	Test     bool           `json:"test,omitempty"`
}

// explain describes an event that was kept.
func (h *Handler) explain(index int, e *Event) Explained {
	out := Explained{Index: index, Forwards: []any{}, Stored: &StoredEvent{
		Name: e.Name, Hostname: e.Hostname, Path: e.Path, Title: e.Title, Source: e.Source, Channel: e.Channel,
		Country: e.Country, Browser: e.Browser, OS: e.OS, Device: e.Device, Test: e.Test,
	}}
	if e.Revenue != "" {
		out.Stored.Revenue = e.Revenue + " " + e.Currency
	}
	for _, p := range e.Props {
		if out.Stored.Props == nil {
			out.Stored.Props = map[string]any{}
		}
		out.Stored.Props[p.Key] = p.Value
	}
	if h.forwards != nil {
		out.Forwards = append(out.Forwards, h.forwards(e)...)
	}
	return out
}
