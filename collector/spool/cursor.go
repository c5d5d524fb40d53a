package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/google/uuid"
)

const (
	cursorMagic = 0x534c4355 // "SLCU"
	cursorExt   = ".cur"
	slotBytes   = 128
	slotStride  = 4096
	cursorBytes = 2 * slotStride
)

// position is where a consumer stands. First, last, attempt and sum describe
// the batch in flight; last is 0 without one.
type position struct {
	generation  uint64
	next        uint64
	first, last uint64
	attempt     uint32
	sum         uint32
}

func (p position) inFlight() bool { return p.last != 0 }

// slot is where this position is written.
func (p position) slot() int64 { return int64(p.generation%2) * slotStride }

var errBadSlot = errors.New("cursor slot: checksum does not match")

func encodeSlot(id uuid.UUID, p position) []byte {
	be := binary.BigEndian
	b := make([]byte, slotBytes)
	be.PutUint32(b[0:], cursorMagic)
	be.PutUint32(b[4:], formatVersion)
	copy(b[8:], id[:])
	be.PutUint64(b[24:], p.generation)
	be.PutUint64(b[32:], p.next)
	be.PutUint64(b[40:], p.first)
	be.PutUint64(b[48:], p.last)
	be.PutUint32(b[56:], p.attempt)
	be.PutUint32(b[60:], p.sum)
	if p.inFlight() {
		be.PutUint32(b[64:], 1)
	}
	be.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
	return b
}

func decodeSlot(b []byte) (uuid.UUID, position, error) {
	be := binary.BigEndian
	if len(b) < slotBytes || be.Uint32(b) != cursorMagic || be.Uint32(b[124:]) != crc32.Checksum(b[:124], castagnoli) {
		return uuid.Nil, position{}, errBadSlot
	}
	if v := be.Uint32(b[4:]); v != formatVersion {
		return uuid.Nil, position{}, fmt.Errorf("cursor format version %d, this program reads %d", v, formatVersion)
	}
	p := position{
		generation: be.Uint64(b[24:]), next: be.Uint64(b[32:]),
		first: be.Uint64(b[40:]), last: be.Uint64(b[48:]),
		attempt: be.Uint32(b[56:]), sum: be.Uint32(b[60:]),
	}
	if p.inFlight() != (be.Uint32(b[64:]) == 1) || p.inFlight() && (p.first != p.next || p.last < p.first) {
		return uuid.Nil, position{}, fmt.Errorf("cursor slot: batch %d..%d in flight at %d", p.first, p.last, p.next)
	}
	return uuid.UUID(b[8:24]), p, nil
}

// decodeCursor picks the newer valid slot. A crash can tear the slot that was
// being written, so one bad slot is no damage.
func decodeCursor(b []byte, id uuid.UUID) (position, error) {
	var best position
	var errs []error
	for at := int64(0); at < cursorBytes; at += slotStride {
		owner, p, err := decodeSlot(b[min(at, int64(len(b))):])
		if err == nil && owner != id {
			err = fmt.Errorf("cursor slot: of spool %s, not %s", owner, id)
		}
		if err == nil && p.slot() != at {
			err = errors.New("cursor slot: in the other one's place")
		}
		if err != nil {
			errs = append(errs, err)
		} else if p.generation > best.generation {
			best = p
		}
	}
	if best.generation == 0 {
		return position{}, errors.Join(errs...)
	}
	return best, nil
}

// cursor is a consumer's position on disk. One goroutine at a time.
type cursor struct {
	disk disk
	id   uuid.UUID
	name string // of the file
	file file   // nil: the next save writes a new file
	position
}

// openCursor reads a cursor file.
func openCursor(d disk, id uuid.UUID, name string) (*cursor, error) {
	b, err := readWhole(d, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	p, err := decodeCursor(b, id)
	if err != nil {
		return nil, &CorruptionError{File: name, Err: fmt.Errorf(
			"%w; restore the file, or remove it to deliver everything that is still in the spool once more", err)}
	}
	return &cursor{disk: d, id: id, name: name, position: p}, nil
}

// save makes p durable. After an error either position may be on disk, and
// what was written is not synced again: the next save replaces the file.
func (c *cursor) save(p position) error {
	p.generation = c.generation + 1
	if err := c.write(p); err != nil {
		return fmt.Errorf("save cursor %s: %w", c.name, err)
	}
	c.position = p
	return nil
}

func (c *cursor) write(p position) error {
	b := encodeSlot(c.id, p)
	if c.file == nil {
		whole := make([]byte, cursorBytes)
		copy(whole[p.slot():], b)
		if err := writeNew(c.disk, c.name, whole); err != nil {
			return err
		}
		f, err := c.disk.open(c.name)
		if err != nil {
			return err
		}
		c.file = f
		return nil
	}
	_, err := c.file.WriteAt(b, p.slot())
	if err == nil {
		err = c.file.sync()
	}
	if err != nil {
		return errors.Join(err, c.close())
	}
	return nil
}

func (c *cursor) close() error {
	if c.file == nil {
		return nil
	}
	f := c.file
	c.file = nil
	return f.Close()
}

// checkName accepts what makes a safe file name everywhere.
func checkName(name string) error {
	foreign := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_", r) }
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, foreign) {
		return fmt.Errorf("consumer name %q: want 1 to 64 of a-z, 0-9, - and _", name)
	}
	return nil
}
