package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

var errCrashed = errors.New("simulated disk has crashed")

// memDisk is a disk in memory that knows what a power cut would leave: synced
// bytes for sure, of the rest any subset of sectors, some of them noise; and
// any prefix of the names created, renamed and removed since their directory
// was synced.
type memDisk struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	names   map[string]*inode // as the running process sees them
	durable map[string]*inode // as of the last syncDir
	pending []func(map[string]*inode)
	locked  bool

	capacity int64 // bytes in files; 0: no limit

	ops     int // so far
	crashAt int // the op that does not happen any more; 0: never
	fail    func(op int, what, name string) error
}

type inode struct {
	live    []byte
	synced  []byte
	changed []span // written since the last sync
}

type span struct{ off, end int64 }

func newMemDisk(seed uint64) *memDisk {
	return &memDisk{
		rnd:   rand.New(rand.NewPCG(seed, 1)),
		names: map[string]*inode{}, durable: map[string]*inode{},
	}
}

const sector = 512

// op counts one operation. It fails once the disk has crashed.
func (d *memDisk) op(what, name string) error {
	d.ops++
	if d.crashAt > 0 && d.ops >= d.crashAt {
		return errCrashed
	}
	if d.fail != nil {
		return d.fail(d.ops, what, name)
	}
	return nil
}

// crash returns the disk as it is found after the power comes back.
func (d *memDisk) crash() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := newMemDisk(d.rnd.Uint64())
	next.capacity = d.capacity
	names := maps.Clone(d.durable)
	for _, change := range d.pending[:d.rnd.IntN(len(d.pending)+1)] {
		change(names)
	}
	for name, n := range names {
		left := n.afterCrash(d.rnd)
		next.names[name] = &inode{live: left, synced: bytes.Clone(left)}
		next.durable[name] = next.names[name]
	}
	return next
}

// afterCrash keeps, of each changed sector, the old or the new bytes, or noise
// in the place of the new ones. Bytes that were synced and not overwritten keep
// their value: a sector is written whole or not at all.
func (n *inode) afterCrash(rnd *rand.Rand) []byte {
	out := bytes.Clone(n.synced)
	if len(n.live) != len(n.synced) && rnd.IntN(2) == 0 {
		out = resize(out, len(n.live))
	}
	for _, s := range n.changed {
		for off := s.off; off < s.end; {
			end := min((off/sector+1)*sector, s.end)
			fate := rnd.IntN(8)
			for i := off; i < end && i < int64(len(out)) && i < int64(len(n.live)); i++ {
				switch {
				case fate == 0:
					out[i] = byte(rnd.Uint32())
				case fate < 5:
					out[i] = n.live[i]
				}
			}
			off = end
		}
	}
	return out
}

// resize cuts b, or lengthens it with zeros.
func resize(b []byte, size int) []byte {
	return append(b, make([]byte, max(0, size-len(b)))...)[:size]
}

func (d *memDisk) change(f func(map[string]*inode)) {
	f(d.names)
	d.pending = append(d.pending, f)
}

func (d *memDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("create", name); err != nil {
		return nil, err
	}
	n := &inode{}
	d.change(func(m map[string]*inode) { m[name] = n })
	return &memFile{d, n, name}, nil
}

func (d *memDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("open", name); err != nil {
		return nil, err
	}
	n := d.names[name]
	if n == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &memFile{d, n, name}, nil
}

func (d *memDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("rename", from); err != nil {
		return err
	}
	n := d.names[from]
	if n == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	d.change(func(m map[string]*inode) { delete(m, from); m[to] = n })
	return nil
}

func (d *memDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("remove", name); err != nil {
		return err
	}
	if d.names[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	d.change(func(m map[string]*inode) { delete(m, name) })
	return nil
}

func (d *memDisk) list(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("list", dir); err != nil {
		return nil, err
	}
	var names []string
	for name := range d.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *memDisk) mkdir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.op("mkdir", dir)
}

// syncDir makes all names durable, of every directory: the spool renames
// between two of them only to set damaged files aside.
func (d *memDisk) syncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("syncDir", dir); err != nil {
		return err
	}
	d.durable, d.pending = maps.Clone(d.names), nil
	return nil
}

func (d *memDisk) lock(string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, ErrLocked
	}
	d.locked = true
	return memLock{d}, nil
}

type memLock struct{ d *memDisk }

func (l memLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	l.d.locked = false
	return nil
}

// setFail makes operations fail from now on; nil: none.
func (d *memDisk) setFail(f func(op int, what, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// room is how many bytes files can still grow by.
func (d *memDisk) room() int64 {
	if d.capacity == 0 {
		return math.MaxInt64
	}
	left := d.capacity
	for _, n := range d.names {
		left -= int64(len(n.live))
	}
	return max(0, left)
}

// fill takes all the room there is but some bytes, and nothing for -1.
func (d *memDisk) fill(but int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, "other")
	delete(d.durable, "other")
	if but >= 0 {
		d.put("other", make([]byte, max(0, d.room()-but)))
	}
}

// count returns how many operations there have been.
func (d *memDisk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// put places a durable file.
func (d *memDisk) put(name string, b []byte) {
	n := &inode{live: bytes.Clone(b), synced: bytes.Clone(b)}
	d.names[name], d.durable[name] = n, n
}

// holds tells whether any file contains s.
func (d *memDisk) holds(s string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.names {
		if strings.Contains(string(n.live), s) {
			return true
		}
	}
	return false
}

type memFile struct {
	d    *memDisk
	n    *inode
	name string
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.crashAt > 0 && f.d.ops >= f.d.crashAt {
		return 0, errCrashed
	}
	if off >= int64(len(f.n.live)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.live[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.d.op("write", f.name)
	if errors.Is(err, errCrashed) && f.d.ops > f.d.crashAt {
		return 0, err // long dead; at the op of the crash the write was under way
	}
	end := off + int64(len(p))
	if grow := end - int64(len(f.n.live)); grow > 0 {
		if room := f.d.room(); err == nil && grow > room {
			// What fits is written, as by pwrite.
			p, err = p[:max(0, int64(len(p))-grow+room)], &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
			end = off + int64(len(p))
			grow = max(0, end-int64(len(f.n.live)))
		}
		f.n.live = append(f.n.live, make([]byte, grow)...)
	}
	copy(f.n.live[off:], p)
	f.n.changed = append(f.n.changed, span{off, end})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *memFile) sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op("sync", f.name); err != nil {
		if !errors.Is(err, errCrashed) {
			f.n.changed = nil // as Linux does: the pages count as clean, and never get there
		}
		return err
	}
	f.n.synced = resize(f.n.synced, len(f.n.live))
	for _, s := range f.n.changed {
		if end := min(s.end, int64(len(f.n.live))); s.off < end {
			copy(f.n.synced[s.off:], f.n.live[s.off:end])
		}
	}
	f.n.changed = nil
	return nil
}

func (f *memFile) truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op("truncate", f.name); err != nil {
		return err
	}
	f.n.live = f.n.live[:size:size]
	return nil
}

func (f *memFile) size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.n.live)), nil
}

func (f *memFile) Close() error { return nil }
