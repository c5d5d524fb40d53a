package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// reached is what a server built with the tag failpoints says when it has come
// to its failpoint, where it waits to be killed.
const reached = "failpoint reached"

// failpoints are the moments between an accepted event and the removal of its
// segment, in their order. A point of the spool is an operation on its disk,
// see collector/spool/fs_failpoints.go; the others are in the front of
// ClickHouse.
type failpoint struct {
	name  string
	spool string // SLUICE_FAILPOINT
	front func(h *held, r *http.Request, pass func())
}

var failpoints = []failpoint{
	{name: "before the batch's bounds are on disk", spool: "before rename clickhouse.cur.tmp"},
	{name: "after the batch's bounds are on disk", spool: "after rename clickhouse.cur.tmp"},
	{name: "before the INSERT, which never comes", front: func(h *held, _ *http.Request, _ func()) {
		h.wait()
		panic(http.ErrAbortHandler)
	}},
	{name: "before the INSERT, which comes when its sender is dead", front: func(h *held, _ *http.Request, pass func()) {
		h.wait()
		pass()
	}},
	{name: "after the INSERT, before its answer", front: func(h *held, _ *http.Request, pass func()) {
		pass()
		h.wait()
	}},
	{name: "before the cursor is written", spool: "before write clickhouse.cur"},
	{name: "after the cursor is written, before it is synced", spool: "after write clickhouse.cur"},
	{name: "after the cursor is synced", spool: "after sync clickhouse.cur"},
	{name: "before a segment is removed", spool: "before remove *.seg"},
	{name: "after a segment is removed", spool: "after remove *.seg"},
}

// held is a request that waits at the front of ClickHouse.
type held struct {
	once     sync.Once
	there    chan struct{} // closed when it has come
	release  chan struct{} // closed when it may go on
	finished chan struct{} // closed when it has
}

func newHeld() *held {
	return &held{there: make(chan struct{}), release: make(chan struct{}), finished: make(chan struct{})}
}

func (h *held) wait() {
	close(h.there)
	<-h.release
}

// hold makes the next INSERT of events go through front, with its whole body
// and whatever becomes of its sender.
func (c *clickhouse) hold(h *held, front func(h *held, r *http.Request, pass func())) {
	around := func(r *http.Request, pass func()) {
		first := false
		if inserts(r, "events") {
			h.once.Do(func() { first = true })
		}
		if !first {
			pass()
			return
		}
		defer close(h.finished)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		// A context that could not end at all would have the proxy ask the
		// connection whether the sender is still there.
		alive, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		*r = *r.WithContext(alive)
		r.Body = io.NopCloser(bytes.NewReader(body))
		front(h, r, pass)
	}
	c.around.Store(&around)
}

// TestFailpoints stops the server at each point in turn, withdraws a consent
// there, and kills it. The next run, for which ClickHouse is away, knows the
// withdrawal, and in the end each event is there once.
func TestFailpoints(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a server")
	}
	binary := filepath.Join(t.TempDir(), "sluice")
	build := exec.Command("go", "build", "-tags", "failpoints", "-o", binary, "sluice")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with failpoints: %v\n%s", err, out)
	}
	for _, part := range []struct {
		name   string
		points []failpoint
	}{{"the first", failpoints[:len(failpoints)/2]}, {"the others", failpoints[len(failpoints)/2:]}} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			stopAt(t, binary, part.points)
		})
	}
}

// stopAt goes through failpoints with one data directory.
func stopAt(t *testing.T, binary string, points []failpoint) {
	ch, g := newClickHouse(t), newGoogle(t)
	p := newProcess(t, "", ch.settings()+sitesFor(g.URL))
	p.binary, p.env = binary, nil
	l := startLoad(t, p, 0, 1000)
	visit := func(n int) *visitor {
		v := &visitor{load: l, n: n, site: []string{keepSite, eraseSite}[n%2], client: newClient()}
		v.decide()
		if v.now == nil {
			t.Fatal("no grant")
		}
		v.send(v.paths(3))
		return v
	}
	p.open()
	stays := visit(0)
	p.drained()
	p.leave()
	for i, point := range points {
		t.Log(point.name)
		h := newHeld()
		if point.front != nil {
			ch.hold(h, point.front)
		}
		p.env = []string{"SLUICE_FAILPOINT=" + point.spool}
		before := strings.Count(p.logs.String(), reached)
		p.open()
		leaves := visit(i + 1)
		stays.send(stays.paths(2))
		p.within("the failpoint is reached", func() error {
			select {
			case <-h.there:
				return nil
			default:
			}
			if strings.Count(p.logs.String(), reached) == before {
				return errors.New("not yet")
			}
			return nil
		})
		leaves.withdraw()
		p.kill()

		ch.cut()
		p.env = nil
		p.open()
		if got, want := l.stillWithdrawn(), i+1; got != want {
			t.Errorf("%d tokens are withdrawn, want %d", got, want)
		}
		stays.send(stays.paths(2))
		ch.mend()
		if point.front != nil {
			// The next run delivers while the old request is still on its way.
			p.drained()
			close(h.release)
			<-h.finished
		}
		ch.around.Store(nil)
		p.drained()
		l.verify()
		if t.Failed() {
			t.FailNow()
		}
		p.leave()
	}
	l.verifyGoogle(g)
	p.verifyLedger()
	wantNoTrace(t, p)
}
