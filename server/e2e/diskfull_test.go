package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a disk of so many bytes in memory, or skips the test where
// that is not allowed.
func smallDisk(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skip("a small disk cannot be mounted here (it takes root): ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room of a disk.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		switch n, err := f.Write(chunk); {
		case errors.Is(err, unix.ENOSPC) && n == 0:
			chunk = chunk[:len(chunk)/2]
		case err != nil && !errors.Is(err, unix.ENOSPC):
			t.Fatal(err)
		}
	}
}

// TestDiskFull takes all the room of the server's disk under 16 writing
// visitors, kills the server on it now and then, and gives the room back:
// without room nobody is promised anything, with room again the server accepts
// unaided, and in the end each promised event is there once.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	disk := smallDisk(t, "32m")
	ch, g := newClickHouse(t), newGoogle(t)
	p := newProcess(t, filepath.Join(disk, "data"), ch.settings()+sitesFor(g.URL))
	p.open()
	l := startLoad(t, p, 16, 400, keepSite, eraseSite)
	for round := range max(4, tortureRounds(t)/10) {
		ch.cut() // or delivered segments would make room again and again
		l.awaitEvents(100)
		fill(t, disk)
		begun := l.book.refused.Load()
		l.awaitRefusals(50)
		if round%2 == 1 {
			p.kill()
			p.begin()
			p.within("the doors open on a full disk", func() error { return answers(p.metrics + "/healthz") })
			fill(t, disk) // what the old run had prepared
			l.awaitRefusals(20)
		}
		status, body, err := p.ask(newClient(), http.MethodPost, "/_s/d", keepSite,
			`{"site":"keep.example","purposes":{"analytics":true},"method":"accept_all","notice":"1"}`)
		if err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("a decision on a full disk: %d %s %v, want 503", status, body, err)
		}
		if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
			t.Fatal(err)
		}
		room := time.Now()
		l.awaitEvents(1)
		t.Logf("round %d: %d requests refused; accepting again %v after there was room",
			round+1, l.book.refused.Load()-begun, time.Since(room).Round(time.Millisecond))
		ch.mend()
		l.awaitEvents(100)
	}
	l.stop()
	tokens := l.stillWithdrawn()
	p.drained()
	l.verify()
	l.verifyGoogle(g)
	p.leave()
	p.verifyLedger()
	t.Logf("%d events promised, %d requests refused, %d tokens withdrawn", l.book.events.Load(), l.book.refused.Load(), tokens)
}

// awaitRefusals waits until n more requests were told to come back.
func (l *load) awaitRefusals(n int64) {
	l.t.Helper()
	want := l.book.refused.Load() + n
	l.p.within("requests are refused", func() error {
		if got := l.book.refused.Load(); got < want {
			return fmt.Errorf("%d are missing", want-got)
		}
		return nil
	})
}
