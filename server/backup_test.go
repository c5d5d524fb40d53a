package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/consent"
	"sluice/server/backup"
)

// archiveIn returns the one archive of a folder.
func archiveIn(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%s holds %v, %v; want one archive", folder, entries, err)
	}
	return filepath.Join(folder, entries[0].Name())
}

// manifestOf reads an archive's manifest.
func manifestOf(t *testing.T, archive string) backup.Manifest {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := backup.Extract(f, nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// history is an installation with something of everything: rows in the tables,
// a withdrawal carried out, and records that have not reached the tables, a
// withdrawal among them.
type history struct {
	*installation
	live, stays, withdrew, leaves, leavesErasing, erases, late *visitor
}

const perVisitor = "SELECT path, countIf(receipt_id != toUUID('00000000-0000-0000-0000-000000000000')) AS bound, count(), uniq(spool_id, seq) FROM events GROUP BY path ORDER BY path"

// makeHistory ends with a server that runs and reaches no ClickHouse.
func makeHistory(t *testing.T) (*history, *running) {
	t.Helper()
	requireEngine(t)
	h := &history{installation: newInstallation(t)}
	r := h.serve("embedded")
	h.stays, h.withdrew, h.leaves = r.agrees(t, "example.com"), r.agrees(t, "example.com"), r.agrees(t, "example.com")
	h.leavesErasing, h.erases = r.agrees(t, "erasing.example"), r.agrees(t, "example.com")
	for path, v := range map[string]*visitor{
		"/stays": h.stays, "/withdrew": h.withdrew, "/leaves": h.leaves, "/leaves-erasing": h.leavesErasing, "/erases": h.erases,
	} {
		r.mustVisit(t, v, path, path)
	}
	r.decide(t, h.withdrew, consent.Withdraw, false)
	r.settled(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = h.serve(nowhere)
	h.late, h.live = r.agrees(t, "example.com"), r.agrees(t, "example.com")
	r.mustVisit(t, h.late, "/late", "/late", "/late")
	r.mustVisit(t, h.live, "/live")
	r.mustVisit(t, h.leaves, "/leaves")
	r.decide(t, h.late, consent.Withdraw, false)
	return h, r
}

// restored returns an installation that was restored, and what the command
// printed.
func (h *history) restored(t *testing.T, from string, args ...string) (i *installation, out, notes string) {
	t.Helper()
	i = newInstallation(t)
	i.extra = h.extra
	out, notes, err := run(t, append([]string{"restore", from, "--data-dir", i.dir, "--config", i.file("embedded")}, args...)...)
	if err != nil {
		t.Fatalf("restore: %v\n%s%s", err, out, notes)
	}
	return i, out, notes
}

// TestBackupAndRestore makes a backup of a server that runs with records that
// never reached a table, lets visitors take back more than it knows, and
// restores it.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	h, r := makeHistory(t)
	before := r.state.journal.head()
	folder := t.TempDir()
	mustRun(t, "backup", folder, "--config", h.file("embedded"))
	m := manifestOf(t, archiveIn(t, folder))
	if m.Tables != backup.TablesHere || !m.Keys || m.Rows["events"] != 10 || m.Rows["receipts"] != 6 || m.Spool.Last < m.Spool.First || m.Chain.N != before.N || m.Chain.Hash != before.Hash {
		t.Errorf("manifest: %+v, want the ledger up to %+v", m, before)
	}

	// After the backup.
	r.decide(t, h.leaves, consent.Withdraw, false)
	r.decide(t, h.leavesErasing, consent.Withdraw, false)
	r.erase(t, h.erases)
	r.mustVisit(t, h.stays, "/after")

	t.Run("with what was taken back since", func(t *testing.T) {
		t.Parallel()
		i, out, _ := h.restored(t, folder, "--consent-index", filepath.Join(h.dir, "consent.idx"))
		for _, want := range []string{"events 10", "2 withdrawals", "1 erasure", fmt.Sprintf("whole: %d receipts, head %s", before.N, before.Hash)} {
			if !strings.Contains(out, want) {
				t.Errorf("restore does not say %q:\n%s", want, out)
			}
		}
		// Path, rows bound to a receipt, rows, rows that differ in their record.
		want := []string{"/late 0 3 3", "/leaves 0 3 3", "/live 1 1 1", "/stays 2 2 2", "/withdrew 0 2 2"}
		if diff := cmp.Diff(want, i.rows("embedded", perVisitor)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		i.goesOn(t, h, before)
	})
	t.Run("as it was", func(t *testing.T) {
		t.Parallel()
		i, _, notes := h.restored(t, archiveIn(t, folder))
		want := []string{"/erases 2 2 2", "/late 0 3 3", "/leaves 3 3 3", "/leaves-erasing 2 2 2", "/live 1 1 1", "/stays 2 2 2", "/withdrew 0 2 2"}
		if diff := cmp.Diff(want, i.rows("embedded", perVisitor)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		counted := "SELECT kind, key, sum(n) FROM counters WHERE kind IN ('event', 'decision') GROUP BY kind, key ORDER BY kind, key"
		if diff := cmp.Diff([]string{"decision accept_all 7", "decision withdraw 2", "event accepted 15"}, i.rows("embedded", counted)); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
		if !strings.Contains(notes, "choices made after") {
			t.Errorf("nothing is said about what came after the backup:\n%s", notes)
		}
	})
}

// goesOn starts a server on what was restored: tokens of then are worth what
// they were, spool and chain are new ones, and the earlier chain still holds.
func (i *installation) goesOn(t *testing.T, h *history, before consent.Head) {
	t.Helper()
	r := i.serve("embedded")
	if head := r.state.journal.head(); head.ChainID == before.ChainID || head.N != 0 {
		t.Errorf("the chain goes on at %+v, want a new one", head)
	}
	if got := manifestOf(t, archiveIn(t, backupOf(t, i))).Spool.ID; got == manifestSpool(t, h.installation) {
		t.Error("the spool is the old one")
	}
	r.mustVisit(t, h.stays, "/again")
	for name, v := range map[string]*visitor{"late": h.late, "leaves": h.leaves} {
		if v.token != "" {
			t.Fatalf("%s still has a token", name)
		}
	}
	fresh := r.agrees(t, "example.com")
	r.mustVisit(t, fresh, "/fresh")
	r.settled(t)
	if got := i.rows("embedded", "SELECT path, count() FROM events WHERE path IN ('/again', '/fresh') GROUP BY path ORDER BY path"); !cmp.Equal(got, []string{"/again 1", "/fresh 1"}) {
		t.Errorf("after the restore: %v", got)
	}
	out := mustRun(t, "ledger", "verify", "--config", i.file("embedded"))
	if !strings.Contains(out, fmt.Sprintf("chain %s is whole: %d receipts, head %s", before.ChainID, before.N, before.Hash)) || strings.Count(out, "is whole") != 2 {
		t.Errorf("ledger verify: %s, want the earlier chain and the new one", out)
	}
}

// backupOf makes a backup and returns its folder.
func backupOf(t *testing.T, i *installation) string {
	t.Helper()
	folder := t.TempDir()
	mustRun(t, "backup", folder, "--config", i.file("embedded"))
	return folder
}

func manifestSpool(t *testing.T, i *installation) [16]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(i.dir, "spool", "id"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := uuid.Parse(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestBackupWhileVisitorsWrite makes backups under load. Each holds every
// event that was accepted before it began, once, each with its receipt.
func TestBackupWhileVisitorsWrite(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	i := newInstallation(t)
	r := i.serve("embedded")
	file := i.file("embedded")
	stop, done := make(chan struct{}), make(chan struct{})
	accepted := make(chan string, 1)
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			v := r.agrees(t, "example.com")
			path := fmt.Sprintf("/n/%05d", n)
			r.mustVisit(t, v, path, path+"/b")
			if n%3 == 0 {
				r.decide(t, v, consent.Withdraw, false)
			}
			select {
			case <-accepted:
			default:
			}
			accepted <- path
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	type taken struct{ folder, path string }
	var backups []taken
	for range 3 {
		b := taken{folder: t.TempDir()}
		select {
		case b.path = <-accepted:
		case <-done:
			t.Fatal("nobody writes any more")
		}
		mustRun(t, "backup", b.folder, "--config", file)
		backups = append(backups, b)
	}
	close(stop)
	<-done
	for _, b := range backups {
		to := newInstallation(t)
		out := mustRun(t, "restore", b.folder, "--data-dir", to.dir, "--config", to.file("embedded"))
		if strings.Count(out, "is whole") != 1 {
			t.Errorf("ledger: %s", out)
		}
		got := to.rows("embedded", `SELECT count() = uniqExact(seq), count() = uniqExact(path), max(path) >= '`+b.path+`',
			countIf(path <= '`+b.path+`/b') = 2 * (toUInt32(substring('`+b.path+`', 4)) + 1),
			countIf(receipt_id != toUUID('00000000-0000-0000-0000-000000000000') AND receipt_id NOT IN (SELECT receipt_id FROM receipts)),
			(SELECT sum(n) FROM counters WHERE kind = 'event') = count() FROM events`)
		if want := []string{"1 1 1 1 0 1"}; !cmp.Equal(got, want) {
			t.Errorf("after %s: got %v, want %v (each record once; each path once; what was accepted before; all of it; none without its receipt; counted alike)", b.path, got, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(i.dir, "engine", "clickhouse", "shadow", "sluice*")); err != nil || len(left) > 0 {
		t.Errorf("frozen parts are left: %v, %v", left, err)
	}
	if left, err := filepath.Glob(filepath.Join(i.dir, ".backup*")); err != nil || len(left) > 0 {
		t.Errorf("scratch folders are left: %v, %v", left, err)
	}
}

// TestManifestNamesNobody looks for secrets, sites and addresses in what can be
// read of an archive without opening it: its name and its manifest.
func TestManifestNamesNobody(t *testing.T) {
	t.Parallel()
	h, _ := makeHistory(t)
	folder := backupOf(t, h.installation)
	m, err := json.Marshal(manifestOf(t, archiveIn(t, folder)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(h.dir, tokenKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	text := archiveIn(t, folder)[len(folder):] + string(m)
	for _, secret := range []string{"example.com", "erasing.example", visitorAddress, strings.TrimSpace(string(key)), "a-secret-of-the-test", h.dir, h.stays.consent.String(), h.stays.token} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the name or the manifest", secret)
		}
	}
}

// TestBackupOfAServersTables: with a ClickHouse elsewhere the archive holds no
// rows, and a restore adds to those of the server what they lack, once.
func TestBackupOfAServersTables(t *testing.T) {
	t.Parallel()
	server := newRemote(t)
	i := newInstallation(t)
	r := i.serve(server.address)
	v := r.agrees(t, "example.com")
	r.mustVisit(t, v, "/a", "/b")
	r.settled(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = i.serve(nowhere)
	r.mustVisit(t, v, "/c", "/d")
	gone := r.agrees(t, "example.com")
	r.mustVisit(t, gone, "/gone")
	r.decide(t, gone, consent.Withdraw, false)
	folder := t.TempDir()
	out, notes, err := run(t, "backup", folder, "--config", i.file(server.address))
	if err != nil || !strings.Contains(notes, "the rows are in your ClickHouse server") {
		t.Fatalf("backup: %v\n%s%s", err, out, notes)
	}
	if m := manifestOf(t, archiveIn(t, folder)); m.Tables != backup.TablesElsewhere || m.Rows != nil {
		t.Errorf("manifest: %+v", m)
	}
	const figures = "SELECT count(), uniqExact(path), countIf(path = '/gone' AND receipt_id = toUUID('00000000-0000-0000-0000-000000000000')), (SELECT sum(n) FROM counters WHERE kind = 'event') FROM events"
	for _, state := range []string{"lacked rows", "had them"} {
		to := newInstallation(t)
		mustRun(t, "restore", folder, "--data-dir", to.dir, "--config", to.file(server.address))
		if got := to.rows(server.address, figures); !cmp.Equal(got, []string{"5 5 1 5"}) {
			t.Errorf("restored where the server %s: %v, want 5 events, 5 paths, 1 anonymous, 5 counted", state, got)
		}
	}
	_, _, err = run(t, "restore", folder, "--data-dir", newInstallation(t).dir, "--config", i.file("embedded"))
	if err == nil || !strings.Contains(err.Error(), "holds no rows") {
		t.Errorf("restored for the embedded engine: %v", err)
	}
}

// TestRestoreBesideAServerThatWentOn: the server took, after the backup, what
// was on its way then, in other batches than a restore makes.
func TestRestoreBesideAServerThatWentOn(t *testing.T) {
	t.Parallel()
	server := newRemote(t)
	i := newInstallation(t)
	r := i.serve(server.address)
	v := r.agrees(t, "example.com")
	r.mustVisit(t, v, "/a")
	r.settled(t)
	server.gate.Lock()
	r.mustVisit(t, v, "/b")
	for deadline := time.After(20 * time.Second); server.waiting.Load() == 0; { // a batch with /b alone
		select {
		case <-deadline:
			t.Fatal("the writer does not write")
		case <-time.After(10 * time.Millisecond):
		}
	}
	r.mustVisit(t, v, "/c")
	folder := t.TempDir()
	mustRun(t, "backup", folder, "--config", i.file(server.address))
	server.gate.Unlock()
	r.mustVisit(t, v, "/after")
	r.settled(t)
	to := newInstallation(t)
	mustRun(t, "restore", folder, "--data-dir", to.dir, "--config", to.file(server.address))
	got := to.rows(server.address, "SELECT path, count(), (SELECT sum(n) FROM counters WHERE kind = 'event') FROM events GROUP BY path ORDER BY path")
	if diff := cmp.Diff([]string{"/a 1 4", "/after 1 4", "/b 1 4", "/c 1 4"}, got); diff != "" {
		t.Errorf("events, with the sum of what was counted (-want +got):\n%s", diff)
	}
}

// TestOneBackupAtATime: a second one is refused, and what a killed one left is
// removed by the next.
func TestOneBackupAtATime(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(nowhere)
	r.agrees(t, "example.com")
	left := []string{filepath.Join(i.dir, scratchPrefix+"1"), filepath.Join(i.dir, "engine", "clickhouse", "shadow", "sluice_backup_x", "store")}
	for _, folder := range left {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	release, err := lockBackup(i.dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if _, _, err := run(t, "backup", folder, "--config", i.file(nowhere)); err == nil || !strings.Contains(err.Error(), "another backup") {
		t.Errorf("a second backup: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "backup", folder, "--config", i.file(nowhere))
	archiveIn(t, folder)
	for _, folder := range left {
		if _, err := os.Stat(folder); err == nil {
			t.Errorf("%s is still there", folder)
		}
	}
}

// TestUpgradeMakesABackup: before a migration changes tables, an archive is
// there that the earlier state can be restored from; it goes after a month.
func TestUpgradeMakesABackup(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	i := newInstallation(t)
	r := i.serve("embedded")
	r.mustVisit(t, r.agrees(t, "example.com"), "/a")
	r.settled(t)
	folder := filepath.Join(i.dir, backupsName)
	if _, err := os.Stat(folder); err == nil {
		t.Error("a first start makes a backup of nothing")
	}
	// As if the last migration were new.
	if err := r.store.Conn().Exec(t.Context(), "ALTER TABLE migrations DELETE WHERE number = (SELECT max(number) FROM migrations) SETTINGS mutations_sync = 2"); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = i.serve("embedded")
	eventually(t, "the tables are there", r.health.reached.Load)
	archive := archiveIn(t, folder)
	if !regexp.MustCompile(`/sluice-\d{8}T\d{6}Z-before-\d{4}_\w+\.tar\.zst$`).MatchString(archive) || !strings.Contains(r.log.String(), archive) {
		t.Errorf("%s is no name of a backup before an upgrade, or not in the log:\n%s", archive, r.log)
	}
	to := newInstallation(t)
	mustRun(t, "restore", archive, "--data-dir", to.dir, "--config", to.file("embedded"))
	if got := to.rows("embedded", "SELECT path FROM events"); !cmp.Equal(got, []string{"/a"}) {
		t.Errorf("events: %v", got)
	}

	asked := filepath.Join(folder, backup.Name(time.Now(), "", false))
	if err := os.WriteFile(asked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for days, want := range map[int]int{29: 2, 31: 1} {
		if days == 31 {
			defer func() {
				if _, err := os.Stat(asked); err != nil {
					t.Errorf("a backup that somebody asked for was removed: %v", err)
				}
			}()
		}
		copied := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(filepath.Join(copied, backupsName), os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		if err := expireBackups(t.Context(), copied, time.Now().AddDate(0, 0, days)); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(filepath.Join(copied, backupsName)); err != nil || len(left) != want {
			t.Errorf("after %d days: %v, %v; want %d", days, left, err, want)
		}
	}
}
