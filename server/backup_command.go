package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"sluice/collector/store"
	"sluice/server/backup"
	"sluice/server/config"
)

// runBackup is `sluice backup`.
func runBackup(ctx context.Context, t terminal, args []string) (err error) {
	var path *string
	var noKeys *bool
	fs, err := flags(t, "backup", flagsFirst(args, "config"), 1, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		noKeys = fs.Bool("no-keys", false, "leave out the keys that sign tokens and name visitors to Google Analytics")
	})
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{"backup: name a folder or s3://BUCKET/PREFIX to write to"}
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	place, name, err := placeOf(c, fs.Arg(0))
	if err != nil {
		return err
	}
	if name != "" {
		return &usageError{fmt.Sprintf("backup: %s is the name of an archive; name the folder or prefix, each archive gets a name of its own", fs.Arg(0))}
	}
	b := &backupJob{config: c, place: place, keys: !*noKeys, now: time.Now, warn: warnTo(t.err)}
	if c.ClickHouse.Embedded() {
		if b.store, err = store.OpenForReading(ctx, storeOptions(c, slog.New(slog.DiscardHandler))); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.store.Close()) }()
	}
	made, err := b.make(ctx)
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	made.describe(t.out)
	b.remind(place)
	return nil
}

func warnTo(w io.Writer) func(string, ...any) {
	return func(format string, args ...any) { fmt.Fprintf(w, "note: "+format+"\n", args...) }
}

// describe says what an archive holds.
func (m *madeBackup) describe(w io.Writer) {
	fmt.Fprintf(w, "%s (%s)\n", m.path, bytesText(m.size))
	if len(m.manifest.Rows) > 0 {
		fmt.Fprintf(w, "  rows: %s\n", rowsText(m.manifest.Rows))
	}
	fmt.Fprintf(w, "  records on their way to the tables: %d\n", undelivered(m.manifest.Spool))
	if m.manifest.Chain.N > 0 {
		fmt.Fprintf(w, "  ledger up to receipt %d of chain %s\n", m.manifest.Chain.N, m.manifest.Chain.ID)
	}
}

func undelivered(s backup.Spool) uint64 { return s.Last + 1 - min(s.First, s.Last+1) }

// rowsText lists counts by table.
func rowsText(rows map[string]uint64) string {
	var parts []string
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		parts = append(parts, fmt.Sprintf("%s %d", table, rows[table]))
	}
	return strings.Join(parts, ", ")
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	const unit = 1024
	size, names := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for size >= unit && i < len(names)-1 {
		size, i = size/unit, i+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0") + " " + names[i]
}

// remind says what an operator should know of the archive.
func (b *backupJob) remind(place backup.Place) {
	if len(b.config.Backup.Recipients) == 0 {
		what := "what visitors did"
		if b.keys && len(b.config.Keys.Token) == 0 {
			what += " and the keys that sign their tokens"
		}
		if _, away := place.(*backup.Bucket); away {
			b.warn("the archive is not encrypted, and whoever reads the bucket reads %s; name an age recipient in backup.recipients", what)
		} else {
			b.warn("the archive is not encrypted (mode 0600); it holds %s", what)
		}
	}
	if len(b.config.Keys.Token) > 0 {
		b.warn("keys.token is in the configuration, which is not in the archive: keep a copy of both")
	}
	if !b.config.ClickHouse.Embedded() {
		b.warn("the rows are in your ClickHouse server and not in the archive: back them up with its own BACKUP DATABASE, after this")
	}
}

// placeOf reads DIR, FILE, s3://BUCKET/PREFIX or s3://BUCKET/PREFIX/NAME. name
// is "" unless an archive was named.
func placeOf(c *config.Config, where string) (place backup.Place, name string, err error) {
	rest, inBucket := strings.CutPrefix(where, "s3://")
	if !inBucket {
		if _, _, ok := backup.ParseName(filepath.Base(where)); ok {
			return backup.Folder(filepath.Dir(where)), filepath.Base(where), nil
		}
		if info, err := os.Stat(where); err == nil && !info.IsDir() {
			return backup.Folder(filepath.Dir(where)), filepath.Base(where), nil // renamed by somebody
		}
		return backup.Folder(where), "", nil
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if bucket == "" {
		return nil, "", &usageError{fmt.Sprintf("%s names no bucket; write s3://BUCKET/PREFIX", where)}
	}
	s := c.Backup.S3
	if s.AccessKey == "" {
		return nil, "", &usageError{"s3:// needs backup.s3.access_key and backup.s3.secret_key in the configuration"}
	}
	prefix = strings.Trim(prefix, "/")
	if _, _, ok := backup.ParseName(prefix[strings.LastIndex(prefix, "/")+1:]); ok {
		i := strings.LastIndex(prefix, "/")
		prefix, name = strings.Trim(prefix[:max(i, 0)], "/"), prefix[i+1:]
	}
	endpoint := s.Endpoint
	if endpoint == "" {
		endpoint = "https://s3." + s.Region + ".amazonaws.com"
	}
	return &backup.Bucket{
		Endpoint: endpoint, Name: bucket, Prefix: prefix,
		Credentials: backup.Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey.Reveal(), Region: s.Region},
		Now:         time.Now, Client: bucketClient(),
	}, name, nil
}

// bucketClient follows no redirect: a signature holds for one address.
func bucketClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// flagsFirst moves flags before everything else: where the archive goes comes
// first in the line, and package flag stops there. valued are the flags that
// take a value.
func flagsFirst(args []string, valued ...string) []string {
	var first, rest []string
	for i := 0; i < len(args); i++ {
		name := strings.TrimLeft(args[i], "-")
		switch {
		case args[i] == "--":
			return append(append(first, rest...), args[i+1:]...)
		case !strings.HasPrefix(args[i], "-"):
			rest = append(rest, args[i])
		case slices.Contains(valued, name) && i+1 < len(args):
			first = append(first, args[i], args[i+1])
			i++
		default:
			first = append(first, args[i])
		}
	}
	return append(first, rest...)
}

const (
	// backupLock is held while a backup is made: what a killed one left behind
	// is swept by the next.
	backupLock = "backup.lock"
	// backupsName is the folder of the backups that Sluice makes unasked.
	backupsName = "backups"
	// scratchPrefix begins the names of folders that a backup needs for a while.
	scratchPrefix = ".backup-"
)

// errBackupRuns is a second backup of one data directory.
var errBackupRuns = errors.New("another backup of this data directory is being made")

// lockBackup makes sure that one backup is made at a time.
func lockBackup(dataDir string) (release func() error, err error) {
	return lockFile(filepath.Join(dataDir, backupLock), errBackupRuns)
}

// sweepBackups removes what killed backups have left. The lock is held.
func sweepBackups(dataDir string) error {
	left, err := filepath.Glob(filepath.Join(dataDir, scratchPrefix+"*"))
	if err != nil {
		return err // a malformed pattern: no
	}
	for _, folder := range left {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("remove what an earlier backup left: %w", err)
		}
	}
	return store.ThawAll(dataDir)
}

// countingWriter counts what passes, and stops when ctx is done.
type countingWriter struct {
	ctx context.Context // of the backup: an io.Writer is given none
	w   io.Writer
	n   int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func parseRecipients(list []string) ([]age.Recipient, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out, err := age.ParseRecipients(strings.NewReader(strings.Join(list, "\n")))
	if err != nil {
		return nil, fmt.Errorf("backup.recipients: %w", err)
	}
	return out, nil
}
