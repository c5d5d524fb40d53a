package server

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"sluice/consent"
	"sluice/server/config"
)

// layouts holds a data directory of each layout that was released, as a crash
// left it: rows in the tables, records on their way to them, a consent that was
// withdrawn and one that was erased.
const layouts = "testdata/layouts"

// kept is what is known of such a directory; its file is kept.json.
type kept struct {
	At        time.Time // when it was made
	Live      string    // token of somebody who agreed; "": what was agreed to has changed since
	Withdrawn []string  // tokens of those who took it back
	Paths     []string  // of the events that have to be there, in order
	Nameless  []string  // those of them whose visitor has withdrawn
	Receipts  int
}

// TestEveryLayoutOpens opens a copy of each: migrations run, what was on its way
// arrives once, what was taken back stays so, and the ledger is whole.
func TestEveryLayoutOpens(t *testing.T) {
	t.Parallel()
	requireEngine(t)
	archives, err := filepath.Glob(filepath.Join(layouts, "*.tar.zst"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no layout in %s: %v", layouts, err)
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			unpack(t, archive, i.dir)
			var k kept
			note := filepath.Join(i.dir, "kept.json")
			if b, err := os.ReadFile(note); err != nil || json.Unmarshal(b, &k) != nil {
				t.Fatalf("kept.json: %v", err)
			}
			if err := os.Remove(note); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(i.file("embedded"))
			if err != nil {
				t.Fatal(err)
			}
			// Tokens are as old as the directory; the server's clock is not.
			skew := time.Since(k.At) - time.Minute
			r := startOf(t, c, func() time.Time { return time.Now().Add(-skew) })
			// Of the site without any preset, whose declared cookies may change: a new
			// version of Sluice by itself asks nobody again.
			want := k.Paths
			if k.Live != "" {
				r.mustVisit(t, &visitor{site: "erasing.example", token: k.Live}, "/today")
				want = append(want, "/today")
			}
			for _, token := range k.Withdrawn {
				for _, site := range []string{"example.com", "erasing.example"} {
					if got := r.visits(t, &visitor{site: site, token: token}, "/late"); strings.HasPrefix(got, `{"accepted":1`) {
						t.Errorf("a token that was taken back counts again: %s", got)
					}
				}
			}
			r.settled(t)
			if diff := cmp.Diff(want, i.rows("embedded", "SELECT path FROM events ORDER BY ts, path")); diff != "" {
				t.Errorf("events (-want +got)\n%s", diff)
			}
			nameless := i.rows("embedded", "SELECT path FROM events WHERE receipt_id = toUUID('00000000-0000-0000-0000-000000000000') ORDER BY path")
			if diff := cmp.Diff(k.Nameless, nameless); diff != "" {
				t.Errorf("anonymous events (-want +got)\n%s", diff)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if out := mustRun(t, "ledger", "verify", "--config", i.file("embedded")); !strings.Contains(out, fmt.Sprintf("is whole: %d receipts", k.Receipts)) {
				t.Errorf("ledger verify: %s, want %d receipts", out, k.Receipts)
			}
		})
	}
}

// TestKeepLayout makes the archive of this version's layout, when it is asked
// to: SLUICE_KEEP_LAYOUT=0.1.0 go test -run TestKeepLayout ./server
func TestKeepLayout(t *testing.T) {
	version := os.Getenv("SLUICE_KEEP_LAYOUT")
	if version == "" {
		return // an archive is made once, at a release
	}
	i := newInstallation(t)
	r := i.serve("embedded")
	live, leaves, erased := r.agrees(t, "erasing.example"), r.agrees(t, "example.com"), r.agrees(t, "erasing.example")
	r.mustVisit(t, live, "/a", "/b")
	r.mustVisit(t, leaves, "/c")
	r.mustVisit(t, erased, "/d")
	r.settled(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = i.serve(nowhere)
	r.mustVisit(t, live, "/waits")
	r.mustVisit(t, leaves, "/waits-too")
	k := kept{
		At: time.Now().UTC(), Live: live.token, Withdrawn: []string{leaves.token, erased.token},
		Paths: []string{"/a", "/b", "/c", "/waits", "/waits-too"}, Nameless: []string{"/c", "/waits-too"}, Receipts: 5,
	}
	r.decide(t, leaves, consent.Withdraw, false)
	r.decide(t, erased, consent.Withdraw, false)
	dir := crashCopy(t, i.dir)
	b, err := json.MarshalIndent(k, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "kept.json"), b, 0o600)
	}
	if err == nil {
		err = pack(filepath.Join(layouts, version+".tar.zst"), dir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func pack(archive, dir string) (err error) {
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return fmt.Errorf("keep layout: %w", err)
	}
	f, err := os.Create(archive)
	if err != nil {
		return fmt.Errorf("keep layout: %w", err)
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return fmt.Errorf("keep layout: %w", err)
	}
	w := tar.NewWriter(z)
	return errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), z.Close(), f.Close())
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || !fs.ValidPath(strings.TrimSuffix(h.Name, "/")) {
			t.Fatalf("%s: %s: %v", archive, h.Name, err)
		}
		to := filepath.Join(dir, h.Name)
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(to, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
