package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"sluice/collector/store"
	"sluice/server/backup"
	"sluice/server/config"
)

const (
	// beforePrefix begins the occasion of a backup that Sluice makes unasked.
	beforePrefix = "before-"
	// keepUnasked is how long such a backup is kept: long enough to notice that
	// an upgrade went wrong, and no longer, for it also holds what visitors have
	// had erased since.
	keepUnasked = 30 * 24 * time.Hour
	// expireEvery is how often it is looked for.
	expireEvery = 24 * time.Hour
)

func backupFolder(dataDir string) backup.Folder {
	return backup.Folder(filepath.Join(dataDir, backupsName))
}

// backUpBefore makes a backup before a migration changes tables. While there
// is none, the tables stay as they are and events wait in the spool.
func backUpBefore(ctx context.Context, c *config.Config, s *store.Store, migration string, log *slog.Logger) error {
	log = log.With("room", "backup", "migration", migration)
	if !c.ClickHouse.Embedded() {
		log.WarnContext(ctx, "tables of a clickhouse server are about to change; its backups are its own")
		return nil
	}
	if !c.Backup.BeforeUpgrade {
		log.WarnContext(ctx, "tables are about to change, without a backup: backup.before_upgrade is false")
		return nil
	}
	name, _, _ := strings.Cut(migration, ".")
	b := &backupJob{
		config: c, store: s, place: backupFolder(c.DataDir), occasion: beforePrefix + name, keys: true, now: time.Now,
		warn: func(format string, args ...any) {
			log.WarnContext(ctx, "note on the backup", "note", fmt.Sprintf(format, args...))
		},
	}
	log.InfoContext(ctx, "making a backup before tables change")
	made, err := b.make(ctx)
	if err != nil {
		return fmt.Errorf("back up first (backup.before_upgrade: false goes without): %w", err)
	}
	log.InfoContext(ctx, "backup made; `sluice restore` brings it back under the earlier version",
		"path", made.path, "bytes", made.size, "kept_until", made.manifest.Made.Add(keepUnasked).Format(time.DateOnly))
	return nil
}

// tidyBackups removes what killed backups have left, and backups that Sluice
// made unasked and nobody needs any more, until ctx is done.
func tidyBackups(ctx context.Context, dataDir string, now func() time.Time, log *slog.Logger) {
	for {
		if err := expireBackups(ctx, dataDir, now()); err != nil && !errors.Is(err, errBackupRuns) {
			log.WarnContext(ctx, "old backups stay for another day", "err", err)
		}
		if !pause(ctx, expireEvery) {
			return
		}
	}
}

func expireBackups(ctx context.Context, dataDir string, now time.Time) (err error) {
	release, err := lockBackup(dataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := sweepBackups(dataDir); err != nil {
		return err
	}
	folder := backupFolder(dataDir)
	names, err := folder.Names(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // none has been made
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		made, occasion, _ := backup.ParseName(name)
		if strings.HasPrefix(occasion, beforePrefix) && now.Sub(made) > keepUnasked {
			if err := folder.Remove(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
