package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"

	"sluice/collector/spool"
	"sluice/consent"
	"sluice/server/backup"
	"sluice/server/config"
)

// A restore fills an empty directory. The spool begins anew, with an identity
// of its own: nothing that the old one may have numbered since can be mixed up
// with what comes now. The chain of receipts begins anew as well, and the old
// one stays what it was as of the backup, an earlier chain of the same ledger.
// So records that were still on their way are stored now, under the old
// spool's numbers, and nothing is left for the new one to deliver.

const (
	// restoreMark is in a directory whose restore has not come to its end.
	restoreMark = "restore.unfinished"
	// restoreScratch is where an archive is extracted to, on the file system of
	// the data directory, so that parts of tables can be moved.
	restoreScratch = ".restore"
)

// checkRestored refuses a directory that a killed restore has left.
func checkRestored(dataDir string) error {
	if _, err := os.Lstat(filepath.Join(dataDir, restoreMark)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%s is half restored: `sluice restore` was stopped before its end. Empty the folder and run it again", dataDir)
}

// restoreJob is one restore that is to be made.
type restoreJob struct {
	config     *config.Config // of which data_dir is the directory to fill
	place      backup.Place
	name       string // of the archive; "" for the newest
	identities []age.Identity
	later      string // path of a later consent.idx; "" for none
	newKeys    bool
	now        func() time.Time
}

// restored says what a restore has brought back.
type restored struct {
	path      string
	manifest  backup.Manifest
	rows      map[string]uint64 // of the tables, before records were delivered
	delivered uint64            // records
	erased    int               // erasures that were made up for
	withdrawn int               // withdrawals that were
	unknown   []string          // sites of those that are not configured
	heads     []consent.Head    // of the chains that were checked
	broken    error             // why the ledger is not whole, nil where it is
}

// run fills the directory, or leaves it as empty as it was.
func (r *restoreJob) run(ctx context.Context) (out *restored, err error) {
	dir := r.config.DataDir
	if err := requireEmpty(dir); err != nil {
		return nil, err
	}
	release, err := lockDataDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clearDir(dir))
		}
		err = errors.Join(err, release())
	}()
	mark := []byte("sluice restore has not come to its end here.\n")
	if err := consent.WriteFile(filepath.Join(dir, restoreMark), mark, 0o600); err != nil {
		return nil, fmt.Errorf("mark data_dir: %w", err)
	}
	if out, err = r.fill(ctx); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(dir, restoreScratch)); err != nil {
		return nil, fmt.Errorf("remove the extracted archive: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, restoreMark)); err != nil {
		return nil, fmt.Errorf("remove the mark of data_dir: %w", err)
	}
	return out, nil
}

// requireEmpty makes dir where it is missing, and refuses one with anything in
// it.
func requireEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make --data-dir: %w", err)
	}
	names, err := namesIn(dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%s is not empty (it holds %s): a restore never touches what is there; name an empty folder or a new one",
			dir, strings.Join(names[:min(len(names), 3)], ", "))
	}
	return nil
}

// namesIn lists what is in a directory, but for what a file system puts there.
func namesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read --data-dir: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "lost+found" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// clearDir removes everything from a directory that was empty to begin with.
func clearDir(dir string) error {
	names, err := namesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("clear --data-dir: %w", err)
		}
	}
	return nil
}

// fill brings everything back.
func (r *restoreJob) fill(ctx context.Context) (*restored, error) {
	out := &restored{}
	if err := r.extract(ctx, out); err != nil {
		return nil, err
	}
	scratch := filepath.Join(r.config.DataDir, restoreScratch)
	index, at, err := consent.LoadIndex(filepath.Join(scratch, indexName))
	if err != nil {
		return nil, err
	}
	var taken []consent.TakenBack
	if r.later != "" {
		later, err := laterIndex(r.later)
		if err != nil {
			return nil, err
		}
		taken = index.Merge(later)
	}
	for _, name := range []string{noticesName, keysName, deadName, seenFolder} {
		err := os.Rename(filepath.Join(scratch, name), filepath.Join(r.config.DataDir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("put %s back: %w", name, err)
		}
	}
	if err := r.restoreTables(ctx, out, taken); err != nil {
		return nil, err
	}
	return out, r.beginAnew(index, at)
}

// extract reads the whole archive and checks it, before anything else is done.
func (r *restoreJob) extract(ctx context.Context, out *restored) error {
	name := r.name
	if name == "" {
		names, err := r.place.Names(ctx)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return fmt.Errorf("%s holds no archive of Sluice", r.place.Path(""))
		}
		name = names[len(names)-1]
	}
	out.path = r.place.Path(name)
	archive, err := r.place.Open(ctx, name)
	if err != nil {
		return err
	}
	defer archive.Close() // only read from
	out.manifest, err = backup.Extract(archive, r.identities, filepath.Join(r.config.DataDir, restoreScratch))
	if err != nil {
		return fmt.Errorf("%s: %w", out.path, err)
	}
	embedded := r.config.ClickHouse.Embedded()
	switch m := out.manifest; {
	case m.Layout > layout:
		return fmt.Errorf("%s was made by Sluice %s, whose data directory this version cannot read: use that one or a newer one", out.path, m.Version)
	case m.Tables == backup.TablesHere && !embedded:
		return fmt.Errorf("%s holds the rows of the embedded engine, but clickhouse.url names a server: restore with clickhouse.url: embedded", out.path)
	case m.Tables == backup.TablesElsewhere && embedded:
		return fmt.Errorf("%s holds no rows: they were in a ClickHouse server; name that, or one with its tables, in clickhouse.url", out.path)
	}
	return nil
}

// laterIndex reads a consent.idx and, where the spool that it belongs to is
// still beside it, what came after it was written.
func laterIndex(path string) (index *consent.Index, err error) {
	index, at, err := consent.LoadIndex(path)
	if err != nil {
		return nil, fmt.Errorf("--consent-index: %w", err)
	}
	s, err := spool.OpenSnapshot(filepath.Join(filepath.Dir(path), spoolName))
	if errors.Is(err, fs.ErrNotExist) {
		return index, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the spool beside --consent-index: %w", err)
	}
	defer s.Close() // only read from
	if s.ID() != at.Spool {
		return index, nil
	}
	_, _, err = s.Records(at.Seq+1, func(record spool.Record) error {
		return replayRecord(index, s.ID(), &at.Head, record)
	})
	if err != nil {
		return nil, fmt.Errorf("read the spool beside --consent-index: %w", err)
	}
	return index, nil
}

// beginAnew draws the identities of the new spool and the new chain.
func (r *restoreJob) beginAnew(index *consent.Index, at consent.Position) error {
	s, err := spool.Open(filepath.Join(r.config.DataDir, spoolName), spool.Options{})
	if err != nil {
		return fmt.Errorf("begin a new spool: %w", err)
	}
	id := s.ID()
	if err := s.Close(); err != nil {
		return fmt.Errorf("begin a new spool: %w", err)
	}
	index.MoveTo(id)
	if r.newKeys {
		at.Keys = map[string]uint32{}
		if err := os.Remove(filepath.Join(r.config.DataDir, tokenKeyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the old token key: %w", err)
		}
		if _, err := os.Stat(filepath.Join(r.config.DataDir, phoneKeyFile)); errors.Is(err, fs.ErrNotExist) && r.config.Keys.Phone == "" {
			index.ForgetContacts() // nobody can be found under another key
			at.Addresses = ""
		}
	}
	return index.Save(filepath.Join(r.config.DataDir, indexName), consent.Position{
		Spool: id, Head: consent.Head{ChainID: uuid.New()}, Keys: at.Keys, Addresses: at.Addresses,
	})
}
