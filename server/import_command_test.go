package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector/store"
	"sluice/collector/store/storetest"
)

// exported writes a table of Plausible's export with some days up to the last
// one, and returns its path.
func exported(t *testing.T, last time.Time, days int) string {
	t.Helper()
	text := "date,visitors,pageviews,bounces,visits,visit_duration\n"
	for i := days - 1; i >= 0; i-- {
		text += fmt.Sprintf("%s,%d,%d,1,%d,60\n", last.AddDate(0, 0, -i).Format(time.DateOnly), 10+i, 20+i, 12+i)
	}
	path := filepath.Join(t.TempDir(), "imported_visitors.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestImport brings an export in, again, beside another one, takes it back and
// brings it in once more; with an own engine and through that of a server.
func TestImport(t *testing.T) {
	t.Setenv("SLUICE_LIBCHDB", storetest.Library(t)) // of the engine that a command starts
	last := time.Now().UTC().AddDate(0, 0, -30)
	file := exported(t, last, 3)
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprintf("beside a server %t", served), func(t *testing.T) {
			c := newCommandLine(t)
			if served {
				storetest.OpenWith(t, store.Options{DataDir: c.data})
			}
			args := []string{file, "--site", "example.com"}
			c.want(0, "import plausible", args, "3 lines, 3 rows of sums, 3 of them new", "visitors, by day      33      33", "pageviews      63      63", "is complete")
			c.want(0, "import plausible", args, "0 of them new", "visits      39      39")
			c.want(0, "sql", []string{"--format", "csv", "SELECT count(), sum(visitors) FROM imported"}, "3,33")

			longer := exported(t, last.AddDate(0, 0, 2), 4)
			c.want(1, "import plausible", []string{longer, "--site", "example.com"}, last.AddDate(0, 0, -1).Format(time.DateOnly)+" to "+last.Format(time.DateOnly), "are there already", "--from and --to")
			c.want(0, "import plausible", []string{"--site", "example.com", longer, "--from", last.AddDate(0, 0, 1).Format(time.DateOnly)}, "left out: 2 lines, outside of --from and --to")

			out, _ := c.run("import list")
			ids := regexp.MustCompile(`(?m)^([0-9a-f-]{36}) .* 3 +complete`).FindStringSubmatch(out)
			if ids == nil {
				t.Fatalf("the list lacks the import:\n%s", out)
			}
			c.want(0, "import remove", []string{ids[1]}, "removed 3 rows of example.com that came from plausible")
			c.want(0, "sql", []string{"--format", "csv", "SELECT count() FROM imported"}, "2")
			c.want(1, "import remove", []string{ids[1]}, "there is no such import")
			c.want(0, "import plausible", args, "3 of them new", "visitors, by day      33      33")
		})
	}
}

// TestImportsAtOnce runs two imports of the same days side by side: one of them
// goes in, the other says why not.
func TestImportsAtOnce(t *testing.T) {
	t.Setenv("SLUICE_LIBCHDB", storetest.Library(t))
	c := newCommandLine(t)
	storetest.OpenWith(t, store.Options{DataDir: c.data})
	last := time.Now().UTC().AddDate(0, 0, -30)
	files := []string{exported(t, last, 700), exported(t, last, 701)}
	var outs [2]string
	var statuses [2]int
	var runs sync.WaitGroup
	for i, file := range files {
		runs.Go(func() { outs[i], statuses[i] = c.run("import plausible", file, "--site", "example.com") })
	}
	runs.Wait()
	if statuses[0]+statuses[1] != 1 {
		t.Errorf("the statuses are %v, want one 0 and one 1:\n%s\n%s", statuses, outs[0], outs[1])
	}
	c.want(0, "sql", []string{"--format", "csv", "SELECT uniqExact(spool_id), max(n) FROM (SELECT spool_id, count() OVER (PARTITION BY date) AS n FROM imported)"}, "1,1")
}

// TestImportWaits refuses to import, and to take an import back, while another
// import of the data directory runs.
func TestImportWaits(t *testing.T) {
	t.Setenv("SLUICE_LIBCHDB", storetest.Library(t))
	c := newCommandLine(t)
	args := []string{exported(t, time.Now().UTC().AddDate(0, 0, -30), 3), "--site", "example.com"}
	c.want(0, "import plausible", args, "3 of them new")
	release, err := lockImport(c.data)
	if err != nil {
		t.Fatal(err)
	}
	c.want(1, "import plausible", args, "another import", "wait until it has ended")
	c.want(1, "import remove", []string{uuid.NewString()}, "another import", "wait until it has ended")
	c.want(0, "import list", nil, "complete")
	if err := release(); err != nil {
		t.Fatal(err)
	}
	c.want(0, "import plausible", args, "0 of them new")
}

// TestNothingImported: to look at what is not there creates nothing.
func TestNothingImported(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	c.want(1, "import list", nil, "holds no data yet")
	c.want(1, "import remove", []string{uuid.NewString()}, "holds no data yet")
	if _, err := os.Stat(c.data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("data_dir is there now: %v", err)
	}
}

// TestImportHelp shows the options wherever they are asked for.
func TestImportHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"--help"}, {"plausible", "-h"}, {"plausible", "x.csv", "--help"}, {"list", "-h"}} {
		out, errs, err := run(t, append([]string{"import"}, args...)...)
		if status := Report(io.Discard, err); status != 0 || !strings.Contains(out+errs, "-config file") {
			t.Errorf("sluice import %v: status %d:\n%s%s", args, status, out, errs)
		}
	}
}

// TestImportUsage wants a remedy for every command line that says too little.
func TestImportUsage(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	file := exported(t, time.Now(), 1)
	for _, tt := range []struct {
		words string
		args  []string
		want  string
	}{
		{"import", nil, "name the tool first"},
		{"import matomo", nil, "there is no import from \"matomo\""},
		{"import plausible", nil, "files and a site are needed"},
		{"import plausible", []string{file, "--site", "other.example"}, "its sites are example.com"},
		{"import plausible", []string{file, "--site", "example.com", "--from", "May"}, "no date like"},
		{"import remove", nil, "which one?"},
		{"import remove", []string{"x"}, "is no import"},
	} {
		if out, status := c.run(tt.words, tt.args...); status != 2 || !strings.Contains(out, tt.want) {
			t.Errorf("sluice %s %v: status %d, want 2 and %q:\n%s", tt.words, tt.args, status, tt.want, out)
		}
	}
}
