package forward

import (
	"encoding/binary"
	"errors"
	"time"

	"sluice/collector/spool"
	"sluice/consent"
)

// waiting is an event in a queue, with what has been tried.
type waiting struct {
	due                  time.Time
	began                time.Time // of the first attempt; zero: there was none
	attempts, unanswered int
	spool                consent.ID // the server's, as it was then; zero: a record of version 1
	seq                  uint64     // of the event in it
	event                []byte     // its encoding there
	back                 bool       // it stood in the queue before, and let others go first

	queued bool   // it was read from a queue
	place  uint64 // in the queue, once it is there
}

// waitingVersion opens a record; fixedWaiting is the length before the event.
// Version 1 has no flags, no began and no spool.
const (
	waitingVersion = 2
	fixedWaiting1  = 1 + 8 + 4 + 2 + 8
	fixedWaiting   = fixedWaiting1 + 1 + 8 + 16
)

// flagBack says that a record was put back.
const flagBack = 1

// Kind implements [spool.Entry].
func (w *waiting) Kind() spool.Kind { return spool.KindEvent }

// Commit appends version u8, due i64 (Unix ms), attempts u32, unanswered u16,
// seq u64, flags u8, began i64 (Unix ns; 0: never), spool [16], the event. Big
// endian.
func (w *waiting) Commit(dst []byte, seq uint64) ([]byte, bool) {
	w.place = seq
	be := binary.BigEndian
	dst = append(dst, waitingVersion)
	dst = be.AppendUint64(dst, uint64(w.due.UnixMilli()))
	dst = be.AppendUint32(dst, uint32(w.attempts))
	dst = be.AppendUint16(dst, uint16(w.unanswered))
	dst = be.AppendUint64(dst, w.seq)
	flags, began := byte(0), int64(0)
	if w.back {
		flags |= flagBack
	}
	if !w.began.IsZero() {
		began = w.began.UnixNano()
	}
	dst = be.AppendUint64(append(dst, flags), uint64(began))
	return append(append(dst, w.spool[:]...), w.event...), true
}

var errWaitingEncoding = errors.New("not a waiting event of version 1 or 2")

func decodeWaiting(b []byte) (waiting, error) {
	fixed := fixedWaiting
	if len(b) > 0 && b[0] == 1 {
		fixed = fixedWaiting1
	}
	if len(b) < fixed || b[0] != 1 && b[0] != waitingVersion {
		return waiting{}, errWaitingEncoding
	}
	be := binary.BigEndian
	w := waiting{
		due: time.UnixMilli(int64(be.Uint64(b[1:]))), attempts: int(be.Uint32(b[9:])), unanswered: int(be.Uint16(b[13:])),
		seq: be.Uint64(b[15:]), event: b[fixed:], queued: true,
	}
	if fixed == fixedWaiting1 {
		return w, nil
	}
	rest := b[fixedWaiting1:]
	w.back, w.spool = rest[0]&flagBack != 0, consent.ID(rest[9:25])
	if began := int64(be.Uint64(rest[1:])); began != 0 {
		w.began = time.Unix(0, began)
	}
	return w, nil
}
