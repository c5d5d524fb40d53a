package server

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"sluice/server/backup"
	"sluice/server/config"
)

// runRestore is `sluice restore`.
func runRestore(ctx context.Context, t terminal, args []string) error {
	var path, dir, identity, later *string
	var newKeys *bool
	fs, err := flags(t, "restore", flagsFirst(args, "config", "data-dir", "identity", "consent-index"), 1, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		dir = fs.String("data-dir", "", "the empty `folder` to restore into")
		identity = fs.String("identity", "", "`file` with the age identity of a recipient")
		later = fs.String("consent-index", "", "a consent.idx later than the backup: its withdrawals and erasures are carried out (`file`)")
		newKeys = fs.Bool("new-keys", false, "begin with new token keys: every visitor is asked again")
	})
	if err != nil {
		return err
	}
	switch {
	case fs.NArg() == 0:
		return &usageError{"restore: name an archive, or the folder or s3://BUCKET/PREFIX whose newest is to be restored"}
	case *dir == "":
		return &usageError{"restore: --data-dir names the empty folder to restore into"}
	}
	c, note, err := restoreConfig(*path, *later != "")
	if err != nil {
		return err
	}
	if note != "" {
		fmt.Fprintln(t.err, "note: "+note)
	}
	configured := c.DataDir
	if c.DataDir, err = filepath.Abs(*dir); err != nil {
		return fmt.Errorf("find --data-dir: %w", err)
	}
	job := &restoreJob{config: c, later: *later, newKeys: *newKeys, now: time.Now}
	if job.place, job.name, err = placeOf(c, fs.Arg(0)); err != nil {
		return err
	}
	if job.identities, err = readIdentities(*identity); err != nil {
		return err
	}
	out, err := job.run(ctx)
	if err != nil {
		return fmt.Errorf("nothing was restored: %w", err)
	}
	out.describe(t.out, c)
	warn := warnTo(t.err)
	out.remind(warn, c, *newKeys)
	if note == "" && configured != c.DataDir {
		warn("data_dir in the configuration is %s: set it to %s, or move the folder there", configured, c.DataDir)
	}
	if out.broken != nil {
		return fmt.Errorf("everything is restored, but the ledger is not whole: %w", out.broken)
	}
	return nil
}

// restoreConfig reads the configuration where there is one. A restore on a new
// machine may come before it.
func restoreConfig(flag string, later bool) (c *config.Config, note string, err error) {
	c, err = loadConfig(flag)
	if unconfigured(flag, err) {
		note = "there is no " + configPath(flag) + ": restored for the embedded engine, with default retention"
		if later {
			note += "; what was collected under a consent that --consent-index withdraws is erased on every site, as nothing here says on_withdrawal: anonymise"
		}
		return config.Default(), note, nil
	}
	return c, "", err
}

func readIdentities(path string) ([]age.Identity, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	defer f.Close() // only read from
	identities, err := age.ParseIdentities(f)
	if err != nil {
		// The error may repeat the line, which is a secret.
		return nil, fmt.Errorf("--identity: %s holds no age identity (AGE-SECRET-KEY-1…); one behind a passphrase has to be decrypted first: age -d", path)
	}
	return identities, nil
}

// describe says what was restored.
func (r *restored) describe(w io.Writer, c *config.Config) {
	fmt.Fprintf(w, "%s of %s is in %s\n", r.path, r.manifest.Made.Format(time.RFC3339), c.DataDir)
	if len(r.rows) > 0 {
		fmt.Fprintf(w, "  rows: %s\n", rowsText(r.rows))
	}
	fmt.Fprintf(w, "  records that were on their way and are stored now: %d\n", r.delivered)
	if r.erased+r.withdrawn > 0 {
		fmt.Fprintf(w, "  carried out since the backup: %d withdrawals, %d erasures\n", r.withdrawn, r.erased)
	}
	for _, h := range r.heads {
		fmt.Fprintf(w, "  chain %s is whole: %d receipts, head %s\n", h.ChainID, h.N, h.Hash)
	}
}

// remind says what an operator should know before the server starts.
func (r *restored) remind(warn func(string, ...any), c *config.Config, newKeys bool) {
	if r.manifest.Tables == backup.TablesElsewhere {
		warn("the rows are in your ClickHouse server; restore those with its own RESTORE DATABASE before this, if they are lost too")
	}
	switch {
	case newKeys:
		warn("new keys are drawn at the first start: tokens from before are worth nothing, and every visitor is asked again")
	case !r.manifest.Keys && len(c.Keys.Token) == 0:
		warn("the archive has no keys. Put keys/token.key back (mode 0600), or set keys.token, before the first start: without it `sluice serve` refuses to start, " +
			"as every visitor's token would be worthless. To go on without it, restore with --new-keys: every visitor is asked again")
	}
	if !r.manifest.Keys {
		warn("without keys/client.key, to be put back in the same way, one is drawn at the first start, and those whom it names to Google Analytics get new client ids: they count as new visitors there. " +
			"keys/phone.key belongs to whoever may be written to: where any are kept `sluice serve` does not start without it, and --new-keys forgets them")
	}
	if len(r.unknown) > 0 && len(c.Sites) > 0 { // without any configuration that was said already
		warn("of %s, not in the configuration, what was collected under a consent that was withdrawn since is erased; to keep it without what points to a visitor, name the site with on_withdrawal: anonymise and restore into another folder",
			strings.Join(r.unknown, ", "))
	}
	warn("choices made after %s are not in the ledger, and what waited for Google Analytics then is not sent again: the server that was backed up may have sent it",
		r.manifest.Made.Format(time.RFC3339))
}
