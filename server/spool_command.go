package server

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/server/config"
)

// The spool's commands read the data directory from outside, so that they say
// the same whether a server runs on it or not.

// runSpoolStatus says how far the spool's consumers are and what is wrong.
func runSpoolStatus(_ context.Context, t terminal, args []string) error {
	c, _, err := spoolFlags(t, "spool status", args, nil)
	if err != nil {
		return err
	}
	s, err := readSpool(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no spool yet: start `sluice serve` first", c.DataDir)
	}
	if err != nil {
		return err
	}
	return s.print(t.out, c.Spool.Max)
}

// runSpoolDead lists the dead letters, without what is in them.
func runSpoolDead(_ context.Context, t terminal, args []string) error {
	c, _, err := spoolFlags(t, "spool dead", args, nil)
	if err != nil {
		return err
	}
	letters, err := store.DeadLetters(c.DataDir)
	if err != nil {
		return err
	}
	return printLetters(t.out, letters)
}

// runSpoolReplay brings dead letters to ClickHouse once more, while the server
// runs too.
func runSpoolReplay(ctx context.Context, t terminal, args []string) error {
	var all *bool
	c, ids, err := spoolFlags(t, "spool replay", args, func(fs *flag.FlagSet) {
		all = fs.Bool("all", false, "every dead letter")
	})
	if err != nil {
		return err
	}
	if *all == (len(ids) > 0) {
		return &usageError{"spool replay: name the letters by their IDs (sluice spool dead lists them), or write --all"}
	}
	letters, err := store.DeadLetters(c.DataDir)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(letters, func(l store.DeadLetter) bool { return l.ID() == id }) {
			return fmt.Errorf("there is no dead letter %s; sluice spool dead lists them", id)
		}
	}
	if len(letters) == 0 {
		fmt.Fprintln(t.out, "There are no dead letters.")
		return nil
	}
	stored, refused, err := store.ReplayDead(ctx, storeOptions(c, slog.New(slog.DiscardHandler)), func(l *store.DeadLetter) bool {
		return *all || slices.Contains(ids, l.ID())
	})
	fmt.Fprintf(t.out, "%d put back, %d refused again\n", len(stored), len(refused))
	if len(refused) > 0 {
		err = errors.Join(err, printLetters(t.out, refused), errors.New("some are refused still; they stay among the dead letters"))
	}
	return err
}

// spoolFlags reads the flags that the spool's commands have in common, those
// that define adds, and the configuration. IDs are taken only with define.
func spoolFlags(t terminal, name string, args []string, define func(*flag.FlagSet)) (*config.Config, []string, error) {
	var path *string
	most := 0
	if define != nil {
		most = len(args)
	}
	fs, err := flags(t, name, args, most, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		if define != nil {
			define(fs)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	c, err := loadConfig(*path)
	return c, fs.Args(), err
}

func printLetters(w io.Writer, letters []store.DeadLetter) error {
	if len(letters) == 0 {
		_, err := fmt.Fprintln(w, "There are no dead letters.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tREFUSED\tKIND\tBYTES\tREASON")
	for i := range letters {
		l := &letters[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", l.ID(), l.Time.UTC().Format(time.RFC3339), l.KindName(), len(l.Data), l.Reason)
	}
	return table.Flush()
}

// spoolState is what a spool's directory says.
type spoolState struct {
	id           uuid.UUID
	oldest, next uint64 // the first seq that somebody still needs, and that of the next record
	segments     int
	bytes        int64 // of all files of records, prepared ones too
	torn         int64 // cut off after crashes, kept for a week
	lost         []spool.LostRange
	consumers    []consumerState
	dead         int
	deadErr      error // why they cannot be counted
}

type consumerState struct {
	name string
	next uint64 // the first seq not accepted
	err  error  // of its cursor
}

// readSpool reads a data directory from outside. A server may be at work in it.
func readSpool(dataDir string) (s *spoolState, err error) {
	dir := filepath.Join(dataDir, "spool")
	snapshot, err := spool.OpenSnapshot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	s = &spoolState{id: snapshot.ID(), oldest: snapshot.Oldest()}
	if err := s.measure(dir); err != nil {
		return nil, err
	}
	cursors, err := filepath.Glob(filepath.Join(dir, "*.cur"))
	if err != nil {
		return nil, fmt.Errorf("list the spool's cursors: %w", err)
	}
	for _, path := range cursors {
		c := consumerState{name: strings.TrimSuffix(filepath.Base(path), ".cur")}
		if c.next, c.err = snapshot.Cursor(c.name); c.err == nil {
			s.oldest = min(s.oldest, c.next) // what lies between is lost
		}
		s.consumers = append(s.consumers, c)
	}
	last, lost, err := snapshot.Records(s.oldest, func(spool.Record) error { return nil })
	if err != nil {
		return nil, err
	}
	s.lost, s.next = lost, last+1
	for _, c := range s.consumers {
		s.next = max(s.next, c.next) // they went on while we read
	}
	letters, err := store.DeadLetters(dataDir)
	s.dead, s.deadErr = len(letters), err
	return s, nil
}

// measure adds up the files. One may go while it is looked at.
func (s *spoolState) measure(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		var info os.FileInfo
		if err == nil && !d.IsDir() {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && info == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("measure the spool: %w", err)
		}
		inside := filepath.Dir(path) == dir
		switch ext := filepath.Ext(path); {
		case inside && ext == ".seg":
			s.segments++
			s.bytes += info.Size()
		case inside && ext == ".tmp":
			s.bytes += info.Size()
		case ext == ".torn":
			s.torn += info.Size()
		}
		return nil
	})
}

func (s *spoolState) print(w io.Writer, most config.Size) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "spool\t%s\n", s.id)
	fmt.Fprintf(table, "records\t%d in all, kept from %d on\n", s.next-1, s.oldest)
	fmt.Fprintf(table, "disk\t%.1f MiB of %s in %d segments\n", float64(s.bytes)/(1<<20), most, s.segments)
	fmt.Fprintf(table, "torn\t%s\n", cmp.Or(s.tornWords(), "nothing"))
	fmt.Fprintf(table, "lost\t%s\n", cmp.Or(s.lostWords(), "nothing"))
	if s.deadErr != nil {
		fmt.Fprintf(table, "dead\tcannot be counted: %v\n", s.deadErr)
	} else {
		fmt.Fprintf(table, "dead\t%d\n", s.dead)
	}
	fmt.Fprintln(table, "\nCONSUMER\tNEXT\tBEHIND")
	for _, c := range s.consumers {
		if c.err != nil {
			fmt.Fprintf(table, "%s\t?\tcannot run: %s\n", c.name, strings.ReplaceAll(c.err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d\n", c.name, c.next, s.next-c.next)
	}
	return table.Flush()
}

func (s *spoolState) tornWords() string {
	if s.torn == 0 {
		return ""
	}
	return fmt.Sprintf("%d bytes that no crash had let finish; never acknowledged, kept for a week in spool/quarantine", s.torn)
}

func (s *spoolState) lostWords() string {
	var ranges []string
	for _, l := range s.lost {
		ranges = append(ranges, fmt.Sprintf("%d–%d", l.From, l.To))
	}
	return strings.Join(ranges, ", ")
}
