package consent

import "cmp"

// markedData is what a page with marked elements asks for: Facts of
// static/src/marked/facts.ts. It says what stands in the place of a frame that
// waits for a grant, and which services a running page cannot stop.
type markedData struct {
	Language  string                 `json:"lang"`
	Direction string                 `json:"dir"`
	Notice    string                 `json:"notice"` // version
	Texts     map[string]string      `json:"texts"`
	Purposes  map[Purpose]string     `json:"purposes"` // titles; essential is not among them
	Services  map[string]markedFacts `json:"services"` // those that a visitor can grant
}

type markedFacts struct {
	Title    string  `json:"title"`
	Provider string  `json:"provider"`
	Purpose  Purpose `json:"purpose"`
	Reload   bool    `json:"reload,omitempty"`
}

// markedTexts are the words of a frame's placeholder.
var markedTexts = []string{"blocked", "receives", "once", "always"}

// marked returns what a site tells about its services in a language.
func (p *Policy) marked(lang string, texts map[string]string) markedData {
	words := p.Site.words(lang, texts)
	d := markedData{
		Language: lang, Direction: direction(lang), Notice: p.Current.Version,
		Texts: map[string]string{}, Purposes: map[Purpose]string{}, Services: map[string]markedFacts{},
	}
	for _, name := range markedTexts {
		d.Texts[name] = words["frame."+name]
	}
	for _, shown := range p.shownPurposes(lang, words) {
		if !shown.Required {
			d.Purposes[shown.Name] = shown.Title
		}
	}
	for _, s := range p.Site.AllServices() {
		if s.Purpose == Essential {
			continue
		}
		d.Services[s.Name] = markedFacts{
			Title:    cmp.Or(words["service."+s.Name+".title"], s.Title, s.Name),
			Provider: s.Provider, Purpose: s.Purpose, Reload: s.Reload,
		}
	}
	return d
}
