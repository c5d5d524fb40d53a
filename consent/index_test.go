package consent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func testIndex() (*Index, Position) {
	x := NewIndex()
	x.Apply(uuid.MustParse("11111111-1111-4111-8111-111111111111"), &Cut{Latest: 7, All: Forever, Expires: 4_000_000_000})
	x.Apply(uuid.MustParse("22222222-2222-4222-8222-222222222222"), &Cut{
		Latest: 8, Purposes: map[Purpose]uint32{Analytics: 8}, Services: map[string]uint32{"hotjar": 8}, Expires: 4_000_000_000,
	})
	x.Apply(uuid.MustParse("33333333-3333-4333-8333-333333333333"), &Cut{Latest: 9, Expires: 4_000_000_000})
	x.Bury(uuid.MustParse("44444444-4444-4444-8444-444444444444"), uuid.MustParse("55555555-5555-4555-8555-555555555555"), 42, time.Unix(4_000_000_000, 0))
	at := Position{
		Spool: uuid.MustParse("55555555-5555-4555-8555-555555555555"), Seq: 99,
		Head: Head{ChainID: uuid.MustParse("66666666-6666-4666-8666-666666666666"), N: 3, Hash: "abc"},
		Keys: map[string]uint32{"01020304": 1},
	}
	return x, at
}

func TestIndexSaveLoad(t *testing.T) {
	t.Parallel()
	x, at := testIndex()
	path := filepath.Join(t.TempDir(), "consent.idx")
	for range 2 { // the second replaces the first
		if err := x.Save(path, at); err != nil {
			t.Fatal(err)
		}
	}
	got, gotAt, err := LoadIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(x.cuts, got.cuts) + cmp.Diff(x.tombs, got.tombs) + cmp.Diff(at, gotAt); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v; want no temporary one left", len(files), err)
	}
}

func TestIndexMissing(t *testing.T) {
	t.Parallel()
	if _, _, err := LoadIndex(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

// Whatever happens to the file, a withdrawn consent must not come back to
// life: each byte changed, each length cut, lines doubled, dropped or swapped.
func TestIndexDamaged(t *testing.T) {
	t.Parallel()
	x, at := testIndex()
	path := filepath.Join(t.TempDir(), "consent.idx")
	if err := x.Save(path, at); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, n int, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadIndex(path); !errors.Is(err, ErrDamagedIndex) {
			t.Fatalf("%s %d: %v, want ErrDamagedIndex", what, n, err)
		}
	}
	for n := range whole {
		for _, mask := range []byte{0x01, 0x20, 0x80} {
			changed := append([]byte{}, whole...)
			changed[n] ^= mask
			refuse("changed byte", n, changed)
		}
		refuse("cut to length", n, whole[:n])
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for n := range len(lines) - 1 {
		refuse("line dropped", n, []byte(strings.Join(append(append([]string{}, lines[:n]...), lines[n+1:]...), "")))
		refuse("line doubled", n, []byte(strings.Join(append(append([]string{}, lines[:n+1]...), lines[n:]...), "")))
	}
	refuse("bytes after the end", 1, append(append([]byte{}, whole...), '\n'))
}

func TestIndexOfAnotherVersion(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "consent.idx")
	lines := []byte("{\"v\":2,\"position\":{}}\n")
	if err := os.WriteFile(path, append(lines, trailer(lines)...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := LoadIndex(path)
	if err == nil || errors.Is(err, ErrDamagedIndex) || !strings.Contains(err.Error(), "layout 2") {
		t.Errorf("got %v, want an error that names the layout", err)
	}
}

func TestIndexSweep(t *testing.T) {
	t.Parallel()
	now := uint32(noon.Unix())
	ids := []ID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	x := NewIndex()
	x.Apply(ids[0], &Cut{All: Forever, Expires: now})
	x.Apply(ids[1], &Cut{All: Forever, Expires: now - 1})
	x.Seen(Receipt{ConsentID: ids[2], Issued: noon.Add(-time.Minute)})
	x.Seen(Receipt{ConsentID: ids[3], Issued: noon.Add(-2 * time.Minute)})
	x.Seen(Receipt{Time: noon}) // a refusal without a consent
	x.Bury(ids[0], uuid.New(), 1, noon)
	x.Bury(ids[1], uuid.New(), 1, noon.Add(-time.Second))
	x.Sweep(noon)
	for i, want := range []bool{true, false, true, false} {
		if got := x.Cut(ids[i]) != nil; got != want {
			t.Errorf("cut %d kept: %t, want %t", i, got, want)
		}
	}
	if cuts, tombs := x.Size(); cuts != 2 || tombs != 1 {
		t.Errorf("%d cuts and %d tombstones kept, want 2 and 1", cuts, tombs)
	}
}

func TestIndexErased(t *testing.T) {
	t.Parallel()
	x, consent, spool := NewIndex(), uuid.New(), uuid.New()
	x.Bury(consent, spool, 42, noon)
	for _, tc := range []struct {
		name    string
		consent ID
		spool   ID
		seq     uint64
		want    bool
	}{
		{"before the erasure", consent, spool, 41, true},
		{"the erasure itself", consent, spool, 42, true},
		{"after it", consent, spool, 43, false},
		{"of an earlier spool", consent, uuid.New(), 99, true},
		{"of somebody else", uuid.New(), spool, 1, false},
	} {
		if got := x.Erased(tc.consent, tc.spool, tc.seq); got != tc.want {
			t.Errorf("%s: erased %t, want %t", tc.name, got, tc.want)
		}
	}
}

// A withdrawal, and an erasure, returns only when no send that rests on the
// consent is still before its first byte, and no later one goes on.
func TestIndexHoldsBackTakingBack(t *testing.T) {
	t.Parallel()
	for name, takeBack := range map[string]func(x *Index, id ID){
		"withdrawal": func(x *Index, id ID) { x.Apply(id, &Cut{All: Forever}) },
		"erasure":    func(x *Index, id ID) { x.Bury(id, id, 1, time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, id := NewIndex(), uuid.New()
			sending, applying := make(chan struct{}), make(chan struct{})
			var sent atomic.Bool
			go x.Hold(func(now Held) {
				close(sending)
				<-applying
				for range 1000 { // every chance for it to return too early
					runtime.Gosched()
				}
				if now.Cut(id) != nil || now.Erased(id, id, 1) {
					t.Error("the consent was taken back in the middle of a send")
				}
				sent.Store(true)
			})
			<-sending
			close(applying)
			takeBack(x, id)
			if !sent.Load() {
				t.Error("it returned in the middle of a send")
			}
			x.Hold(func(now Held) {
				if now.Cut(id) == nil && !now.Erased(id, id, 1) {
					t.Error("a later send does not see it")
				}
			})
		})
	}
}

func TestWriteFileKeepsTheOldOnFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.Mkdir(path, 0o700); err != nil { // a folder cannot be replaced by a file
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("new"), 0o600); err == nil {
		t.Error("replaced a folder")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v; want the temporary one gone", len(files), err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder missing: %v", err)
	}
}
