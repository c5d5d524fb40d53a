package enrich

import (
	"os"
	"strings"
	"testing"
)

// documented returns the cells of the rows below a heading of docs/channels.md,
// without their marks.
func documented(t *testing.T, heading string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/channels.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	for line := range strings.Lines(part) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 2 {
		t.Fatalf("docs/channels.md has no table below %q", heading)
	}
	return rows[1:]
}

// Every row of the documented table does what it says, and no channel lacks a
// row.
func TestDocumentedChannels(t *testing.T) {
	t.Parallel()
	shown := map[Channel]bool{}
	for _, row := range documented(t, "Channels") {
		want, query, referrer := Channel(row[0]), strings.Trim(row[2], "`"), strings.Trim(row[3], "`")
		shown[want] = true
		a, ok := ParseAddress("https://example.com/?" + query)
		if !ok {
			t.Fatalf("row %q has no query", row)
		}
		page := defaults.Page(a)
		if got := ReadArrival(&page, defaults.Referrer(referrer, own).From).Channel; got != want {
			t.Errorf("?%s from %q is %s, docs/channels.md says %s", query, referrer, got, want)
		}
	}
	for _, c := range []Channel{
		Direct, CrossNetwork, PaidShopping, PaidSearch, PaidSocial, PaidVideo, Display, PaidOther, OrganicShopping, OrganicSocial,
		OrganicVideo, OrganicSearch, EmailChannel, Affiliates, ReferralChannel, Audio, SMS, MobilePush, Unassigned,
	} {
		if !shown[c] {
			t.Errorf("docs/channels.md has no example of %s", c)
		}
	}
}

// Every click id that is documented is known, every known one documented, and
// none is kept.
func TestDocumentedClickIDs(t *testing.T) {
	t.Parallel()
	known := 0
	for _, row := range documented(t, "Click ids") {
		for _, name := range strings.Fields(row[0]) {
			known++
			name = strings.Trim(name, "`")
			if got, want := clicks[name], (Click{row[1], row[2]}); got != want {
				t.Errorf("%s is %+v, docs/channels.md says %+v", name, got, want)
			}
			a, _ := ParseAddress("https://example.com/a?" + name + "=Cj0KCQ&utm_campaign=x")
			if p := defaults.Page(a); p.Path != "/a" || p.Query != "utm_campaign=x" || p.Click.Source != row[1] {
				t.Errorf("%s: kept %q and %q, from %s", name, p.Path, p.Query, p.Click.Source)
			}
		}
	}
	if known != len(clicks) {
		t.Errorf("docs/channels.md shows %d click ids, %d are known", known, len(clicks))
	}
}
