package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"golang.org/x/term"

	"sluice/collector/store"
	"sluice/consent"
	"sluice/server/config"
	"sluice/server/importer"
)

// importJob is one run of `sluice import`.
type importJob struct {
	t        terminal
	config   *config.Config
	site     *consent.Site
	from, to time.Time
}

// runImport brings in what another tool has counted, while the server runs too.
func runImport(ctx context.Context, t terminal, args []string) error {
	tool := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		tool, args = args[0], args[1:]
	}
	var path, site, from, to *string
	files, err := mixed(t, "import", args, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		site = fs.String("site", "", "the `domain` of the site that the figures are of")
		from = fs.String("from", "", "the first `date` to take, like 2024-01-01")
		to = fs.String("to", "", "the last `date` to take")
	})
	if err != nil {
		return err
	}
	if err := checkTool(tool); err != nil {
		return err
	}
	if len(files) == 0 || *site == "" {
		return &usageError{fmt.Sprintf("import: files and a site are needed: sluice import %s FILE… --site example.com", tool)}
	}
	job := importJob{t: t}
	if job.from, err = dateFlag("from", *from); err != nil {
		return err
	}
	if job.to, err = dateFlag("to", *to); err != nil {
		return err
	}
	if job.config, err = loadConfig(*path); err != nil {
		return err
	}
	if job.site, err = siteNamed(job.config, *site); err != nil {
		return err
	}
	return job.run(ctx, tool, files)
}

func checkTool(tool string) error {
	known := strings.Join(importer.Tools(), ", ")
	switch {
	case tool == "":
		return &usageError{"import: name the tool first, one of " + known}
	case !slices.Contains(importer.Tools(), tool):
		return &usageError{fmt.Sprintf("import: there is no import from %q; use one of %s, or list, or remove", tool, known)}
	}
	return nil
}

// mixed parses flags that stand before, between or behind other arguments, and
// returns these.
func mixed(t terminal, name string, args []string, define func(*flag.FlagSet)) ([]string, error) {
	var rest []string
	fs, err := flags(t, name, args, len(args), define)
	for err == nil && fs.NArg() > 0 {
		rest = append(rest, fs.Arg(0))
		if err = fs.Parse(fs.Args()[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
			err = &usageError{name + ": " + err.Error()}
		}
	}
	return rest, err
}

func dateFlag(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return d, &usageError{fmt.Sprintf("import: --%s %q is no date like 2024-01-31", name, text)}
	}
	return d, nil
}

func siteNamed(c *config.Config, domain string) (*consent.Site, error) {
	sites, err := c.ConsentSites()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range sites {
		if s.Domain == domain {
			return s, nil
		}
		names = append(names, s.Domain)
	}
	return nil, &usageError{fmt.Sprintf("import: --site %q is not in the configuration; its sites are %s", domain, strings.Join(names, ", "))}
}

// importLock is held while an import is read, stored or taken back.
const importLock = "import.lock"

var errImportRuns = errors.New("another import into this data directory, or the removal of one, is running: wait until it has ended, then run this again")

// lockImport makes sure that one import runs at a time: two would not see each
// other's days. Those that share nothing but an external ClickHouse look again
// in [store.Store.StoreImport].
func lockImport(dataDir string) (release func() error, err error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make data_dir: %w", err)
	}
	return lockFile(filepath.Join(dataDir, importLock), errImportRuns)
}

func (j *importJob) run(ctx context.Context, tool string, files []string) (err error) {
	release, err := lockImport(j.config.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	reading := newProgress(j.t.err, "reading")
	in, err := importer.Read(importer.Options{
		Tool: tool, Site: j.site.Domain, Zone: j.site.TimeZone, From: j.from, To: j.to, Progress: reading.at,
		Owns: func(host string) bool { _, ok := j.site.Owns(host); return ok },
	}, files)
	reading.end()
	if err != nil {
		return err
	}
	s, err := store.OpenForImport(ctx, storeOptions(j.config, slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	err = j.store(ctx, s, in, files)
	return errors.Join(err, s.Close())
}

func (j *importJob) store(ctx context.Context, s *store.Store, in *importer.Import, files []string) error {
	rows := make([]store.Imported, len(in.Rows))
	for i, r := range in.Rows {
		f := r.Figures
		rows[i] = store.Imported{
			Date: r.Date, Dimension: r.Dimension, Value: r.Value,
			Visitors: f.Visitors, Visits: f.Visits, Pageviews: f.Pageviews, Events: f.Events, Bounces: f.Bounces, Seconds: f.Seconds,
		}
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(f)
	}
	storing := newProgress(j.t.err, "storing")
	what := store.Import{ID: in.ID, Site: j.site.Domain, Tool: in.Tool, Files: names, From: in.From, To: in.To}
	added, old, err := s.StoreImport(ctx, what, rows, time.Now(), func(done int) { storing.at(int64(done), int64(len(rows))) })
	storing.end()
	if err != nil {
		return err
	}
	j.explain(in, added, old)
	return j.compare(ctx, s, in, old)
}

// explain says what was done with the lines of the source.
func (j *importJob) explain(in *importer.Import, added, old int) {
	const layout = time.DateOnly
	fmt.Fprintf(j.t.out, "%s, %s to %s: %d lines, %d rows of sums, %d of them new\n", in.Tool, in.From.Format(layout), in.To.Format(layout), in.Lines, len(in.Rows), added)
	for _, reason := range slices.Sorted(maps.Keys(in.Skipped)) {
		fmt.Fprintf(j.t.out, "  left out: %d lines, %s\n", in.Skipped[reason], reason)
	}
	for _, note := range in.Notes {
		fmt.Fprintln(j.t.out, "  note:", note)
	}
	if old > 0 {
		fmt.Fprintf(j.t.out, "  left out: %d rows of sums that are older than retention.counters (%s)\n", old, j.config.RetentionOf(j.site.Domain).Counters)
	}
}

// compare holds what is stored against what the source said, line by line.
func (j *importJob) compare(ctx context.Context, s *store.Store, in *importer.Import, old int) error {
	got, err := s.ImportTotals(ctx, in.ID)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(j.t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsource\tstored\t")
	equal := true
	for _, line := range []struct {
		name         string
		source, here uint64
	}{
		{"visitors, by day", in.Source.Visitors, got.Visitors}, {"visits", in.Source.Visits, got.Visits},
		{"pageviews", in.Source.Pageviews, got.Pageviews}, {"events", in.Source.Events, got.Events},
		{"bounces", in.Source.Bounces, got.Bounces}, {"seconds", in.Source.Seconds, got.Seconds},
	} {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", line.name, line.source, line.here)
		equal = equal && line.source == line.here
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !equal && old == 0 {
		return fmt.Errorf("import %s: the stored figures are not those of the source; remove it with `sluice import remove %s` and run it again", in.ID, in.ID)
	}
	fmt.Fprintf(j.t.out, "import %s is complete; `sluice import remove` takes it back\n", in.ID)
	return nil
}

// runImportList lists the imports.
func runImportList(ctx context.Context, t terminal, args []string) error {
	return withImports(ctx, t, "import list", args, nil, func(_ *config.Config, s *store.Store) error {
		imports, err := s.Imports(ctx, "")
		if err != nil {
			return err
		}
		if len(imports) == 0 {
			fmt.Fprintln(t.out, "nothing was imported")
			return nil
		}
		w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "import\tsite\ttool\tfrom\tto\trows\tstate\tfiles")
		for _, i := range imports {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", i.ID, i.Site, i.Tool, i.From.Format(time.DateOnly), i.To.Format(time.DateOnly), i.Rows, i.State, strings.Join(i.Files, ", "))
		}
		return w.Flush()
	})
}

// runImportRemove takes an import back.
func runImportRemove(ctx context.Context, t terminal, args []string) error {
	var id uuid.UUID
	check := func(rest []string) (err error) {
		if len(rest) == 0 {
			return &usageError{"import remove: which one? `sluice import list` shows them"}
		}
		if id, err = uuid.Parse(rest[0]); err != nil {
			return &usageError{fmt.Sprintf("import remove: %q is no import; `sluice import list` shows them", rest[0])}
		}
		return nil
	}
	return withImports(ctx, t, "import remove", args, check, func(c *config.Config, s *store.Store) (err error) {
		release, err := lockImport(c.DataDir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
		i, err := s.RemoveImport(ctx, id, time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "removed %d rows of %s that came from %s\n", i.Rows, i.Site, i.Tool)
		return nil
	})
}

// withImports opens the database for a command; check judges its one argument,
// nil where it takes none.
func withImports(ctx context.Context, t terminal, name string, args []string, check func([]string) error, fn func(*config.Config, *store.Store) error) error {
	var path *string
	most := 0
	if check != nil {
		most = 1
	}
	fs, err := flags(t, name, args, most, func(fs *flag.FlagSet) { path = configFlag(fs) })
	if err != nil {
		return err
	}
	if check != nil {
		if err := check(fs.Args()); err != nil {
			return err
		}
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	// Where nothing has been stored there is no import to see or to take back,
	// and no reason to begin a database: the reading form says so.
	open := store.OpenForImport
	if _, err := os.Stat(filepath.Join(c.DataDir, "engine")); c.ClickHouse.Embedded() && errors.Is(err, os.ErrNotExist) {
		open = store.OpenForReading
	}
	s, err := open(ctx, storeOptions(c, slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	return errors.Join(fn(c, s), s.Close())
}

// progress is a bar on a terminal; anything else stays as it is.
type progress struct {
	w    io.Writer
	what string
	live bool
	last time.Time
}

func newProgress(w io.Writer, what string) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, what: what, live: ok && term.IsTerminal(int(f.Fd()))}
}

const (
	barWidth = 30
	barEvery = 100 * time.Millisecond
)

func (p *progress) at(done, total int64) {
	if now := time.Now(); p.live && (now.Sub(p.last) > barEvery || done == total) {
		p.last = now
		full := int(barWidth * done / max(total, 1))
		fmt.Fprintf(p.w, "\r%s [%s%s] %3d%%", p.what, strings.Repeat("#", full), strings.Repeat("·", barWidth-full), 100*done/max(total, 1))
	}
}

func (p *progress) end() {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
