package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

var made = time.Date(2026, 11, 23, 22, 45, 1, 0, time.UTC)

// contents are the files of the tests' archives.
var contents = map[string]string{
	"consent.idx": "withdrawals", "keys/token.key": "key", "tables/events/parts/a/b.bin": strings.Repeat("rows", 500), "empty": "",
}

func archive(t testing.TB, recipients ...age.Recipient) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range contents {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	w, err := Create(&out, recipients, made)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return w.Add("empty", nil) },
		func() error { return w.AddFile("consent.idx", filepath.Join(dir, "consent.idx")) },
		func() error { return w.AddTree("keys", filepath.Join(dir, "keys")) },
		func() error { return w.AddTree("tables", filepath.Join(dir, "tables")) },
		func() error {
			return w.Close(Manifest{Version: "v1", Spool: Spool{ID: uuid.UUID{1}, First: 3, Last: 5}, Tables: TablesHere, Rows: map[string]uint64{"events": 4}})
		},
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// extracted reads what is below dir, without the format.
func extracted(t testing.TB, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rest, _ := filepath.Rel(dir, path)
		got[filepath.ToSlash(rest)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestArchive(t *testing.T) {
	t.Parallel()
	ours, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		archive    []byte
		identities []age.Identity
		want       string // in the error
	}{
		"plain":                            {archive(t), nil, ""},
		"plain, though with an identity":   {archive(t), []age.Identity{ours}, ""},
		"encrypted":                        {archive(t, ours.Recipient()), []age.Identity{ours}, ""},
		"encrypted to two":                 {archive(t, other.Recipient(), ours.Recipient()), []age.Identity{ours}, ""},
		"encrypted, without an identity":   {archive(t, ours.Recipient()), nil, "--identity"},
		"encrypted, a wrong identity":      {archive(t, ours.Recipient()), []age.Identity{other}, "to other recipients"},
		"something else":                   {[]byte("PK\x03\x04 is a zip"), nil, "damaged"},
		"nothing":                          {nil, nil, "no manifest"},
		"encrypted, but by nobody we know": {[]byte(ageMagic + "\n-> X25519"), []age.Identity{ours}, "decrypt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			m, err := Extract(bytes.NewReader(tc.archive), tc.identities, dir)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q in it", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(contents, extracted(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if m.Format != 1 || !m.Made.Equal(made) || m.Spool != (Spool{ID: uuid.UUID{1}, First: 3, Last: 5}) || m.Rows["events"] != 4 || len(m.Files) != len(contents)+1 {
				t.Errorf("manifest: %+v", m)
			}
		})
	}
}

// Every byte that changes, and every place where an archive ends too early, is
// noticed: what is extracted without an error is what was put in.
func TestDamagedArchive(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, whole := range map[string][]byte{"plain": archive(t), "encrypted": archive(t, id.Recipient())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused := func(what string, b []byte) {
				dir := t.TempDir()
				if _, err := Extract(bytes.NewReader(b), []age.Identity{id}, dir); err == nil && !cmp.Equal(extracted(t, dir), contents) {
					t.Errorf("%s: nothing is noticed, and the files differ", what)
				}
			}
			for i := range whole {
				b := bytes.Clone(whole)
				b[i] ^= 0x10
				refused(fmt.Sprint("byte ", i), b)
			}
			for n := range whole {
				if _, err := Extract(bytes.NewReader(whole[:n]), []age.Identity{id}, t.TempDir()); err == nil {
					t.Errorf("cut after %d of %d bytes: nothing is noticed", n, len(whole))
				}
			}
		})
	}
}

// TestForgedArchive rewrites whole archives: layers and checksums are right,
// and only the manifest tells.
func TestForgedArchive(t *testing.T) {
	t.Parallel()
	type entry struct {
		tar.Header
		content string
	}
	find := func(e []entry, name string) int {
		for i := range e {
			if e[i].Name == name {
				return i
			}
		}
		t.Fatalf("no %s", name)
		return 0
	}
	remove := func(e []entry, name string) []entry {
		i := find(e, name)
		return append(e[:i:i], e[i+1:]...)
	}
	for name, tc := range map[string]struct {
		forge func(e []entry) []entry
		want  string
	}{
		"untouched":            {func(e []entry) []entry { return e }, ""},
		"a file edited":        {func(e []entry) []entry { e[find(e, "consent.idx")].content = "withdrawalz"; return e }, "consent.idx is not what was backed up"},
		"a file cut":           {func(e []entry) []entry { e[find(e, "consent.idx")].content = "with"; return e }, "consent.idx is not what was backed up"},
		"a file removed":       {func(e []entry) []entry { return remove(e, "keys/token.key") }, "keys/token.key is missing"},
		"the manifest removed": {func(e []entry) []entry { return remove(e, manifestName) }, "no manifest"},
		"a file added": {func(e []entry) []entry {
			i := find(e, manifestName)
			return append(e[:i:i], entry{tar.Header{Name: "keys/mine"}, "x"}, e[i])
		}, "keys/mine is not in the manifest"},
		"a file behind the manifest": {func(e []entry) []entry { return append(e, entry{tar.Header{Name: "more"}, "x"}) }, "follows its manifest"},
		"a file twice":               {func(e []entry) []entry { return append(e[:3:3], e[2:]...) }, "file exists"},
		"two swapped":                {func(e []entry) []entry { e[1], e[2] = e[2], e[1]; return e }, "is missing, or not where"},
		"a way out":                  {func(e []entry) []entry { e[1].Name = "../../outside"; return e }, `"../../outside" is nothing that Sluice puts`},
		"an absolute name":           {func(e []entry) []entry { e[1].Name = "/etc/passwd"; return e }, "is nothing that Sluice puts"},
		"a link": {func(e []entry) []entry {
			e[1].Typeflag, e[1].Linkname, e[1].content = tar.TypeSymlink, "/etc/passwd", ""
			return e
		}, "is nothing that Sluice puts"},
		"a newer format":        {func(e []entry) []entry { e[0].content = "sluice backup 2\n"; return e }, `"sluice backup 2"`},
		"a tar of other things": {func(e []entry) []entry { return e[1:] }, "no archive of Sluice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packed, err := zstd.NewReader(bytes.NewReader(archive(t)))
			if err != nil {
				t.Fatal(err)
			}
			defer packed.Close()
			var entries []entry
			for r := tar.NewReader(packed); ; {
				h, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				b, readErr := io.ReadAll(r)
				if err := errors.Join(err, readErr); err != nil {
					t.Fatal(err)
				}
				entries = append(entries, entry{*h, string(b)})
			}
			var forged bytes.Buffer
			z, err := zstd.NewWriter(&forged)
			if err != nil {
				t.Fatal(err)
			}
			w := tar.NewWriter(z)
			for _, e := range tc.forge(entries) {
				e.Size = int64(len(e.content))
				if err := w.WriteHeader(&e.Header); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(w, e.content); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(w.Close(), z.Close()); err != nil {
				t.Fatal(err)
			}
			outer := t.TempDir()
			_, err = Extract(&forged, nil, filepath.Join(outer, "a", "b"))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if _, err := os.Lstat(filepath.Join(outer, "outside")); err == nil {
				t.Error("a file was written outside of the directory")
			}
		})
	}
}

// TestManifestIsTheFilesOwn checks the sums with other means than the writer's.
func TestManifestIsTheFilesOwn(t *testing.T) {
	t.Parallel()
	m, err := Extract(bytes.NewReader(archive(t)), nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range m.Files[1:] {
		got[f.Name] = f.SHA256
	}
	want := map[string]string{}
	for name, content := range contents {
		sum := sha256.Sum256([]byte(content))
		want[name] = hex.EncodeToString(sum[:])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	if b, err := json.Marshal(m); err != nil || !bytes.Contains(b, []byte(`"made":"2026-11-23T22:45:01Z"`)) {
		t.Errorf("manifest %s, %v", b, err)
	}
}
