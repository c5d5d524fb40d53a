package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/collector/store"
	"sluice/consent"
	"sluice/server/backup"
	"sluice/server/backup/s3test"
	"sluice/server/config"
)

// TestEncryptedBackup: archives are read by a recipient's identity alone.
func TestEncryptedBackup(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	keep := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	i := newInstallation(t)
	i.extra = "backup: {recipients: [" + id.Recipient().String() + "]}"
	r := i.serve("embedded")
	r.mustVisit(t, r.agrees(t, "example.com"), "/a")
	r.settled(t)
	folder := t.TempDir()
	out, notes, err := run(t, "backup", folder, "--config", i.file("embedded"))
	archive := archiveIn(t, folder)
	if err != nil || !strings.HasSuffix(archive, ".tar.zst.age") || strings.Contains(notes, "not encrypted") {
		t.Fatalf("backup: %v, %s\n%s%s", err, archive, out, notes)
	}
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	// A name that is not Sluice's own will do as well.
	damaged := keep("damaged.age", string(slices.Concat(whole[:len(whole)/2], []byte{whole[len(whole)/2] ^ 1}, whole[len(whole)/2+1:])))
	cut := keep("cut.age", string(whole[:len(whole)-1]))
	ours := keep("id.txt", "# a comment\n"+id.String()+"\n")
	for name, tc := range map[string]struct {
		archive, identity, want string
	}{
		"no identity":           {archive, "", "--identity"},
		"another's identity":    {archive, keep("other.txt", other.String()), "to other recipients"},
		"no identity in there":  {archive, keep("wrong.txt", id.Recipient().String()), "holds no age identity"},
		"a damaged archive":     {damaged, ours, damaged + ": the archive is damaged"},
		"an archive cut short":  {cut, ours, cut + ": the archive is damaged"},
		"an archive not there":  {folder + "/sluice-20200101T000000Z.tar.zst", ours, "no such file"},
		"a folder without any":  {t.TempDir(), ours, "holds no archive of Sluice"},
		"the right one":         {archive, ours, ""},
		"the newest of a place": {folder, ours, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newInstallation(t)
			args := []string{"restore", tc.archive, "--data-dir", to.dir, "--config", to.file("embedded")}
			if tc.identity != "" {
				args = append(args, "--identity", tc.identity)
			}
			_, notes, err := run(t, args...)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := to.rows("embedded", "SELECT path FROM events"); !cmp.Equal(got, []string{"/a"}) {
					t.Errorf("events: %v", got)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
			if strings.Contains(fmt.Sprint(err)+notes, other.String()) {
				t.Error("the identity is repeated")
			}
			if left, err := os.ReadDir(to.dir); err == nil && len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestBackupInABucket sends an encrypted archive to S3 and restores the newest
// one that is there.
func TestBackupInABucket(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(t.TempDir(), "id.txt")
	if err := os.WriteFile(identity, []byte(id.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s3 := s3test.New(t)
	i := newInstallation(t)
	i.extra = fmt.Sprintf("backup: {recipients: [%s], s3: {endpoint: %q, region: %s, access_key: %s, secret_key: %s}}",
		id.Recipient(), s3.URL, s3test.Credentials.Region, s3test.Credentials.AccessKey, s3test.Credentials.SecretKey)
	r := i.serve("embedded")
	v := r.agrees(t, "example.com")
	r.mustVisit(t, v, "/a")
	r.settled(t)
	out := mustRun(t, "backup", "s3://bucket/some/where", "--config", i.file("embedded"))
	objects, uploads := s3.Left()
	if len(objects) != 1 || uploads != 0 || !strings.HasPrefix(out, "s3://bucket/some/where/sluice-") {
		t.Fatalf("%d objects, %d uploads: %s", len(objects), uploads, out)
	}
	for key, object := range objects {
		if !strings.HasPrefix(string(object), "age-encryption.org/v1") {
			t.Errorf("%s is not encrypted", key)
		}
	}
	for _, from := range []string{"s3://bucket/some/where/", strings.Fields(out)[0]} {
		to := newInstallation(t)
		to.extra = i.extra
		mustRun(t, "restore", from, "--data-dir", to.dir, "--identity", identity, "--config", to.file("embedded"))
		if got := to.rows("embedded", "SELECT path FROM events"); !cmp.Equal(got, []string{"/a"}) {
			t.Errorf("restored from %s: %v", from, got)
		}
	}
}

// TestRestoreWantsRoom: a restore touches nothing that is there, and what one
// left that was killed is never served.
func TestRestoreWantsRoom(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(i.dir, "precious")
	if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := run(t, "restore", t.TempDir(), "--data-dir", i.dir, "--config", i.file("embedded"))
	if err == nil || !strings.Contains(err.Error(), "is not empty (it holds precious)") {
		t.Errorf("restore into a folder in use: %v", err)
	}
	if b, err := os.ReadFile(precious); err != nil || string(b) != "mine" {
		t.Errorf("what was there: %q, %v", b, err)
	}

	if err := os.Rename(precious, filepath.Join(i.dir, restoreMark)); err != nil {
		t.Fatal(err)
	}
	_, _, err = run(t, "serve", "--config", i.file(nowhere))
	if err == nil || !strings.Contains(err.Error(), "half restored") {
		t.Errorf("serve after a killed restore: %v", err)
	}
	for _, args := range [][]string{{"backup"}, {"restore"}, {"restore", "x"}, {"backup", "a", "b"}, {"backup", "s3://bucket/x", "--config", i.file(nowhere)}, {"backup", "s3://", "--config", i.file(nowhere)}} {
		_, _, err := run(t, args...)
		var report strings.Builder
		if status := Report(&report, err); status != 2 {
			t.Errorf("sluice %v: status %d, %s; want 2", args, status, report.String())
		}
	}
}

// TestBackupWithoutKeys: tokens outlive a restore only with the key that
// signed them, and the server says so.
func TestBackupWithoutKeys(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	i := newInstallation(t)
	r := i.serve("embedded")
	v := r.agrees(t, "example.com")
	r.mustVisit(t, v, "/a")
	r.settled(t)
	folder := t.TempDir()
	killed := filepath.Join(folder, ".sluice-20200101T000000Z.tar.zst.partial-1")
	if err := errors.Join(os.WriteFile(killed, nil, 0o600), os.Chtimes(killed, time.Time{}, time.Now().AddDate(0, 0, -2))); err != nil {
		t.Fatal(err)
	}
	_, notes, err := run(t, "backup", "--no-keys", folder, "--config", i.file("embedded"))
	if err != nil || !strings.Contains(notes, "removed "+killed) {
		t.Errorf("what a killed backup has left: %v\n%s", err, notes)
	}
	archive := archiveIn(t, folder)
	if slices.ContainsFunc(manifestOf(t, archive).Files, func(f backup.File) bool { return strings.HasPrefix(f.Name, "keys") }) {
		t.Error("the archive holds keys")
	}

	t.Run("and the key is put back", func(t *testing.T) {
		t.Parallel()
		to := newInstallation(t)
		_, notes, err := run(t, "restore", archive, "--data-dir", to.dir, "--config", to.file("embedded"))
		if err != nil || !strings.Contains(notes, "Put keys/token.key back") || !strings.Contains(notes, "without keys/client.key") {
			t.Fatalf("restore: %v\n%s", err, notes)
		}
		_, _, err = run(t, "serve", "--config", to.file(nowhere))
		if err == nil || !strings.Contains(err.Error(), "token.key is missing, but consent receipts exist") {
			t.Fatalf("serve without the key: %v", err)
		}
		key, err := os.ReadFile(filepath.Join(i.dir, tokenKeyFile))
		if err == nil {
			err = os.MkdirAll(filepath.Join(to.dir, keysName), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to.dir, tokenKeyFile), key, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		to.serve(nowhere).mustVisit(t, v, "/b")
	})
	t.Run("and everybody is asked again", func(t *testing.T) {
		t.Parallel()
		to := newInstallation(t)
		_, notes, err := run(t, "restore", archive, "--new-keys", "--data-dir", to.dir, "--config", to.file("embedded"))
		if err != nil || !strings.Contains(notes, "every visitor is asked again") {
			t.Fatalf("restore: %v\n%s", err, notes)
		}
		if got := to.serve(nowhere).visits(t, v, "/b"); !strings.Contains(got, "bad_token") {
			t.Errorf("the old token: %s", got)
		}
	})
}

// TestRestoreIsTheStateOfOneRecord: what reaches the tables while a backup is
// made, after its spool was read, is not in it, and what was on its way then
// is in it once, counts as well.
func TestRestoreIsTheStateOfOneRecord(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	i := newInstallation(t)
	r := i.serve("embedded")
	v := r.agrees(t, "example.com")
	r.mustVisit(t, v, "/stored")
	r.settled(t)
	r.mustVisit(t, v, "/on-its-way")
	asked := 0
	folder := t.TempDir()
	job := &backupJob{
		config: r.config, store: r.store, place: backup.Folder(folder), keys: true,
		warn: func(format string, args ...any) { t.Logf(format, args...) },
		// The second time that the clock is asked, the spool has been read, and
		// the tables have not been frozen.
		now: func() time.Time {
			if asked++; asked == 2 {
				r.mustVisit(t, v, "/meanwhile")
				r.agrees(t, "example.com")
				r.settled(t)
			}
			return time.Now()
		},
	}
	made, err := job.make(t.Context())
	if err != nil || asked < 2 {
		t.Fatalf("%v after %d looks at the clock", err, asked)
	}
	if s := made.manifest.Spool; s.Last < s.First {
		t.Fatalf("nothing was on its way: %+v", s)
	}
	to := newInstallation(t)
	out := mustRun(t, "restore", folder, "--data-dir", to.dir, "--config", to.file("embedded"))
	if !strings.Contains(out, "is whole: 1 receipts") {
		t.Errorf("ledger: %s", out)
	}
	got := to.rows("embedded", "SELECT path, count(), (SELECT sum(n) FROM counters WHERE kind = 'event') FROM events GROUP BY path ORDER BY path")
	if diff := cmp.Diff([]string{"/on-its-way 1 2", "/stored 1 2"}, got); diff != "" {
		t.Errorf("events, with the sum of what was counted (-want +got):\n%s", diff)
	}
}

// TestLateCuts: what was taken back after a backup reaches every row collected
// before it, and as the site says; one that is not
// configured says nothing, and erases.
func TestLateCuts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)
	c, err := config.Parse([]byte("sites: [{domain: example.com}, {domain: erasing.example, on_withdrawal: erase}]"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	job := &restoreJob{config: c, now: func() time.Time { return now }}
	spoolID, other := uuid.New(), uuid.New()
	ids := []uuid.UUID{{1}, {2}, {3}, {4}, {5}}
	withdrawn := now.Add(-time.Hour)
	numbered, timed := job.lateCuts(spoolID, []consent.TakenBack{
		{Consent: ids[0], At: withdrawn}, {Consent: ids[1], At: withdrawn}, {Consent: ids[2], At: withdrawn},
		{Consent: ids[3], Erasure: true, Spool: spoolID, Seq: 7}, {Consent: ids[4], Erasure: true, Spool: other, Seq: 9},
	}, map[uuid.UUID]string{ids[0]: "example.com", ids[1]: "erasing.example", ids[2]: "unknown.example"})
	if diff := cmp.Diff([]store.LateCut{{ConsentID: ids[3], Before: 7, At: now, Erase: true}}, numbered); diff != "" {
		t.Errorf("by record (-want +got):\n%s", diff)
	}
	// An event may have come in the second of the withdrawal, before it.
	at := withdrawn.Add(time.Second)
	if diff := cmp.Diff([]store.LateCut{
		{ConsentID: ids[0], At: at}, {ConsentID: ids[1], At: at, Erase: true}, {ConsentID: ids[2], At: at, Erase: true},
		{ConsentID: ids[4], At: now, Erase: true},
	}, timed); diff != "" {
		t.Errorf("by time (-want +got):\n%s", diff)
	}
}

// TestRestoreSaysWhatItErases: nobody learns from an empty report that a site
// was not in the configuration.
func TestRestoreSaysWhatItErases(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte("sites: [{domain: example.com}]"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out := &restored{manifest: backup.Manifest{Keys: true}}
	for _, domain := range []string{"example.com", "gone.example", "", "gone.example"} {
		out.noteUnknown(c, domain)
	}
	var notes []string
	out.remind(func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }, c, false)
	if all := strings.Join(notes, "\n"); strings.Contains(all, "client.key") || !strings.Contains(all, "of gone.example, not in the configuration") {
		t.Errorf("notes: %s", all)
	}
	for _, later := range []bool{false, true} {
		if c, note, err := restoreConfig("", later); err != nil || len(c.Sites) != 0 || strings.Contains(note, "is erased on every site") != later {
			t.Errorf("without a configuration, --consent-index given %t: %q, %v", later, note, err)
		}
	}
}
