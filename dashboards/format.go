package dashboards

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"sluice/dashboards/query"
)

// thousands writes a whole number with separators: 12,345.
func thousands(n float64) string {
	s := strconv.FormatFloat(math.Abs(n), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if n < 0 {
		return "−" + s
	}
	return s
}

// number writes a figure in its unit.
func number(unit query.Unit, n float64) string {
	switch unit {
	case query.Percent:
		return thousands(n) + "%"
	case query.Share:
		return strconv.FormatFloat(n, 'f', -1, 64) + "%"
	case query.Money:
		return money(n)
	case query.Ratio:
		return strconv.FormatFloat(n, 'f', 2, 64)
	case query.Seconds:
		return duration(time.Duration(n) * time.Second)
	}
	return thousands(n)
}

// money writes an amount with separators and at least two decimals, at most the
// four that are kept.
func money(n float64) string {
	whole, decimals, _ := strings.Cut(strconv.FormatFloat(math.Round(n*1e4)/1e4, 'f', -1, 64), ".")
	units, _ := strconv.ParseFloat(whole, 64) // as it was written
	if n < 0 && units == 0 {
		whole = "−0"
	} else {
		whole = thousands(units)
	}
	return whole + "." + decimals + strings.Repeat("0", max(0, 2-len(decimals)))
}

// duration writes the two largest parts of a time: 1h 4m, 2m 5s, 40s.
func duration(d time.Duration) string {
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%dh %dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm %ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}

// share writes a part of one as a percentage; what is neither none nor all
// never looks like it.
func share(part float64) string {
	switch p := part * 100; {
	case p > 0 && p < 1:
		return "<1%"
	case p > 99 && p < 100:
		return ">99%"
	default:
		return thousands(math.Round(p)) + "%"
	}
}

// Change says how a figure moved against the period before.
type Change struct {
	Text  string // +12%, −3 points, "new", "" where nothing can be said
	Words string // for a tooltip and for screen readers
	Tone  string // good, bad, same
}

// change compares a figure with the one before. lower says that less is good
// news.
func change(unit query.Unit, now, before float64, lower bool) Change {
	c := Change{Tone: "same", Words: "against " + number(unit, before) + " before"}
	diff := now - before
	switch {
	case before == 0 && now == 0:
		return Change{Text: "–", Tone: "same", Words: "as before: none"}
	case unit == query.Percent:
		c.Text = signed(diff) + " pts"
	case before == 0:
		c.Text = "new"
	default:
		c.Text = signed(100*diff/before) + "%"
	}
	if round := math.Round(diff * 100); round != 0 {
		c.Tone = "good"
		if (diff < 0) != lower {
			c.Tone = "bad"
		}
	}
	return c
}

func signed(n float64) string {
	switch n = math.Round(n); {
	case n > 0:
		return "+" + thousands(n)
	case n < 0:
		return thousands(n)
	}
	return "±0"
}

var regions = display.English.Regions()

// country names an ISO 3166-1 code in English.
func country(code string) string {
	r, err := language.ParseRegion(code)
	if err != nil || !r.IsCountry() {
		return code
	}
	return regions.Name(r)
}

// visible makes a string from a visitor's browser fit to be read: control and
// formatting characters, which could reorder or hide the text around them,
// become visible, and a long one is cut.
func visible(s string) string {
	const limit = 200
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteRune('…')
			break
		}
		switch {
		case r == unicode.ReplacementChar, unicode.IsControl(r), unicode.Is(unicode.Cf, r),
			r == '\u2028', r == '\u2029', unicode.Is(unicode.Co, r):
			b.WriteRune('\uFFFD')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// sentence turns a name of the code into words: no_consent, "No consent".
func sentence(name string) string {
	if name == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + strings.ReplaceAll(name[size:], "_", " ")
}

// dates writes a period's days: "25 Oct – 23 Nov 2026".
func dates(p query.Period) string {
	first, last := p.From, p.To.Add(-time.Second)
	const full = "2 Jan 2006"
	switch {
	case first.Format(full) == last.Format(full):
		return first.Format("Monday, 2 January 2006")
	case first.Year() == last.Year():
		return first.Format("2 Jan") + " – " + last.Format(full)
	}
	return first.Format(full) + " – " + last.Format(full)
}
