package standin

import (
	"encoding/json"

	"sluice/collector/ga4/judge"
)

// Purchases counts, by page, the purchases that Google's reports would show
// after these hits: of several with the same transaction_id it keeps one; one
// without counts each time it comes.
func (s *Server) Purchases() map[string]int {
	out := map[string]int{}
	known := map[string]bool{}
	for _, h := range s.Hits() {
		kept := map[int]bool{}
		for _, e := range h.Kept() {
			kept[e.Index] = true
		}
		for i, e := range h.told() {
			if !kept[i] || e.name != "purchase" || known[e.transaction] {
				continue
			}
			out[e.page]++
			known[e.transaction] = e.transaction != ""
		}
	}
	return out
}

// toldEvent is what a person asks of an event.
type toldEvent struct{ name, page, transaction string }

// told are the events of a hit in either format; none where it cannot be read,
// of which the verdict keeps nothing.
func (h Hit) told() (out []toldEvent) {
	if h.Path == HitPath {
		lines, _ := judge.Lines(h.Query, h.Body)
		for _, q := range lines {
			out = append(out, toldEvent{q.Get("en"), q.Get("dl"), q.Get("ep.transaction_id")})
		}
		return out
	}
	var body struct {
		Events []struct {
			Name   string
			Params map[string]any
		}
	}
	_ = json.Unmarshal(h.Body, &body)
	for _, e := range body.Events {
		page, _ := e.Params["page_location"].(string)
		transaction, _ := e.Params["transaction_id"].(string)
		out = append(out, toldEvent{e.Name, page, transaction})
	}
	return out
}
