package spool

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

const (
	segmentMagic = "SLUICE01"
	segmentHead  = 128
	segmentExt   = ".seg"

	formatVersion = 1

	// MaxHead is the room for Options.Head in a segment's header, in bytes.
	MaxHead = 64
)

// CorruptionError is damage to what the spool wrote earlier, with its place.
// Records that are not affected are delivered all the same.
type CorruptionError struct {
	File   string // in the spool's directory
	Offset int64
	Err    error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("spool file %s damaged at byte %d: %v", e.File, e.Offset, e.Err)
}

func (e *CorruptionError) Unwrap() error { return e.Err }

var (
	errBadHeader = errors.New("segment header: checksum does not match")
	errRot       = errors.New("invalid frame with valid ones behind it")
	errMissing   = errors.New("records are missing here")
)

// header opens a segment.
type header struct {
	base uint64
	salt uint64
	id   uuid.UUID
	head []byte // at most MaxHead
}

func (h header) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, segmentHead)
	copy(b, segmentMagic)
	be.PutUint64(b[8:], h.base)
	be.PutUint64(b[16:], h.salt)
	be.PutUint32(b[24:], formatVersion)
	be.PutUint32(b[28:], uint32(len(h.head)))
	copy(b[32:], h.id[:])
	copy(b[48:], h.head)
	be.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
	return b
}

// decodeHeader reports errBadHeader for bytes that were damaged, and another
// error for a whole header that this version cannot read.
func decodeHeader(b []byte) (header, error) {
	be := binary.BigEndian
	if len(b) < segmentHead || be.Uint32(b[124:]) != crc32.Checksum(b[:124], castagnoli) ||
		!bytes.HasPrefix(b, []byte(segmentMagic)) {
		return header{}, errBadHeader
	}
	if v := be.Uint32(b[24:]); v != formatVersion {
		return header{}, fmt.Errorf("segment format version %d, this program reads %d", v, formatVersion)
	}
	n := be.Uint32(b[28:])
	if n > MaxHead {
		return header{}, fmt.Errorf("segment head of %d bytes", n)
	}
	return header{
		base: be.Uint64(b[8:]), salt: be.Uint64(b[16:]),
		id: uuid.UUID(b[32:48]), head: bytes.Clone(b[48 : 48+n]),
	}, nil
}

func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func segmentName(base uint64) string { return fmt.Sprintf("%020d%s", base, segmentExt) }

func parseSegmentName(name string) (base uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentExt)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 10, 64)
	return base, err == nil
}

// segment is what the spool knows of one segment file. All but base, name and
// salt are guarded by Spool.mu.
type segment struct {
	base uint64
	name string
	salt uint64

	size int64  // on disk
	end  int64  // readers stop here: all before is committed
	next uint64 // the seq after its last committed record

	damaged bool // moved to the quarantine, not removed, when done with
}

// scanner walks the frames of a segment and steps over damage. It is used by
// recovery, which sets limit to the file's size, and by readers, which set it
// to what is committed.
type scanner struct {
	f      file
	salt   uint64
	off    int64
	limit  int64
	expect uint64 // seq of the next frame
	bound  uint64 // frames from this seq on are void: a later segment took over

	// lost is called for records that are not there: from..to, found at off.
	lost func(from, to uint64, off int64, why error)

	win    window
	footer bool  // the segment was closed on purpose
	dirty  int64 // at the end: how many bytes behind off are not zero
}

func newScanner(f file, seg *segment) *scanner {
	return &scanner{
		f: f, salt: seg.salt, off: segmentHead, expect: seg.base, bound: math.MaxUint64,
		lost: func(uint64, uint64, int64, error) {},
		win:  window{f: f},
	}
}

// next returns the next valid frame, or false at the end: at limit, at a
// footer, or where nothing valid follows. Its payload holds until the next
// call.
func (sc *scanner) next() (frame, bool, error) {
	if sc.footer || sc.off >= sc.limit {
		return frame{}, false, nil
	}
	at, why := sc.off, errMissing
	f, ok, err := sc.frameAt(&sc.win, sc.off)
	if err != nil {
		return frame{}, false, err
	}
	if !ok {
		found, dirty, err := sc.resync()
		if err != nil {
			return frame{}, false, err
		}
		if found < 0 {
			sc.dirty = dirty
			return frame{}, false, nil
		}
		sc.off, why = found, errRot
		if f, ok, err = sc.frameAt(&sc.win, found); err != nil || !ok {
			return frame{}, false, fmt.Errorf("frame at %d changed while it was read: %w", found, err)
		}
	}
	if f.first >= sc.bound {
		return frame{}, false, nil
	}
	if f.first > sc.expect {
		sc.lost(sc.expect, f.first-1, at, why)
	}
	sc.off += f.size
	sc.expect = f.next()
	if f.footer() {
		sc.footer = true
		return frame{}, false, nil
	}
	return f, true, nil
}

// frameAt returns the frame at off if there is a valid one that may come next.
func (sc *scanner) frameAt(w *window, off int64) (frame, bool, error) {
	if off+frameHead > sc.limit {
		return frame{}, false, nil
	}
	b, err := w.bytes(off, frameHead, sc.limit)
	if err != nil {
		return frame{}, false, err
	}
	size, ok := frameSize(b)
	if !ok || size > sc.limit-off || binary.BigEndian.Uint64(b[24:]) != sc.salt {
		return frame{}, false, nil
	}
	if b, err = w.bytes(off, size, sc.limit); err != nil {
		return frame{}, false, err
	}
	f, ok := parseFrame(b)
	return f, ok && f.first >= sc.expect, nil
}

// resync looks behind an invalid frame for a valid one. Without one, found is
// -1 and dirty the length from sc.off to the last byte that is not zero.
func (sc *scanner) resync() (found, dirty int64, err error) {
	look, probe := window{f: sc.f}, window{f: sc.f}
	for off := sc.off; off < sc.limit; {
		n := min(windowBytes, sc.limit-off)
		b, err := look.bytes(off, n, sc.limit)
		if err != nil {
			return 0, 0, err
		}
		for i := 0; i < len(b); i += frameAlign {
			word := b[i:min(i+frameAlign, len(b))]
			if len(word) == frameAlign && binary.BigEndian.Uint64(word) == 0 {
				continue
			}
			at := off + int64(i)
			if last := bytes.TrimRight(word, "\x00"); len(last) > 0 {
				dirty = at + int64(len(last)) - sc.off
			}
			if len(word) < frameAlign || binary.BigEndian.Uint32(word) != frameMagic {
				continue
			}
			if _, ok, err := sc.frameAt(&probe, at); err != nil || ok {
				return at, 0, err
			}
		}
		off += n
	}
	return -1, dirty, nil
}

// salvageSalt recovers the salt of a segment whose header is damaged: as the
// header still says, or else as its first frame does, whichever validates a
// frame. It does not look further for one: a visitor's text could hold bytes
// made to look like a frame, but cannot know the salt.
func salvageSalt(f file, base uint64, size int64) (salt uint64, ok bool, err error) {
	n := min(size, segmentHead+frameHead)
	b, err := (&window{f: f}).bytes(0, n, size)
	if err != nil || n < segmentHead+frameHead {
		return 0, false, err
	}
	for _, at := range []int{16, segmentHead + 24} {
		salt := binary.BigEndian.Uint64(b[at:])
		sc := newScanner(f, &segment{base: base, salt: salt})
		sc.limit = size
		if _, ok, err := sc.next(); err != nil || ok {
			return salt, ok, err
		}
	}
	return 0, false, nil
}

// windowBytes is how much of a segment a reader holds, unless one frame is
// longer.
const windowBytes = 256 << 10

// window reads a file ahead through one buffer. What it has read must not
// change any more.
type window struct {
	f     file
	start int64
	buf   []byte
}

// bytes returns n bytes at off, none of them at or behind limit. They hold
// until the next call.
func (w *window) bytes(off, n, limit int64) ([]byte, error) {
	if off >= w.start && off+n <= w.start+int64(len(w.buf)) {
		return w.buf[off-w.start:][:n], nil
	}
	ahead := max(n, min(windowBytes, limit-off))
	if int64(cap(w.buf)) < ahead {
		w.buf = make([]byte, 0, ahead)
	}
	w.start, w.buf = off, w.buf[:ahead]
	if got, err := w.f.ReadAt(w.buf, off); int64(got) < ahead {
		w.buf = w.buf[:0]
		return nil, fmt.Errorf("read %d bytes at %d: %w", ahead, off, err)
	}
	return w.buf[:n], nil
}
