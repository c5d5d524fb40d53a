package spool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// writer is the committer: the one goroutine that gives out seqs and writes
// frames. Its fields are its own.
type writer struct {
	s    *Spool
	next uint64 // seq of the next record

	active   *segment // nil after open and after a failed write
	file     file     // of active
	capacity int64    // of active: behind it the next segment begins

	buf  []byte // of the frame
	head []byte // Options.Head, before the frame

	synced *landed // on disk, and not yet seen by readers
}

// landed is where a frame that is on disk ends.
type landed struct {
	segment *segment
	end     int64
	next    uint64        // seq of the record behind it
	took    time.Duration // to sync
}

// keptBuffer is the largest frame buffer that is kept for the next frame.
const keptBuffer = 4 * maxFramePayload

// run commits until the queue is closed and empty, then marks a clean end.
func (w *writer) run() {
	age := time.NewTicker(w.s.o.SegmentAge)
	defer age.Stop()
	var taken []*request
	for {
		var closed bool
		// Let those whom the last frame released queue again first. Without it half
		// of 64 busy producers miss each frame, and the two halves take turns.
		runtime.Gosched()
		taken, closed = w.s.queue.take(taken)
		if len(taken) == 0 {
			if closed {
				w.seal()
				return
			}
			select {
			case <-w.s.queue.wake:
			case <-age.C:
				w.retire()
			}
			continue
		}
		for rest := taken; len(rest) > 0; {
			n, err := w.commit(rest)
			w.s.o.Settled(err)
			w.publish() // and no sooner: who sees a record sees what it settled
			for _, r := range rest[:n] {
				r.done <- err
			}
			rest = rest[n:]
		}
		select {
		case <-age.C:
			w.retire()
		default:
		}
	}
}

// commit puts the first n of the waiting requests into one frame and on disk.
func (w *writer) commit(waiting []*request) (n int, err error) {
	w.head = w.head[:0]
	if w.s.o.Head != nil {
		w.head = w.s.o.Head(w.head)
	}
	if cap(w.buf) > keptBuffer {
		w.buf = nil
	}
	w.buf = append(w.buf[:0], make([]byte, frameHead)...)
	seq := w.next
	for n < len(waiting) {
		entries := waiting[n].entries
		full := seq-w.next+uint64(len(entries)) > maxFrameRecords || len(w.buf) > maxFramePayload
		if n > 0 && full {
			break
		}
		n++
		start := len(w.buf)
		for _, e := range entries {
			if w.encode(e, seq) {
				seq++
			}
			if len(w.buf)-start > maxAppendPayload {
				return n, ErrTooLarge
			}
		}
	}
	if seq == w.next {
		return n, nil
	}
	return n, w.write(seq)
}

// encode appends e's record to the frame, unless e declines.
func (w *writer) encode(e Entry, seq uint64) bool {
	start := len(w.buf)
	out, ok := e.Commit(appendRecordHead(w.buf), seq)
	if !ok {
		w.buf = w.buf[:start]
		return false
	}
	w.buf = out
	setRecordHead(w.buf[start:], e.Kind())
	return true
}

// write puts the frame of the records next..until-1 on disk. After an error the
// segment is given up: what the disk holds of the frame is unknown, and the
// segment that comes next begins at the frame's seq, which makes it void.
func (w *writer) write(until uint64) error {
	length := (int64(len(w.buf)) + frameAlign - 1) / frameAlign * frameAlign
	if err := w.place(length); err != nil {
		return err
	}
	off := w.active.end
	w.buf = sealFrame(w.buf, uint32(until-w.next), w.next, w.active.salt)
	if _, err := w.file.WriteAt(w.buf, off); err != nil {
		return w.abandon(fmt.Errorf("write segment %s at %d: %w", w.active.name, off, err))
	}
	start := time.Now()
	if err := w.file.sync(); err != nil {
		return w.abandon(fmt.Errorf("sync segment %s at %d: %w", w.active.name, off, err))
	}
	w.synced = &landed{w.active, off + length, until, time.Since(start)}
	w.next = until
	return nil
}

// publish shows readers the frame that has just been written, if any.
func (w *writer) publish() {
	if w.synced != nil {
		w.s.publish(*w.synced)
		w.synced = nil
	}
}

// place makes sure that length more bytes fit into the active segment.
func (w *writer) place(length int64) error {
	if w.active == nil || w.active.end+length > w.capacity && w.active.next > w.active.base {
		if err := w.roll(w.next); err != nil {
			return err
		}
	}
	err := w.s.reserve(w.active, w.active.end+length)
	if err != nil && w.s.isPrepared() {
		// It cannot grow, because the room is the next one's.
		if err := w.roll(w.next); err != nil {
			return err
		}
		return w.s.reserve(w.active, w.active.end+length)
	}
	return err
}

// abandon gives up the active segment after a failed write or sync.
func (w *writer) abandon(err error) error {
	w.s.log.Error("segment given up, the next append opens another", "segment", w.active.name, "err", err)
	w.s.mu.Lock()
	w.s.stats.failures++
	w.s.mu.Unlock()
	w.file.Close() // what it held is acknowledged or void
	w.active, w.file = nil, nil
	return fullOr(err)
}

// roll closes the active segment, if any, and starts the one with this base.
func (w *writer) roll(base uint64) error {
	if len(w.head) > MaxHead {
		return fmt.Errorf("start segment %d: head of %d bytes, at most %d fit", base, len(w.head), MaxHead)
	}
	w.seal()
	seg, f, capacity, err := w.s.startSegment(base, w.head)
	if err != nil {
		return fullOr(fmt.Errorf("start segment %d: %w", base, err))
	}
	w.active, w.file, w.capacity = seg, f, capacity
	return nil
}

// seal marks the clean end of the active segment and closes it. Everything in
// it is on disk already: where the mark cannot be written it is just missing.
func (w *writer) seal() {
	if w.active == nil {
		return
	}
	b := footerAt(w.active.end, w.next, w.active.salt)
	_, err := w.file.WriteAt(b, w.active.end)
	if err == nil {
		err = w.file.sync()
	}
	if err = errors.Join(err, w.file.Close()); err != nil {
		w.s.log.Warn("segment closed without its footer", "segment", w.active.name, "err", err)
	}
	w.s.grown(w.active, w.active.end+int64(len(b)))
	w.active, w.file = nil, nil
}

// retire starts an empty segment, so that the newest one with records can be
// removed once it is delivered. Called every SegmentAge.
func (w *writer) retire() {
	if !w.s.holdsRecords() {
		return
	}
	w.head = w.head[:0]
	if w.s.o.Head != nil {
		w.head = w.s.o.Head(w.head)
	}
	if err := w.roll(w.next); err != nil {
		w.s.log.WarnContext(context.Background(), "aged segment stays", "err", err)
	}
}

// fullOr makes a disk without room an ErrFull.
func fullOr(err error) error {
	if outOfSpace(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
