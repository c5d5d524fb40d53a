package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"

	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/consent"
	"sluice/server/backup"
	"sluice/server/config"
)

// A backup is the state of a data directory as of one record of the spool. The
// spool says which records the tables are known to hold (the writer's cursor)
// and has all later ones; so rows made from later ones, which are in the tables
// or not by the time that those are frozen, are cut off by a restore, and made
// again from the records. Index, cursors and spool are read in the order in
// which nothing can be missed: what is read later knows at least as much.
//
//	consent.idx, cursors ─▶ spool up to its end, record S ─▶ tables
//	index up to S: consent.idx and the records behind its position

// layout is the version of the data directory: of the files in it and of how
// they belong together.
const layout = 1

// backupJob is one backup that is to be made.
type backupJob struct {
	config   *config.Config
	store    *store.Store // nil: the rows are elsewhere
	place    backup.Place
	occasion string // "" where somebody asked for it
	keys     bool
	now      func() time.Time
	warn     func(format string, args ...any)
}

// madeBackup is one that has been made.
type madeBackup struct {
	path     string
	size     int64
	manifest backup.Manifest
}

// Names in the data directory, and in an archive.
const (
	indexName   = "consent.idx"
	noticesName = "notices.json"
	spoolName   = "spool"
	keysName    = "keys"
	deadName    = "dead"
	seenFolder  = "seen"
	tablesName  = "tables"
)

// notCopied are the names in a data directory that a backup leaves out, and
// those that it copies in another form. What is in neither list is reported:
// whoever adds a file there has to decide.
var (
	copied    = []string{indexName, noticesName, spoolName, keysName, deadName, seenFolder, "engine"}
	notCopied = []string{"server.lock", backupLock, importLock, backupsName, restoreMark, queuesName}
)

// make writes the archive. Nothing appears in its place unless it is whole.
func (b *backupJob) make(ctx context.Context) (made madeBackup, err error) {
	recipients, err := parseRecipients(b.config.Backup.Recipients)
	if err != nil {
		return made, err
	}
	release, err := lockBackup(b.config.DataDir)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := sweepBackups(b.config.DataDir); err != nil {
		return made, err
	}
	begun := b.now()
	b.sweepPlace(begun)
	name := backup.Name(begun, b.occasion, len(recipients) > 0)
	upload, err := b.place.Create(ctx, name)
	if err != nil {
		return made, err
	}
	out := &countingWriter{ctx: ctx, w: upload}
	made.path = b.place.Path(name)
	if made.manifest, err = b.write(ctx, out, recipients, begun); err != nil {
		return made, errors.Join(err, upload.Abort())
	}
	made.size = out.n
	return made, upload.Commit()
}

// partialAge is how long an archive that nobody writes to any more is left
// alone: no backup pauses for a day.
const partialAge = 24 * time.Hour

// sweepPlace removes what killed backups have left in the folder. What cannot
// be removed is no reason to make no backup.
func (b *backupJob) sweepPlace(now time.Time) {
	folder, ok := b.place.(backup.Folder)
	if !ok {
		return // a bucket shows no upload that was not completed
	}
	removed, err := folder.Sweep(now.Add(-partialAge))
	for _, name := range removed {
		b.warn("removed %s, which a backup that was killed has left", folder.Path(name))
	}
	if err != nil {
		b.warn("%v", err)
	}
}

// write writes the archive's files.
func (b *backupJob) write(ctx context.Context, out io.Writer, recipients []age.Recipient, begun time.Time) (m backup.Manifest, err error) {
	build := readBuild()
	m = backup.Manifest{Version: build.version, Commit: build.commit, Layout: layout, Made: begun.UTC(), Keys: b.keys, Tables: backup.TablesElsewhere}
	w, err := backup.Create(out, recipients, begun)
	if err != nil {
		return m, err
	}
	if err := b.reportUnknown(); err != nil {
		return m, err
	}
	if err := b.addSpool(w, &m); err != nil {
		return m, err
	}
	if err := b.addFiles(w, m.Spool); err != nil {
		return m, err
	}
	if b.store != nil {
		m.Tables = backup.TablesHere
		if m.Rows, err = b.addTables(ctx, w, m.Spool); err != nil {
			return m, err
		}
	}
	return m, w.Close(m)
}

// reportUnknown names what is in the data directory and nobody knows.
func (b *backupJob) reportUnknown() error {
	entries, err := os.ReadDir(b.config.DataDir)
	if err != nil {
		return fmt.Errorf("read data_dir: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); !slices.Contains(copied, name) && !slices.Contains(notCopied, name) && !strings.HasPrefix(name, ".") {
			b.warn("%s in data_dir is not Sluice's, and not in the backup", name)
		}
	}
	return nil
}

// recordsAtOnce is how many bytes of records make a file of an archive.
const recordsAtOnce = 4 << 20

// addSpool adds the records that the tables may lack, and the index as of the
// last of them.
func (b *backupJob) addSpool(w *backup.Writer, m *backup.Manifest) (err error) {
	s, err := holdSpool(b.config.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	m.Spool = backup.Spool{ID: s.ID(), First: s.first, TakeBack: s.takeBack}
	var chunk []byte
	chunks := 0
	flush := func() error {
		chunks++
		err := w.Add(fmt.Sprintf("%s/%08d.records", spoolName, chunks), chunk)
		chunk = chunk[:0]
		return err
	}
	last, lost, err := s.Records(s.from(), func(r spool.Record) error {
		if r.Seq > s.at.Seq {
			if err := replayRecord(s.index, s.ID(), &s.at.Head, r); err != nil {
				return fmt.Errorf("read record %d of the spool: %w", r.Seq, err)
			}
		}
		if r.Seq < min(s.first, s.takeBack) {
			return nil
		}
		chunk = backup.AppendRecord(chunk, backup.Record{Seq: r.Seq, Kind: uint8(r.Kind), Data: r.Data})
		if len(chunk) >= recordsAtOnce {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, l := range lost {
		b.warn("records %d to %d of the spool are damaged, and not in the backup", l.From, l.To)
	}
	if err := flush(); err != nil {
		return err
	}
	m.Spool.Last = max(last, s.at.Seq)
	m.Chain = backup.Chain{ID: s.at.Head.ChainID, N: s.at.Head.N, Hash: s.at.Head.Hash}
	return b.addIndex(w, s.index, consent.Position{Spool: s.ID(), Seq: m.Spool.Last, Head: s.at.Head, Keys: b.signers(s.at), Addresses: s.at.Addresses})
}

// signers are the keys that tokens may have been signed with, the present one
// as well: the index names it only once it has been saved behind a receipt.
func (b *backupJob) signers(at consent.Position) map[string]uint32 {
	out := maps.Clone(at.Keys)
	if at.Head.N == 0 {
		return out
	}
	keys, err := tokenKeys(b.config.Keys.Token, b.config.DataDir, true)
	if err != nil {
		b.warn("%v", err)
		return out
	}
	if out == nil {
		out = map[string]uint32{}
	}
	id := keys.SigningID()
	out[hex.EncodeToString(id[:])] = uint32(b.now().Unix())
	return out
}

// addIndex adds the index as the file that it is.
func (b *backupJob) addIndex(w *backup.Writer, index *consent.Index, at consent.Position) (err error) {
	dir, err := os.MkdirTemp(b.config.DataDir, scratchPrefix)
	if err != nil {
		return fmt.Errorf("make a folder for the consent index: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, indexName)
	if err := index.Save(path, at); err != nil {
		return err
	}
	return w.AddFile(indexName, path)
}

// heldSpool is a spool's files with what belongs to them.
type heldSpool struct {
	*spool.Snapshot
	index           *consent.Index
	at              consent.Position // of index; nothing of the spool where that is another one's
	first, takeBack uint64           // see backup.Spool
}

// from is the first record that anything still needs.
func (h *heldSpool) from() uint64 { return min(h.first, h.takeBack, h.at.Seq+1) }

// holdSpool opens the spool's segments, and reads before that what they have to
// continue. Where the server has removed some of them in between, it tries
// again.
func holdSpool(dataDir string) (*heldSpool, error) {
	const tries = 10
	for try := 1; ; try++ {
		h, err := readPositions(dataDir)
		if err != nil {
			return nil, err
		}
		if h.Snapshot, err = spool.OpenSnapshot(filepath.Join(dataDir, spoolName)); err != nil {
			return nil, err
		}
		oldest := h.Oldest()
		if oldest <= h.from() {
			return h, h.begin()
		}
		if h.at.Spool == uuid.Nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Join(dataDir, indexName), consent.ErrDamagedIndex), h.Close())
		}
		if try == tries {
			return h, h.begin() // damage, which reading reports
		}
		if err := h.Close(); err != nil {
			return nil, err
		}
	}
}

// readPositions reads index and cursors.
func readPositions(dataDir string) (*heldSpool, error) {
	s, err := spool.OpenSnapshot(filepath.Join(dataDir, spoolName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no data yet: start `sluice serve` first", dataDir)
	}
	if err != nil {
		return nil, err
	}
	defer s.Close() // only read from
	h := &heldSpool{}
	h.index, h.at, err = consent.LoadIndex(filepath.Join(dataDir, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		h.index, err = consent.NewIndex(), nil
	}
	if err != nil {
		return nil, err
	}
	if h.at.Spool != s.ID() {
		h.at.Seq = 0 // a spool of its own: none of it is accounted for
	}
	if h.first, err = s.Cursor(store.WriterName); err != nil {
		return nil, err
	}
	h.takeBack, err = s.Cursor(store.TakeBackName)
	return h, err
}

// begin takes over what the newest segment says of the chain.
func (h *heldSpool) begin() error {
	b, _ := h.Head()
	if len(b) == 0 {
		return nil
	}
	head, err := decodeHead(b)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	if head.N > h.at.Head.N {
		h.at.Head = head
	}
	return nil
}

// addFiles adds what is copied as it is.
func (b *backupJob) addFiles(w *backup.Writer, at backup.Spool) error {
	dir := b.config.DataDir
	err := w.AddFile(noticesName, filepath.Join(dir, noticesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dead, err := store.DeadFiles(dir, at.ID, at.First)
	if err != nil {
		return err
	}
	for _, name := range dead {
		if err := addIfThere(w, deadName+"/"+name, filepath.Join(dir, deadName, name)); err != nil {
			return err
		}
	}
	folders := []string{seenFolder}
	if b.keys {
		folders = append(folders, keysName)
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %w", folder, err)
		}
		for _, e := range entries {
			if !e.Type().IsRegular() {
				continue
			}
			if err := addIfThere(w, folder+"/"+e.Name(), filepath.Join(dir, folder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// addIfThere passes over a file that has gone since it was listed.
func addIfThere(w *backup.Writer, name, from string) error {
	if err := w.AddFile(name, from); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// addTables adds the tables. Of the rows that a restore keeps there are at
// least as many in it as are counted after the parts were frozen: what was
// made from records before at.First can only become fewer.
func (b *backupJob) addTables(ctx context.Context, w *backup.Writer, at backup.Spool) (rows map[string]uint64, err error) {
	frozen, err := b.store.Freeze(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, frozen.Thaw()) }()
	if rows, err = b.store.RowsBefore(ctx, at.ID, at.First); err != nil {
		return nil, err
	}
	for i, t := range frozen.Tables {
		folder := fmt.Sprintf("%s/%04d-%s", tablesName, i, t.Name)
		if err := w.Add(folder+"/create.sql", []byte(t.Definition)); err != nil {
			return nil, err
		}
		if t.Parts == "" {
			continue
		}
		if err := w.AddTree(folder+"/parts", t.Parts); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
