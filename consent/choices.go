package consent

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's files
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

var (
	//go:embed page/choices.html
	choicesHTML string
	//go:embed page/choices.css
	choicesCSS string
)

var choicesTemplate = template.Must(template.New("choices").Funcs(template.FuncMap{
	"cookies": func(p *choicesPage, c []Cookie) cookieTable { return cookieTable{p, c} },
}).Parse(choicesHTML))

// cookieTable is what the template of a list of cookies needs.
type cookieTable struct {
	Page    *choicesPage
	Cookies []Cookie
}

// Providers reports whether a column names who keeps each cookie: where it is
// not always the service's own provider.
func (t cookieTable) Providers() bool {
	return slices.ContainsFunc(t.Cookies, func(c Cookie) bool { return c.Provider != "" })
}

// choicesPolicy is the page's Content-Security-Policy: its own style sheet, its
// own form, and nothing else.
var choicesPolicy = func() string {
	sum := sha256.Sum256([]byte(choicesCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// choicesPage is the preferences as a page that needs no script. A purpose
// with services has one box for each of them and none for itself: then no
// combination of boxes needs explaining.
type choicesPage struct {
	words map[string]string
	query url.Values // of every link back here

	Language, Direction string
	Site                string
	Controller          Controller
	Notice              string // version
	Updated, PolicyURL  string
	Purposes            []choicePurpose
	Signalled           bool

	Proved  bool      // the browser has a token that this server signed
	Given   time.Time // the standing grant; zero: none
	Erasing bool      // asks whether to
	Said    string    // what came of the last action
	Warns   bool      // nothing came of it

	Receipts     []receiptLine
	ReceiptsAway bool // the database cannot be reached
}

type choicePurpose struct {
	Name               Purpose
	Title, Description string
	Required, On       bool
	Services           []choiceService
	Cookies            []Cookie // of the purpose itself
}

type choiceService struct {
	shownService
	On          bool
	CountryName string
}

type receiptLine struct{ Stamp, When, How, Granted, ID string }

// T is a text of the page's language.
func (p *choicesPage) T(name string) string { return cmp.Or(p.words[name], name) }

// Style is the style sheet that choicesPolicy names.
func (p *choicesPage) Style() template.CSS { return template.CSS(choicesCSS) }

// Intro says who asks.
func (p *choicesPage) Intro() string {
	return strings.ReplaceAll(p.T("choices.intro"), "{controller}", p.Controller.Name)
}

// Stands reports whether anything is granted.
func (p *choicesPage) Stands() bool { return !p.Given.IsZero() }

// GivenText says since when the grant stands.
func (p *choicesPage) GivenText() string {
	return strings.ReplaceAll(p.T("since"), "{date}", p.Given.Format(time.DateOnly))
}

// Self, Export and Erase are links beside this page. They are relative, so
// that they hold wherever the site mounts its doors.
func (p *choicesPage) Self() string { return "choices?" + p.query.Encode() }

// Export is what the visitor takes along.
func (p *choicesPage) Export() string { return "me?" + url.Values{"site": {p.Site}}.Encode() }

// Erase asks first.
func (p *choicesPage) Erase() string {
	q := url.Values{"erase": {"1"}}
	for name, values := range p.query {
		q[name] = values
	}
	return "choices?" + q.Encode()
}

// render returns the page.
func (p *choicesPage) render() ([]byte, error) {
	var buf bytes.Buffer
	if err := choicesTemplate.Execute(&buf, p); err != nil {
		return nil, fmt.Errorf("render choices of %s: %w", p.Site, err)
	}
	return buf.Bytes(), nil
}

// choices describes a policy's purposes; live answers what is on.
func (p *Policy) choices(lang string, words map[string]string, live func(Use) bool) []choicePurpose {
	regions := regionsOf(lang)
	var out []choicePurpose
	for _, shown := range p.shownPurposes(lang, words) {
		purpose := choicePurpose{
			Name: shown.Name, Title: shown.Title, Description: shown.Description, Required: shown.Required,
			On: live(Use{Purpose: shown.Name}),
		}
		if shown.Name == Preference {
			purpose.Cookies = []Cookie{{Name: PreferenceCookie, Lasts: duration("6 months", lang, words), Purpose: words["use.settings"]}}
		}
		for _, s := range shown.Services {
			purpose.Services = append(purpose.Services, choiceService{
				shownService: s, On: live(Use{Purpose: shown.Name, Service: s.Name}), CountryName: regions(s.Country),
			})
		}
		out = append(out, purpose)
	}
	return out
}

// regionsOf names countries in a language; a code that has no name stays.
func regionsOf(lang string) func(code string) string {
	names := display.Regions(language.Make(lang))
	return func(code string) string {
		region, err := language.ParseRegion(code)
		if err != nil || names == nil {
			return code
		}
		return cmp.Or(names.Name(region), code)
	}
}

// lines puts receipts into rows, newest first.
func (p *choicesPage) lines(receipts []json.RawMessage) error {
	titles := map[string]string{}
	for _, purpose := range p.Purposes {
		titles[string(purpose.Name)] = purpose.Title
	}
	for _, body := range slices.Backward(receipts) {
		r, err := DecodeReceipt(body)
		if err != nil {
			return err
		}
		var granted []string
		for _, name := range r.GrantedPurposes() {
			granted = append(granted, cmp.Or(titles[name], name))
		}
		p.Receipts = append(p.Receipts, receiptLine{
			Stamp: r.Time.Format(time.RFC3339), When: r.Time.Format("2006-01-02 15:04 UTC"),
			How: cmp.Or(p.words["method."+string(r.Method)], string(r.Method)), ID: idText(r.ReceiptID),
			Granted: cmp.Or(strings.Join(granted, ", "), p.T("choices.granted.none")),
		})
	}
	return nil
}
