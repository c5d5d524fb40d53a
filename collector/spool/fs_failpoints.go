//go:build failpoints

package spool

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// hostDisk is the operating system's, but for one operation, which
// SLUICE_FAILPOINT names: "before remove *.seg", "after sync clickhouse.cur".
// Whoever comes there says so on standard error and never goes on, so that a
// test can do something at exactly this moment and then kill the process.
// Built with the tag failpoints alone.
func hostDisk(dir string) disk {
	var p failpoint
	if words := strings.Fields(os.Getenv("SLUICE_FAILPOINT")); len(words) == 3 {
		p = failpoint{when: words[0], op: words[1], name: words[2]}
	}
	return stopDisk{osDisk{dir}, p}
}

type failpoint struct{ when, op, name string }

func (p failpoint) at(when, op, name string) {
	if matches, err := path.Match(p.name, name); p.when != when || p.op != op || err != nil || !matches {
		return
	}
	fmt.Fprintln(os.Stderr, "failpoint reached")
	select {}
}

// around stops before or after do, or lets it happen.
func (p failpoint) around(op, name string, do func() error) error {
	p.at("before", op, name)
	err := do()
	p.at("after", op, name)
	return err
}

type stopDisk struct {
	osDisk
	point failpoint
}

func (d stopDisk) create(name string) (file, error) {
	f, err := d.osDisk.create(name)
	return stopFile{f, d.point, name}, err
}

func (d stopDisk) open(name string) (file, error) {
	f, err := d.osDisk.open(name)
	return stopFile{f, d.point, name}, err
}

func (d stopDisk) rename(from, to string) error {
	return d.point.around("rename", from, func() error { return d.osDisk.rename(from, to) })
}

func (d stopDisk) remove(name string) error {
	return d.point.around("remove", name, func() error { return d.osDisk.remove(name) })
}

type stopFile struct {
	file
	point failpoint
	name  string
}

func (f stopFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.point.around("write", f.name, func() error {
		n, err = f.file.WriteAt(p, off)
		return err
	})
	return n, err
}

func (f stopFile) sync() error { return f.point.around("sync", f.name, f.file.sync) }
