package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Errors of [Spool.Append]. Any other one is an I/O error of the frame that the
// records were part of: they are not in the spool, and the next append goes to
// a new segment.
var (
	ErrFull     = errors.New("spool is full")
	ErrClosed   = errors.New("spool is closed")
	ErrTooLarge = errors.New("append exceeds 8 MiB")
)

// Entry is one record on its way in. Commit is called by the committer
// goroutine alone, in commit order and at most once: it appends the record's
// bytes to dst and returns the longer slice, or ok=false to leave the record
// out, and then no seq is used. Whether the record reached the disk is told by
// Options.Settled.
type Entry interface {
	Kind() Kind
	Commit(dst []byte, seq uint64) (out []byte, ok bool)
}

// Options tune a spool. The zero value is ready to use.
type Options struct {
	// MaxBytes limits the segments on disk. At the limit Append answers ErrFull
	// until consumers have caught up. 0: 2 GiB.
	MaxBytes int64
	// SegmentBytes is where a segment ends, softly: a frame is never split. It
	// is held below a quarter of MaxBytes. 0: 64 MiB.
	SegmentBytes int64
	// SegmentAge is when a segment that holds records is succeeded by a new one,
	// however small, so that what was delivered can go. 0: 10 minutes.
	SegmentAge time.Duration

	// Settled is called by the committer for each frame after the entries'
	// Commit and before any Append returns: nil once the frame is on disk, else
	// why it is not and never will count. A frame whose entries all declined is
	// settled with nil. May be nil.
	Settled func(err error)
	// Head appends to dst up to MaxHead bytes that are put into the header of
	// each new segment: what the caller needs to know of the records before it
	// once they are gone. Called by the committer before the entries of a frame.
	// May be nil.
	Head func(dst []byte) []byte

	Logger *slog.Logger     // nil: discarded
	Now    func() time.Time // nil: time.Now

	disk disk // nil: the operating system's
}

// minSegment is the size of a first segment; those that follow double with use.
const minSegment = 1 << 20

func (o Options) withDefaults(dir string) Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 2 << 30
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	// With fewer than four segments a spool could be full of delivered records:
	// the newest segment is never removed.
	o.SegmentBytes = max(4<<10, min(o.SegmentBytes, o.MaxBytes/4))
	if o.SegmentAge <= 0 {
		o.SegmentAge = 10 * time.Minute
	}
	if o.Settled == nil {
		o.Settled = func(error) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = hostDisk(dir)
	}
	return o
}

// Spool is an open spool. Its methods may be called from any goroutine.
type Spool struct {
	o    Options
	disk disk
	log  *slog.Logger
	id   uuid.UUID
	lock io.Closer

	head     []byte // of the newest segment found at open
	headBase uint64

	queue *queue

	ctx       context.Context // ends with Close
	stop      context.CancelCauseFunc
	committer sync.WaitGroup
	workers   sync.WaitGroup // janitor, scrub, consumers
	kick      chan struct{}  // wakes the janitor

	mu        sync.Mutex // guards what follows, and the segments in it
	closed    bool
	segments  []*segment // in order of base; never empty once something was appended
	prepared  *preparedFile
	nextSize  int64  // of the next segment to prepare
	tmpNames  int    // given out
	committed uint64 // the last seq that is on disk
	consumers map[string]*consumer
	retained  map[string]uint64
	stats     counters
}

// Open opens the spool in dir, or creates it, and repairs what a crash left.
// Damage that is not a crash's doing is logged, counted in Stats and stepped
// over; Open returns an error only where going on could lose or mix up records:
// ErrLocked, a foreign or newer format, an unreadable directory.
//
// Before the first Append or Consume the caller replays what it keeps in memory
// and names what it still needs with Retain and Register.
func Open(dir string, o Options) (*Spool, error) {
	o = o.withDefaults(dir)
	s := &Spool{
		o: o, disk: o.disk, log: o.Logger,
		queue: newQueue(), kick: make(chan struct{}, 1),
		nextSize:  min(minSegment, o.SegmentBytes),
		consumers: map[string]*consumer{}, retained: map[string]uint64{},
	}
	if err := s.disk.mkdir("."); err != nil {
		return nil, fmt.Errorf("create spool %s: %w", dir, err)
	}
	lock, err := s.disk.lock("lock")
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", dir, err), lock.Close())
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.workers.Go(s.janitor)
	s.workers.Go(s.scrub)
	w := &writer{s: s, next: s.committed + 1}
	s.committer.Go(w.run)
	return s, nil
}

// ID is the spool's identity, drawn when it was created.
func (s *Spool) ID() uuid.UUID { return s.id }

// Head returns what Options.Head said when the newest segment found by Open was
// started: the state before record seq. Nil and 0 if there is none.
func (s *Spool) Head() (head []byte, seq uint64) { return s.head, s.headBase }

// Append puts entries on disk, in one frame, and returns once they are there or
// cannot be. An empty append does nothing. Errors: ErrFull when the disk limit
// is reached, the disk is full or too many appends wait; ErrClosed; ErrTooLarge
// where the entries have more than 8 MiB together, which also fails the appends
// that share the frame; an I/O error; ctx.Err() if ctx was done before the
// entries were queued, and only then.
func (s *Spool) Append(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.queue.do(entries)
}

// Retain keeps the segments that hold records after seq, for a reader that has
// no cursor here. Calling it again under the same name moves the position, to
// math.MaxUint64 to need nothing any more. It is not kept across Open.
func (s *Spool) Retain(name string, seq uint64) {
	s.mu.Lock()
	s.retained[name] = seq
	s.mu.Unlock()
	s.wakeJanitor()
}

// Forget removes the cursor of a consumer that is not coming back, which would
// hold on to every segment. A running one is an error, an unknown one is not.
func (s *Spool) Forget(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.consumers[name]
	if c == nil {
		return nil
	}
	if c.running {
		return fmt.Errorf("forget consumer %s: it is running", name)
	}
	if err := s.disk.remove(name + cursorExt); err != nil && !isMissing(err) {
		return fmt.Errorf("forget consumer %s: %w", name, err)
	}
	delete(s.consumers, name)
	s.wakeJanitor()
	return nil
}

// Replay calls fn for every committed record from seq from on, in order. The
// record's data holds until fn returns. An error of fn ends the replay and is
// returned as it is.
func (s *Spool) Replay(from uint64, fn func(Record) error) error {
	r := s.newReader(from)
	defer r.close()
	for {
		rec, ok, err := r.peek()
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if !ok {
			return nil
		}
		if err := fn(rec); err != nil {
			return err
		}
		r.skip()
	}
}

// Close commits what is queued, stops consumers, waits for them and marks a
// clean end. Appends from now on get ErrClosed.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()

	s.queue.close()
	s.committer.Wait()
	s.stop(ErrClosed)
	s.workers.Wait()

	var errs []error
	for _, c := range s.consumers {
		if c.cursor != nil {
			errs = append(errs, c.cursor.close())
		}
	}
	if s.prepared != nil {
		errs = append(errs, s.prepared.file.Close(), s.disk.remove(s.prepared.name))
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}
