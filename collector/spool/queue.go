package spool

import (
	"fmt"
	"sync"
)

// maxQueued is how many appends may wait for the committer. More are refused at
// once: behind a disk that hangs, waiting would only pile up requests.
const maxQueued = 8192

// request is one append waiting for its frame. Requests are pooled.
type request struct {
	entries []Entry
	done    chan error
}

// queue hands appends to the committer, all that wait at once.
type queue struct {
	pool sync.Pool
	wake chan struct{} // holds a token while there may be something to take

	mu      sync.Mutex
	waiting []*request
	closed  bool
}

func newQueue() *queue {
	return &queue{
		pool: sync.Pool{New: func() any { return &request{done: make(chan error, 1)} }},
		wake: make(chan struct{}, 1),
	}
}

// do queues entries and waits until the committer has answered. It does not
// give up earlier: the entries are in the committer's hands.
func (q *queue) do(entries []Entry) error {
	r := q.pool.Get().(*request)
	r.entries = entries
	if err := q.put(r); err != nil {
		return err
	}
	err := <-r.done
	r.entries = nil
	q.pool.Put(r)
	return err
}

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if len(q.waiting) >= maxQueued {
		return fmt.Errorf("%w: %d appends are waiting", ErrFull, maxQueued)
	}
	q.waiting = append(q.waiting, r)
	if len(q.waiting) == 1 {
		q.token()
	}
	return nil
}

func (q *queue) token() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all that wait and leaves the emptied spare in their place.
func (q *queue) take(spare []*request) (taken []*request, closed bool) {
	clear(spare)
	q.mu.Lock()
	defer q.mu.Unlock()
	taken, q.waiting = q.waiting, spare[:0]
	return taken, q.closed
}

// close refuses further appends; those that wait are still answered.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.token()
}
