package spool

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// slowDisk holds the first sync of a segment to come until it is let go.
type slowDisk struct {
	*memDisk
	once         sync.Once
	filling, off chan struct{}
}

func (d *slowDisk) create(name string) (file, error) {
	f, err := d.memDisk.create(name)
	if err == nil && strings.HasPrefix(name, "segment-") {
		f = &slowFile{f, d}
	}
	return f, err
}

type slowFile struct {
	file
	disk *slowDisk
}

func (f *slowFile) sync() error {
	f.disk.once.Do(func() {
		close(f.disk.filling)
		<-f.disk.off
	})
	return f.file.sync()
}

// TestCloseWhilePreparing: a spool that is closed at once, as where a start
// fails for another reason, has nothing to warn of.
func TestCloseWhilePreparing(t *testing.T) {
	t.Parallel()
	d := &slowDisk{memDisk: newMemDisk(1), filling: make(chan struct{}), off: make(chan struct{})}
	var log bytes.Buffer
	s, err := Open("", Options{disk: d, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	<-d.filling
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.ctx.Done()
	close(d.off)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("warns of its own end:\n%s", &log)
	}
	if names, err := d.list("."); err != nil || slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "segment-") }) {
		t.Errorf("left behind: %v, %v", names, err)
	}
}
