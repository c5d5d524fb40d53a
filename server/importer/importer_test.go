package importer

import (
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var berlin = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return zone
}()

func read(t *testing.T, tool string, files ...string) *Import {
	t.Helper()
	in, err := Read(Options{Tool: tool, Site: "example.com", Zone: berlin}, files)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// line is a row as a test writes it down: date, dimension, value, figures.
func rowsOf(in *Import, dimensions ...string) map[string]Figures {
	out := map[string]Figures{}
	for _, r := range in.Rows {
		for _, d := range dimensions {
			if r.Dimension == d {
				out[r.Date.Format("02")+" "+d+" "+r.Value] = r.Figures
			}
		}
	}
	return out
}

// TestTools reads one small source of each tool; the figures are worked out by
// hand from the files in testdata. Figures is visitors, visits, pageviews,
// events, bounces, seconds.
func TestTools(t *testing.T) {
	t.Parallel()
	tests := []struct {
		tool       string
		files      []string
		dimensions []string
		want       map[string]Figures
		source     Figures
		lines      uint64
		skipped    map[string]uint64
	}{
		{
			"plausible", []string{"imported_visitors_20250101_20250102.csv", "imported_sources_20250101_20250102.csv", "imported_pages_20250101_20250102.csv", "imported_custom_events_20250101_20250102.csv"},
			[]string{"", "source", "page", "event", "utm_campaign"},
			map[string]Figures{
				"01  ": {10, 12, 25, 0, 4, 600}, "02  ": {7, 8, 9, 0, 5, 120},
				"01 source ": {6, 7, 15, 0, 3, 300}, "01 source Google": {4, 5, 10, 0, 1, 300}, "02 source ": {7, 8, 9, 0, 5, 120},
				"01 utm_campaign spring": {1, 1, 2, 0, 0, 100},
				"01 page /":              {10, 12, 18, 0, 0, 0}, "01 page /a,b": {5, 5, 7, 0, 0, 0}, "02 page /": {7, 8, 9, 0, 0, 0},
				"02 event Signup": {2, 0, 0, 3, 0, 0},
			}, Figures{17, 20, 34, 0, 9, 720}, 10, map[string]uint64{},
		},
		{
			// s1's visit begins on the 1st at 23:50 in Berlin and goes on on the 2nd.
			"umami", []string{"umami.csv"}, []string{"", "page", "entry_page", "exit_page", "source", "country", "event"},
			map[string]Figures{
				"01  ": {2, 2, 2, 2, 1, 960}, "02  ": {1, 0, 1, 2, 0, 0},
				"01 page /": {2, 0, 2, 0, 0, 0}, "02 page /pricing": {1, 0, 1, 0, 0, 0},
				"01 entry_page /": {2, 2, 3, 4, 1, 960}, "01 exit_page /": {1, 1, 0, 0, 0, 0}, "01 exit_page /pricing": {1, 1, 0, 0, 0, 0},
				"01 source Google": {1, 1, 2, 3, 0, 960}, "01 source newsletter": {1, 1, 1, 1, 1, 0},
				"01 country DE": {1, 1, 2, 3, 0, 960}, "01 country AT": {1, 1, 1, 1, 1, 0},
				"02 event Signup": {1, 0, 0, 1, 0, 0},
			}, Figures{3, 2, 3, 4, 1, 960}, 4, map[string]uint64{},
		},
		{
			// a1 comes back after 55 minutes: a second visit.
			"goatcounter", []string{"goatcounter.csv"}, []string{"", "page", "source", "browser", "country", "region", "event"},
			map[string]Figures{
				"01  ":      {2, 3, 3, 4, 1, 300},
				"01 page /": {1, 0, 2, 0, 0, 0}, "01 page /blog": {1, 0, 1, 0, 0, 0}, "01 event click-buy": {1, 0, 0, 1, 0, 0},
				"01 source Hacker News": {1, 1, 2, 2, 0, 300}, "01 source ": {2, 2, 1, 2, 1, 0},
				"01 browser Firefox": {1, 2, 3, 3, 1, 300}, "01 browser Chrome": {1, 1, 0, 1, 0, 0},
				"01 country DE": {1, 2, 3, 3, 1, 300}, "01 country US": {1, 1, 0, 1, 0, 0}, "01 region DE-BE": {1, 2, 3, 3, 1, 300},
			}, Figures{2, 3, 3, 4, 1, 300}, 4, map[string]uint64{"bots, as GoatCounter found them": 1},
		},
		{
			"log", []string{"access.log"}, []string{"", "page", "source", "os"},
			map[string]Figures{
				"01  ": {1, 2, 3, 3, 1, 600}, "02  ": {1, 1, 1, 1, 1, 0},
				"01 page /": {1, 0, 2, 0, 0, 0}, "01 page /pricing": {1, 0, 1, 0, 0, 0}, "02 page /": {1, 0, 1, 0, 0, 0},
				"01 source Google": {1, 1, 2, 2, 0, 600}, "01 source ": {1, 1, 1, 1, 1, 0}, "02 source ": {1, 1, 1, 1, 1, 0},
				"01 os Linux": {1, 2, 3, 3, 1, 600}, "02 os Linux": {1, 1, 1, 1, 1, 0},
			}, Figures{2, 3, 4, 4, 2, 600}, 4, map[string]uint64{
				"files that belong to pages": 1, "bots": 1, "other methods than GET": 1, "answers other than 2xx and 304": 1,
			},
		},
		{
			"bigquery", []string{"bigquery.json"}, []string{"", "page", "source", "country", "event"},
			map[string]Figures{
				"01  ": {1, 1, 1, 2, 0, 90}, "02  ": {1, 1, 1, 1, 1, 0},
				"01 page /": {1, 0, 1, 0, 0, 0}, "02 page /a": {1, 0, 1, 0, 0, 0}, "01 event purchase": {1, 0, 0, 1, 0, 0},
				"01 source Google": {1, 1, 1, 2, 0, 90}, "02 source ": {1, 1, 1, 1, 1, 0},
				"01 country Germany": {1, 1, 1, 2, 0, 90}, "02 country Austria": {1, 1, 1, 1, 1, 0},
			}, Figures{2, 2, 2, 3, 1, 90}, 3, map[string]uint64{"book-keeping of GA4 (session_start, first_visit, user_engagement)": 1},
		},
		{
			"ga4", []string{"ga4.csv"}, []string{"", "source"},
			map[string]Figures{
				"01  ": {10, 0, 0, 0, 0, 0}, "02  ": {7, 0, 0, 0, 0, 0},
				"01 source google": {0, 5, 10, 0, 1, 0}, "01 source ": {0, 7, 15, 0, 3, 0}, "02 source ": {0, 8, 9, 0, 3, 0},
			}, Figures{Visitors: 17}, 5, map[string]uint64{"lines of grand totals": 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.tool, func(t *testing.T) {
			t.Parallel()
			files := make([]string, len(tt.files))
			for i, f := range tt.files {
				files[i] = filepath.Join("testdata", f)
			}
			in := read(t, tt.tool, files...)
			if diff := cmp.Diff(tt.want, rowsOf(in, tt.dimensions...)); diff != "" {
				t.Errorf("figures (-want +got):\n%s", diff)
			}
			if in.Source != tt.source || in.Lines != tt.lines {
				t.Errorf("totals of the source are %+v of %d lines, want %+v of %d", in.Source, in.Lines, tt.source, tt.lines)
			}
			if diff := cmp.Diff(tt.skipped, in.Skipped); diff != "" {
				t.Errorf("left out (-want +got):\n%s", diff)
			}
			var whole Figures
			for _, r := range in.Rows {
				if r.Dimension == "" {
					whole.add(r.Figures)
				}
				if strings.Contains(r.Value, "203.0.113.7") || strings.Contains(r.Value, "ada@") {
					t.Errorf("row %+v names somebody", r)
				}
			}
			if whole != in.Source {
				t.Errorf("whole days come to %+v, the source to %+v", whole, in.Source)
			}
			if again := read(t, tt.tool, files...); again.ID != in.ID || len(again.Rows) != len(in.Rows) {
				t.Errorf("a second reading is import %s of %d rows, the first %s of %d", again.ID, len(again.Rows), in.ID, len(in.Rows))
			}
		})
	}
}

// TestTotalsFromPages takes a GA4 table that has pages by date, and no other.
func TestTotalsFromPages(t *testing.T) {
	t.Parallel()
	in := read(t, "ga4", write(t, "pages.csv", "Date,Page path,Views,Active users\n20250101,/,5,3\n20250101,/a/ada@example.com,2,1\n"))
	if diff := cmp.Diff(map[string]Figures{"01  ": {Visitors: 4, Pageviews: 7}}, rowsOf(in, "")); diff != "" {
		t.Errorf("whole days (-want +got):\n%s", diff)
	}
	for _, r := range in.Rows {
		if strings.Contains(r.Value, "ada") {
			t.Errorf("row %+v names somebody", r)
		}
	}
	if len(in.Notes) != 1 {
		t.Errorf("notes are %q, want one about where the totals come from", in.Notes)
	}
}

// visited is lines of an access log, all of one visitor; each text is a time and
// a path.
func visited(lines ...string) string {
	var log strings.Builder
	for _, line := range lines {
		when, path, _ := strings.Cut(line, " ")
		fmt.Fprintf(&log, "203.0.113.7 - - [%s +0000] \"GET %s HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\"\n", when, path)
	}
	return log.String()
}

// TestOrder reads the files of one visitor in both orders, and packed together:
// silence ends a visit whichever is named first. Figures are visitors, visits,
// pageviews, events, bounces, seconds.
func TestOrder(t *testing.T) {
	t.Parallel()
	const goats = "2Path,Event,Session,Date\n"
	tests := []struct {
		name, tool string
		files      []string
		want       map[string]Figures
	}{
		{"rotated", "log", []string{visited("02/Jan/2025:10:00:00 /b"), visited("01/Jan/2025:10:00:00 /a")}, map[string]Figures{
			"01  ": {1, 1, 1, 1, 1, 0}, "02  ": {1, 1, 1, 1, 1, 0},
			"01 entry_page /a": {1, 1, 1, 1, 1, 0}, "02 entry_page /b": {1, 1, 1, 1, 1, 0},
			"01 exit_page /a": {1, 1, 0, 0, 0, 0}, "02 exit_page /b": {1, 1, 0, 0, 0, 0},
			"01 source ": {1, 1, 1, 1, 1, 0}, "02 source ": {1, 1, 1, 1, 1, 0},
		}},
		{"rotated during a visit", "log", []string{visited("02/Jan/2025:00:05:00 /b"), visited("01/Jan/2025:23:50:00 /a?utm_source=mail")}, map[string]Figures{
			"01  ": {1, 1, 1, 1, 0, 900}, "02  ": {1, 0, 1, 1, 0, 0},
			"01 entry_page /a": {1, 1, 2, 2, 0, 900}, "01 exit_page /b": {1, 1, 0, 0, 0, 0}, "01 source mail": {1, 1, 2, 2, 0, 900},
		}},
		{"rotated within a second", "log", []string{visited("01/Jan/2025:10:00:00 /b"), visited("01/Jan/2025:09:59:00 /a", "01/Jan/2025:10:00:00 /c")}, map[string]Figures{
			"01  ":             {1, 1, 3, 3, 0, 60},
			"01 entry_page /a": {1, 1, 3, 3, 0, 60}, "01 exit_page /b": {1, 1, 0, 0, 0, 0}, "01 source ": {1, 1, 3, 3, 0, 60},
		}},
		// The second server's hits lie within, between and beside visits of the first's.
		{"of two servers", "log", []string{
			visited("01/Jan/2025:10:00:00 /a", "01/Jan/2025:10:40:00 /b", "01/Jan/2025:15:00:00 /c"),
			visited("01/Jan/2025:10:20:00 /d", "01/Jan/2025:12:00:00 /e", "01/Jan/2025:15:10:00 /f"),
		}, map[string]Figures{
			"01  ":             {1, 3, 6, 6, 1, 3000},
			"01 entry_page /a": {1, 1, 3, 3, 0, 2400}, "01 entry_page /e": {1, 1, 1, 1, 1, 0}, "01 entry_page /c": {1, 1, 2, 2, 0, 600},
			"01 exit_page /b": {1, 1, 0, 0, 0, 0}, "01 exit_page /e": {1, 1, 0, 0, 0, 0}, "01 exit_page /f": {1, 1, 0, 0, 0, 0},
			"01 source ": {1, 3, 6, 6, 1, 3000},
		}},
		{"newest line first", "goatcounter", []string{goats + "/b,false,s,2025-01-02T10:00:00Z\n/a,false,s,2025-01-01T10:00:00Z\n"}, map[string]Figures{
			"01  ": {1, 1, 1, 1, 1, 0}, "02  ": {1, 1, 1, 1, 1, 0},
			"01 entry_page /a": {1, 1, 1, 1, 1, 0}, "02 entry_page /b": {1, 1, 1, 1, 1, 0},
			"01 exit_page /a": {1, 1, 0, 0, 0, 0}, "02 exit_page /b": {1, 1, 0, 0, 0, 0},
			"01 source ": {1, 1, 1, 1, 1, 0}, "02 source ": {1, 1, 1, 1, 1, 0},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			packed := filepath.Join(dir, "logs.zip")
			pack := must(t)(os.Create(packed))
			z := zip.NewWriter(pack)
			var files []string
			for i, text := range tt.files {
				name := fmt.Sprint("log.", i)
				files = append(files, write(t, name, text))
				if err := writeEntry(z, name, text); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(z.Close(), pack.Close()); err != nil {
				t.Fatal(err)
			}
			in := func(files ...string) *Import {
				t.Helper()
				in, err := Read(Options{Tool: tt.tool, Site: "example.com"}, files)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, rowsOf(in, "", "entry_page", "exit_page", "source")); diff != "" {
					t.Errorf("%v (-want +got):\n%s", files, diff)
				}
				return in
			}
			first := in(files...)
			slices.Reverse(files)
			if second := in(files...); second.ID != first.ID {
				t.Errorf("in the other order it is import %s, before %s", second.ID, first.ID)
			}
			in(packed)
		})
	}
}

// TestLogAddresses reads what may stand before the time: five lines are of so
// many visitors, or have no address.
func TestLogAddresses(t *testing.T) {
	t.Parallel()
	const v4, v6 = "203.0.113.%d", "2001:db8::%d"
	tests := []struct {
		name, head string // %d is the number of the line
		visitors   uint64 // 0: the line is refused
	}{
		{"combined", v4 + " - -", 5},
		{"combined, v6", v6 + " - ada", 5},
		{"combined, a zone", "fe80::%d%eth0 - -", 5},
		{"combined, a name", "host-%d.isp.example - ada lovelace", 5},
		{"combined, forwarded for", v4 + ", 198.51.100.1 - -", 5},
		{"vhost_combined", "www.example.com:443 " + v4 + " - -", 5},
		{"vhost_combined, many hosts", "h%d.example.com:443 203.0.113.7 - -", 1},
		{"vhost_combined, v6", "example.com:80 " + v6 + " - ada", 5},
		{"vhost_combined, a name", "my_host:8080 host-%d.isp.example - -", 5},
		{"vhost_combined, hosts of v4", "192.0.2.1:80 " + v4 + " - -", 5},
		{"vhost_combined, hosts of v6", "[2001:db8::a]:80 " + v6 + " - -", 5},
		{"vhost_combined, none", "example.com:443 - - -", 0},
		{"a port behind the address", v4 + ":50000 - -", 0},
		{"a host without a port", "example.com: " + v4 + " - -", 0},
		{"no port", "example.com:https " + v4 + " - -", 0},
		{"none", "- - -", 0},
		{"a socket", "unix: - -", 0},
		{"quotes", `"" - -`, 0},
		{"a pair", "client=" + v4 + " - -", 0},
		{"nothing", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			for i := range 5 {
				head := strings.ReplaceAll(tt.head, "%d", fmt.Sprint(i+1))
				fmt.Fprintf(&text, "%s [01/Jan/2025:10:00:00 +0000] \"GET / HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\"\n", head)
			}
			in, err := Read(Options{Tool: "log", Site: "example.com"}, []string{write(t, "access.log", text.String())})
			if tt.visitors == 0 {
				if err == nil || !strings.Contains(err.Error(), "access.log:1: ") || !strings.Contains(err.Error(), "where the address should be") {
					t.Errorf("got %v, want file and line, and that there is no address", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if in.Source.Visitors != tt.visitors || in.Source.Pageviews != 5 {
				t.Errorf("%d visitors and %d pageviews, want %d and 5", in.Source.Visitors, in.Source.Pageviews, tt.visitors)
			}
		})
	}
}

func writeEntry(z *zip.Writer, name, text string) error {
	w, err := z.Create(name)
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(text))
	return err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPacked reads the same table out of a zip, a gzip file and plainly.
func TestPacked(t *testing.T) {
	t.Parallel()
	const name = "imported_visitors_20250101_20250102.csv"
	plain := filepath.Join("testdata", name)
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	zipped, zippedFile := filepath.Join(dir, "export.zip"), must(t)(os.Create(filepath.Join(dir, "export.zip")))
	z := zip.NewWriter(zippedFile)
	w, err := z.Create("export/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), zippedFile.Close()); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(dir, "imported_visitors.csv.gz")
	packedFile := must(t)(os.Create(packed))
	g := gzip.NewWriter(packedFile)
	if _, err := g.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Close(), packedFile.Close()); err != nil {
		t.Fatal(err)
	}
	want := rowsOf(read(t, "plausible", plain), "")
	for _, file := range []string{zipped, packed} {
		var done, total int64
		in, err := Read(Options{Tool: "plausible", Site: "example.com", Progress: func(d, t int64) { done, total = d, t }}, []string{file})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rowsOf(in, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		if done == 0 || total == 0 {
			t.Errorf("%s: progress ended at %d of %d", file, done, total)
		}
	}
}

func must(t *testing.T) func(*os.File, error) *os.File {
	return func(f *os.File, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// TestBadSources wants file and line of what cannot be understood.
func TestBadSources(t *testing.T) {
	t.Parallel()
	const umami = "session_id,created_at,url_path\n"
	tests := []struct{ name, tool, file, text, want string }{
		{"no column", "umami", "a.csv", "session,created_at\n", `a.csv:1: has no column "session_id"`},
		{"empty", "umami", "a.csv", "", "a.csv: is empty"},
		{"a time", "umami", "a.csv", umami + "s,2025-01-01 10:00:00,/\ns,yesterday,/\n", `a.csv:3: created_at is "yesterday"`},
		{"fields", "umami", "a.csv", umami + "s,2025-01-01 10:00:00\n", "a.csv:2: has 2 fields"},
		{"a quote", "umami", "a.csv", umami + "\"s,2025-01-01 10:00:00,/\n", "a.csv:2: is no CSV"},
		{"a count", "plausible", "imported_visitors_1_2.csv", "date,visitors\n2025-01-01,-1\n", `imported_visitors_1_2.csv:2: visitors is "-1", no count`},
		{"a table", "plausible", "imported_moods.csv", "date\n", "imported_moods.csv: is no table of Plausible's export"},
		{"a date", "ga4", "a.csv", "Date,Views\n2025,7\n", `a.csv:2: Date is "2025", no date`},
		{"a number", "ga4", "a.csv", "Date,Views\n20250101,many\n", `a.csv:2: Views is "many", no number`},
		{"a figure twice", "ga4", "a.csv", "Date,Views\n20250101,7\n\nDate,Views\n20250101,7\n", "a.csv:5: Views of this day is in the table at"},
		{"no dates", "ga4", "a.csv", "Country,Views\nGermany,7\n", "a.csv: holds nothing to import ("},
		{"JSON", "bigquery", "a.json", "{}\n", `a.json:1: event_date is "", no date`},
		{"no JSON", "bigquery", "a.json", "[1]\n", "a.json:1: is no JSON object"},
		{"common log", "log", "a.log", `192.0.2.1 - - [01/Jan/2025:10:00:00 +0100] "GET / HTTP/1.1" 200 5` + "\n", "a.log:1: has no referrer in quotes"},
		{"no log", "log", "a.log", "hello\n", "a.log:1: has no time in brackets"},
		{"zip", "plausible", "a.zip", "PK", "a.zip: is no zip archive"},
		{"gzip", "log", "a.gz", "x", "a.gz: is no gzip file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(Options{Tool: tt.tool, Site: "example.com"}, []string{write(t, tt.file, tt.text)})
			var bad *FileError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a *FileError", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := Read(Options{Tool: "umami", Site: "example.com"}, []string{filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: got %v", err)
	}
}

// TestBounds takes the days of --from and --to alone, and is another import.
func TestBounds(t *testing.T) {
	t.Parallel()
	file := []string{filepath.Join("testdata", "imported_visitors_20250101_20250102.csv")}
	second := time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC)
	in, err := Read(Options{Tool: "plausible", Site: "example.com", From: second, To: second}, file)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Rows) != 1 || !in.From.Equal(second) || in.Source.Visitors != 7 {
		t.Errorf("got %+v, want the 2nd alone", in.Rows)
	}
	whole, err := Read(Options{Tool: "plausible", Site: "example.com"}, file)
	if err != nil {
		t.Fatal(err)
	}
	if whole.ID == in.ID {
		t.Error("other bounds are the same import")
	}
}
