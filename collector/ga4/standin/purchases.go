package standin

import "encoding/json"

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
		var body struct {
			Events []struct {
				Name   string
				Params struct {
					Transaction string `json:"transaction_id"`
					Page        string `json:"page_location"`
				}
			}
		}
		if json.Unmarshal(h.Body, &body) != nil {
			continue // the verdict has kept nothing of it
		}
		for i, e := range body.Events {
			transaction := e.Params.Transaction
			if !kept[i] || e.Name != "purchase" || known[transaction] {
				continue
			}
			out[e.Params.Page]++
			known[transaction] = transaction != ""
		}
	}
	return out
}
