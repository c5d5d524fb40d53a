package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/server/backup"
	"sluice/server/backup/s3test"
)

func bucketOf(f *s3test.Server, prefix string) *backup.Bucket {
	return &backup.Bucket{
		Endpoint: f.URL, Name: "bucket", Prefix: prefix, Credentials: s3test.Credentials,
		Now: time.Now, Client: f.Client(), PartSize: 1000,
		Wait: func(context.Context, time.Duration) error { return nil },
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 11, 23, 22, 45, 1, 9, time.FixedZone("", 3600))
	for want, args := range map[string]struct {
		occasion  string
		encrypted bool
	}{
		"sluice-20261123T214501Z.tar.zst":                   {"", false},
		"sluice-20261123T214501Z.tar.zst.age":               {"", true},
		"sluice-20261123T214501Z-before-0005_x.tar.zst.age": {"before-0005_x", true},
	} {
		got := backup.Name(made, args.occasion, args.encrypted)
		if at, occasion, ok := backup.ParseName(got); got != want || !ok || !at.Equal(made.Truncate(time.Second)) || occasion != args.occasion {
			t.Errorf("got %s, read back as %s, %q, %t; want %s", got, at, occasion, ok, want)
		}
	}
	for _, other := range []string{"", "x.tar.zst", ".sluice-20261123T214501Z.tar.zst.partial-1", "sluice-20261323T214501Z.tar.zst"} {
		if _, _, ok := backup.ParseName(other); ok {
			t.Errorf("%q passes as the name of an archive", other)
		}
	}
}

// TestPlaces goes through everything that can be done with an archive, in a
// folder and in a bucket.
func TestPlaces(t *testing.T) {
	t.Parallel()
	const first, second, third = "sluice-20261123T214501Z.tar.zst", "sluice-20261123T214502Z.tar.zst", "sluice-20261124T000000Z.tar.zst.age"
	for name, place := range map[string]backup.Place{
		"folder":                    backup.Folder(t.TempDir() + "/made"),
		"bucket":                    bucketOf(s3test.New(t), ""),
		"bucket with an odd prefix": bucketOf(s3test.New(t), "a b/c+d=ü"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contents := map[string]string{first: "small", second: strings.Repeat("0123456789", 123), third: strings.Repeat("x", 3000)}
			for name, content := range contents {
				u, err := place.Create(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				for some := range strings.SplitSeq(content, "5") { // in pieces
					if _, err := io.WriteString(u, some); err != nil {
						t.Fatal(err)
					}
				}
				if err := u.Commit(); err != nil {
					t.Fatal(err)
				}
			}
			aborted, err := place.Create(t.Context(), "sluice-20261125T000000Z.tar.zst")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := aborted.Write(make([]byte, 5000)); err != nil {
				t.Fatal(err)
			}
			if got, err := place.Names(t.Context()); err != nil || !cmp.Equal(got, []string{first, second, third}) {
				t.Errorf("while one is written: %v, %v", got, err)
			}
			if err := aborted.Abort(); err != nil {
				t.Fatal(err)
			}
			for name, want := range contents {
				r, err := place.Open(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || r.Close() != nil || string(got) != strings.ReplaceAll(want, "5", "") {
					t.Errorf("%s: got %d bytes, %v; want what was written", name, len(got), err)
				}
			}
			if err := place.Remove(t.Context(), second); err != nil {
				t.Fatal(err)
			}
			if got, err := place.Names(t.Context()); err != nil || !cmp.Equal(got, []string{first, third}) {
				t.Errorf("at the end: %v, %v", got, err)
			}
		})
	}
}

// No attempt that fails leaves anything that could be taken for an archive.
func TestFolderKeepsNothingHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u, err := backup.Folder(dir).Create(t.Context(), "sluice-20261123T214501Z.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := u.Abort(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestSweep removes what killed backups have left, and nothing else.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	const gone = ".sluice-20261123T214501Z.tar.zst.partial-123456789"
	const goneToo = ".sluice-20261122T214501Z-before-0012_x.tar.zst.age.partial-1"
	old := []string{
		gone, goneToo,
		"sluice-20261123T214501Z.tar.zst", "sluice-20261123T214501Z.tar.zst.partial-1",
		".sluice-20261123T214501Z.tar.zst.partial-", ".sluice-20261123T214501Z.tar.zst.partial-1.txt",
		".sluice-mine.tar.zst.partial-1", ".sluice-20261123T214501Z.tar.zst",
	}
	const young = ".sluice-20261124T214501Z.tar.zst.partial-1"
	for _, name := range append(slices.Clone(old), young) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("keys"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range old {
		if err := os.Chtimes(filepath.Join(dir, name), now, now.Add(-25*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	folder := ".sluice-20261121T214501Z.tar.zst.partial-1"
	if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := backup.Folder(dir).Sweep(now.Add(-24 * time.Hour))
	if err != nil || !cmp.Equal(got, []string{goneToo, gone}) {
		t.Errorf("removed %v, %v; want %v", got, err, []string{goneToo, gone})
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != len(old)-2+2 {
		t.Errorf("left are %v, %v", left, err)
	}
	if got, err := backup.Folder(filepath.Join(dir, "none")).Sweep(now); err != nil || got != nil {
		t.Errorf("a folder that is not there: %v, %v", got, err)
	}
}

func TestBucketFailures(t *testing.T) {
	t.Parallel()
	const name = "sluice-20261123T214501Z.tar.zst"
	write := func(b *backup.Bucket, n int) error {
		u, err := b.Create(t.Context(), name)
		if err != nil {
			return err
		}
		if _, err := u.Write(bytes.Repeat([]byte{1}, n)); err != nil {
			return errors.Join(err, u.Abort())
		}
		return u.Commit()
	}
	parts := func(r *http.Request) bool { return r.URL.Query().Has("partNumber") }
	for _, tc := range []struct {
		name string
		set  func(f *s3test.Server, b *backup.Bucket)
		want string // in the error; "" for success
	}{
		{"503 twice", func(f *s3test.Server, _ *backup.Bucket) {
			n := 0
			f.Fail = func(r *http.Request) int {
				if n++; parts(r) && n < 4 {
					return 503
				}
				return 0
			}
		}, ""},
		{"503 for ever", func(f *s3test.Server, _ *backup.Bucket) {
			f.Fail = func(r *http.Request) int {
				if parts(r) {
					return 503
				}
				return 0
			}
		}, "upload part 1: S3 answers 503"},
		{"a wrong key", func(_ *s3test.Server, b *backup.Bucket) { b.SecretKey = "wrong" }, "403 SignatureDoesNotMatch"},
		{"no such bucket", func(_ *s3test.Server, b *backup.Bucket) { b.Name = "other" }, "404 NoSuchBucket"},
		{"200, and an error", func(f *s3test.Server, _ *backup.Bucket) { f.Lie = true }, "InternalError: try again"},
		{"nobody there", func(f *s3test.Server, _ *backup.Bucket) { f.Close() }, "ask S3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := s3test.New(t)
			b := bucketOf(f, "")
			tc.set(f, b)
			err := write(b, 2500)
			if tc.want == "" {
				if objects, _ := f.Left(); err != nil || len(objects[name]) != 2500 {
					t.Errorf("%d bytes arrived, %v; want 2500", len(objects[name]), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
			if objects, uploads := f.Left(); len(objects) != 0 || uploads != 0 {
				t.Errorf("left behind: %d objects, %d uploads", len(objects), uploads)
			}
		})
	}
}

// TestBucketOfAStranger: not every 2xx is a backup.
func TestBucketOfAStranger(t *testing.T) {
	t.Parallel()
	f := s3test.New(t)
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		stored bool
	}{
		"a page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<!doctype html><title>Welcome</title>")
		}, false},
		"a page with a tag": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("ETag", `"37-x"`)
			io.WriteString(w, "<!doctype html><title>Welcome</title>")
		}, false},
		"a weak tag": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", `W/"0-x"`) }, false},
		"nothing":    {func(http.ResponseWriter, *http.Request) {}, false},
		"accepted":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, false},
		"stored, without a tag": {func(w http.ResponseWriter, r *http.Request) {
			f.ServeHTTP(w, r)
			w.Header().Del("ETag")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(tc.answer)
			t.Cleanup(s.Close)
			b := bucketOf(f, "")
			b.Endpoint, b.Client = s.URL, s.Client()
			u, err := b.Create(t.Context(), "sluice-20261123T214501Z.tar.zst")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(u, "an archive"); err != nil {
				t.Fatal(err)
			}
			err = u.Commit()
			if tc.stored && err != nil {
				t.Errorf("stored, and yet: %v", err)
			}
			if !tc.stored && (err == nil || !strings.Contains(err.Error(), "it does not speak S3")) {
				t.Errorf("got %v, want that it does not speak S3", err)
			}
		})
	}
}
