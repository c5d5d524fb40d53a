package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/consent"
	"sluice/server/backup"
	"sluice/server/config"
)

// restoreTables brings the rows back, then what was on its way to them, then
// takes back what has been withdrawn since.
func (r *restoreJob) restoreTables(ctx context.Context, out *restored, taken []consent.TakenBack) (err error) {
	o := storeOptions(r.config, slog.New(slog.DiscardHandler))
	o.BeforeMigration = nil // the archive is the backup
	s, err := store.Open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	here := out.manifest.Tables == backup.TablesHere
	if here {
		if err := r.attach(ctx, s, out); err != nil {
			return err
		}
	}
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	if err := r.deliver(ctx, s, out, !here); err != nil {
		return err
	}
	if err := r.takeBackLate(ctx, s, out, taken); err != nil {
		return err
	}
	return r.checkLedger(ctx, s, out)
}

// attach puts the tables back as they were, counts their rows, and cuts off
// those whose records are in the archive.
func (r *restoreJob) attach(ctx context.Context, s *store.Store, out *restored) error {
	at := out.manifest.Spool
	tables, err := readTables(filepath.Join(r.config.DataDir, restoreScratch, tablesName))
	if err != nil {
		return err
	}
	if err := s.Attach(ctx, tables); err != nil {
		return err
	}
	if out.rows, err = s.RowsBefore(ctx, at.ID, at.First); err != nil {
		return err
	}
	for table, want := range out.manifest.Rows {
		if got := out.rows[table]; got < want {
			return fmt.Errorf("table %s has %d rows, and %d were backed up", table, got, want)
		}
	}
	if err := s.Release(ctx, tables); err != nil {
		return err
	}
	return s.Trim(ctx, at.ID, at.First)
}

// readTables lists the extracted tables, in their order.
func readTables(dir string) ([]store.FrozenTable, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the extracted tables: %w", err)
	}
	var tables []store.FrozenTable
	for _, e := range entries {
		_, name, _ := strings.Cut(e.Name(), "-")
		folder := filepath.Join(dir, e.Name())
		definition, err := os.ReadFile(filepath.Join(folder, "create.sql"))
		if err != nil {
			return nil, fmt.Errorf("read the definition of table %s: %w", name, err)
		}
		t := store.FrozenTable{Name: name, Definition: string(definition)}
		parts := filepath.Join(folder, "parts")
		if _, err := os.Stat(parts); err == nil {
			t.Parts = parts
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for the parts of table %s: %w", name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// deliver stores the archive's records, each once, and then takes back what
// they ask for. Where the rows are in a server of its own, it may have taken
// some of them after the backup: these are read back first.
func (r *restoreJob) deliver(ctx context.Context, s *store.Store, out *restored, readBack bool) error {
	at := out.manifest.Spool
	var stored uint64
	if readBack {
		var err error
		if stored, err = s.LastSeq(ctx, at.ID); err != nil {
			return err
		}
	}
	cuts := spool.Batch{Spool: at.ID, Attempt: 1}
	err := r.eachBatch(at, func(b spool.Batch) error {
		b.Recovered = readBack
		var rows []spool.Record
		for _, record := range b.Records {
			if record.Seq >= at.TakeBack && (record.Kind == spool.KindWithdrawal || record.Kind == spool.KindTombstone) {
				cuts.Records = append(cuts.Records, record)
			}
			// Counts are summed by batch, and these are not the batches of then: in
			// a server that goes on, those up to its last record are there.
			counted := record.Kind == spool.KindCounter && record.Seq <= stored
			if record.Seq >= at.First && !counted {
				rows = append(rows, record)
			}
		}
		if len(rows) == 0 {
			return nil
		}
		b.Records, b.First, b.Last = rows, rows[0].Seq, rows[len(rows)-1].Seq
		out.delivered += uint64(len(rows))
		return s.Deliver(ctx, b)
	})
	if err != nil || len(cuts.Records) == 0 {
		return err
	}
	cuts.First, cuts.Last = cuts.Records[0].Seq, cuts.Records[len(cuts.Records)-1].Seq
	cuts.Recovered = true // an earlier run may have got this far
	return s.TakeBack(ctx, cuts)
}

// eachBatch goes through the archive's records, file by file.
func (r *restoreJob) eachBatch(at backup.Spool, fn func(spool.Batch) error) error {
	names, err := filepath.Glob(filepath.Join(r.config.DataDir, restoreScratch, spoolName, "*.records"))
	if err != nil {
		return fmt.Errorf("list the extracted records: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		rest, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read extracted records: %w", err)
		}
		b := spool.Batch{Spool: at.ID, Attempt: 1}
		for len(rest) > 0 {
			var record backup.Record
			if record, rest, err = backup.TakeRecord(rest); err != nil {
				return &backup.DamagedError{Name: spoolName + "/" + filepath.Base(name), Problem: "cannot be read: " + err.Error()}
			}
			b.Records = append(b.Records, spool.Record{Seq: record.Seq, Kind: spool.Kind(record.Kind), Data: record.Data})
		}
		if len(b.Records) == 0 {
			continue
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// takeBackLate makes up for what was withdrawn and erased after the backup.
func (r *restoreJob) takeBackLate(ctx context.Context, s *store.Store, out *restored, taken []consent.TakenBack) error {
	if len(taken) == 0 {
		return nil
	}
	consents := make([]uuid.UUID, len(taken))
	for i, t := range taken {
		consents[i] = t.Consent
	}
	sites, err := s.SitesOf(ctx, consents)
	if err != nil {
		return err
	}
	at := out.manifest.Spool
	for _, t := range taken {
		if t.Erasure {
			out.erased++
		} else {
			out.withdrawn++
			out.noteUnknown(r.config, sites[t.Consent])
		}
	}
	numbered, timed := r.lateCuts(at.ID, taken, sites)
	if err := s.TakeBackLate(ctx, at.ID, numbered); err != nil {
		return err
	}
	return s.TakeBackLate(ctx, uuid.Nil, timed)
}

// noteUnknown keeps the name of a site that is not configured.
func (r *restored) noteUnknown(c *config.Config, domain string) {
	known := slices.ContainsFunc(c.Sites, func(s config.Site) bool { return s.Domain == domain })
	if domain != "" && !known && !slices.Contains(r.unknown, domain) {
		r.unknown = append(r.unknown, domain)
	}
}

// lateCuts says which rows go: numbered by the records of the spool that was
// backed up, and by their time. sites are those of the consents.
func (r *restoreJob) lateCuts(spoolID uuid.UUID, taken []consent.TakenBack, sites map[uuid.UUID]string) (numbered, timed []store.LateCut) {
	for _, t := range taken {
		switch {
		case t.Erasure && t.Spool == spoolID:
			numbered = append(numbered, store.LateCut{ConsentID: t.Consent, Before: t.Seq, At: r.now(), Erase: true})
		case t.Erasure: // carried out by an earlier restore, or asked of another server
			timed = append(timed, store.LateCut{ConsentID: t.Consent, At: r.now(), Erase: true})
		default:
			// The index knows the second in which it was, an event the millisecond.
			timed = append(timed, store.LateCut{ConsentID: t.Consent, At: t.At.Add(time.Second), Erase: r.erases(sites[t.Consent])})
		}
	}
	return numbered, timed
}

// erases reports whether what was collected goes when a visitor withdraws. Of a
// site that is not configured nobody knows what visitors were told: there it
// goes, which the archive can make good, and rows kept by mistake could not.
func (r *restoreJob) erases(domain string) bool {
	i := slices.IndexFunc(r.config.Sites, func(s config.Site) bool { return s.Domain == domain })
	return i < 0 || r.config.Sites[i].OnWithdrawal == string(consent.Erase)
}

// checkLedger goes through every chain, and compares the end of the one that
// was backed up with what the manifest says. A ledger that is not whole is no
// reason to hold back the rest.
func (r *restoreJob) checkLedger(ctx context.Context, s *store.Store, out *restored) error {
	out.heads, out.broken = verifyChains(ctx, s, func(consent.Receipt, string) {})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if out.broken == nil {
		out.broken = endsAs(out.manifest.Chain, out.heads)
	}
	return nil
}

// endsAs reports how the chains that are there differ from the end that was
// backed up.
func endsAs(want backup.Chain, heads []consent.Head) error {
	if want.N == 0 {
		return nil
	}
	i := slices.IndexFunc(heads, func(h consent.Head) bool { return h.ChainID == want.ID })
	switch {
	case i < 0:
		return fmt.Errorf("chain %s is missing", want.ID)
	case heads[i].N < want.N:
		return fmt.Errorf("chain %s ends at receipt %d, and %d were backed up", want.ID, heads[i].N, want.N)
	case heads[i].N == want.N && heads[i].Hash != want.Hash:
		return fmt.Errorf("receipt %d of chain %s is not the one that was backed up", want.N, want.ID)
	}
	return nil
}
