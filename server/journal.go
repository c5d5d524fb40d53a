package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/collector"
	"sluice/collector/forward"
	"sluice/collector/spool"
	"sluice/consent"
)

// journal is the one way into the spool. It gives the rooms what they ask for
// ([collector.Appender], [consent.Recorder], counting) and the committer the
// order in which things happen: whatever is decided here is decided in Commit,
// which the spool calls for one record after the other.
type journal struct {
	spool *spool.Spool
	index *consent.Index
	chain *consent.Chain
	log   *slog.Logger

	durable atomic.Pointer[consent.Head] // of the chain, as far as it is on disk

	forwards  *collector.ForwardChain
	forwarded atomic.Pointer[consent.Head] // of that chain

	mu      sync.Mutex
	pending map[consent.Count]uint64 // counted, not yet in a frame; N is 0 in the key
	owed    debt
	framed  []consent.Count // in the frame being written; committer only

	balance *collector.Balance // told what is on disk; nil before the doors open
	keeping []*collector.Batch // of each event in the frame being written; committer only
	meeting []*consent.Contact // in the frame being written; committer only
}

var (
	_ collector.Appender = (*journal)(nil)
	_ consent.Recorder   = (*journal)(nil)
)

// flushEvery is how long a count without a frame of its own may wait for one.
const flushEvery = time.Second

// Append keeps a batch of events with its counts, in one frame.
func (j *journal) Append(ctx context.Context, b *collector.Batch) error {
	events := make([]eventEntry, len(b.Events))
	entries := make([]spool.Entry, 0, len(b.Events)+1)
	for i := range b.Events {
		events[i] = eventEntry{journal: j, batch: b, i: i}
		entries = append(entries, &events[i])
	}
	return j.append(ctx, append(entries, &tallyEntry{journal: j, batch: b})...)
}

// Record keeps what the ledger decided, in one frame. What is taken back is in
// force all the same where the disk refuses it; it rides in the next frame of a
// decision or of counts.
func (j *journal) Record(ctx context.Context, c consent.Commitment) error {
	owed := j.takeOwed()
	if c.Contact != nil { // what is recorded now stands for what was owed
		delete(owed.refusals, c.Contact.Address)
	}
	entries := append(j.entries(owed), j.commitment(c)...)
	err := j.append(ctx, entries...)
	if err != nil {
		if c.Withdrawal != nil {
			owed.withdrawals = append(owed.withdrawals, c.Withdrawal)
		}
		if c.Contact != nil && !c.Contact.Granted {
			owed.refusals[c.Contact.Address] = c
		}
		j.owe(owed)
	}
	return err
}

// commitment is the entries of one decision.
func (j *journal) commitment(c consent.Commitment) (entries []spool.Entry) {
	if c.Receipt != nil {
		entries = append(entries, &receiptEntry{j, c.Receipt})
	}
	if c.Withdrawal != nil {
		entries = append(entries, j.withdrawals([]*consent.Withdrawal{c.Withdrawal})...)
	}
	if c.Tombstone != nil {
		entries = append(entries, &tombstoneEntry{j, c.Tombstone})
	}
	if c.Contact != nil {
		entries = append(entries, &contactEntry{j, c.Contact})
	}
	if len(c.Counts) > 0 {
		entries = append(entries, &recordEntry{journal: j, kind: spool.KindCounter, append: func(dst []byte) ([]byte, error) {
			return consent.AppendCounts(dst, c.Counts), nil
		}})
	}
	return entries
}

// maxOwed is how many withdrawals, and how many refusals, ride in one frame at
// the most.
const maxOwed = 256

// debt is what is in force and was refused by the disk.
type debt struct {
	withdrawals []*consent.Withdrawal
	refusals    map[consent.AddressKey]consent.Commitment
}

func (d *debt) size() int { return len(d.withdrawals) + len(d.refusals) }

func (j *journal) takeOwed() debt {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.owed.withdrawals), maxOwed)
	d := debt{slices.Clone(j.owed.withdrawals[:n]), map[consent.AddressKey]consent.Commitment{}}
	j.owed.withdrawals = slices.Delete(j.owed.withdrawals, 0, n)
	for a, c := range j.owed.refusals {
		if len(d.refusals) == maxOwed {
			break
		}
		d.refusals[a] = c
		delete(j.owed.refusals, a)
	}
	return d
}

// owing is how much waits for a frame.
func (j *journal) owing() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.owed.size()
}

func (j *journal) entries(d debt) []spool.Entry {
	entries := j.withdrawals(d.withdrawals)
	for _, c := range d.refusals {
		entries = append(entries, j.commitment(c)...)
	}
	return entries
}

// owe keeps what is owed for a later frame; whoever takes everything back again
// and again is owed it once.
func (j *journal) owe(d debt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for a, c := range d.refusals {
		if _, newer := j.owed.refusals[a]; newer {
			continue
		}
		if j.owed.refusals == nil {
			j.owed.refusals = map[consent.AddressKey]consent.Commitment{}
		}
		j.owed.refusals[a] = c
	}
	for _, w := range d.withdrawals {
		if !slices.ContainsFunc(j.owed.withdrawals, func(o *consent.Withdrawal) bool {
			return o.ConsentID == w.ConsentID && o.Cut.All == consent.Forever
		}) {
			j.owed.withdrawals = append(j.owed.withdrawals, w)
		}
	}
}

func (j *journal) withdrawals(list []*consent.Withdrawal) []spool.Entry {
	entries := make([]spool.Entry, len(list))
	for i, w := range list {
		entries[i] = &recordEntry{journal: j, kind: spool.KindWithdrawal, append: w.AppendBinary}
	}
	return entries
}

// outcomes is the journal as the forwarder sees it: its records are terminal
// outcomes.
type outcomes struct{ *journal }

func (j outcomes) Record(ctx context.Context, outcomes []collector.Forward) error {
	entries := make([]spool.Entry, len(outcomes))
	for i := range outcomes {
		entries[i] = &recordEntry{journal: j.journal, kind: spool.KindForward, append: func(dst []byte) ([]byte, error) {
			f := outcomes[i] // the caller goes on with its own
			if err := j.link(&f); err != nil {
				return dst, err
			}
			return f.AppendBinary(dst)
		}}
	}
	return j.append(ctx, entries...)
}

// link gives an outcome its place in the chain. Where a withdrawal or an erasure
// has come before it, it says no more than a row that was there in time and was
// cut by one: neither under which receipt nor what was sent. Nothing would take
// that away any more. Of what was erased the hash of what was sent goes too.
func (j *journal) link(f *collector.Forward) error {
	id := f.Token.Consent
	erased := f.Reason == forward.Erased || j.index.Erased(id, j.spool.ID(), f.EventSeq)
	takenBack := erased || j.index.Cut(id).Covers(f.Token, consent.StatisticsUse)
	if takenBack {
		f.Sent = ""
	}
	if erased {
		f.PayloadHash = ""
	}
	if err := j.forwards.Link(f); err != nil {
		return err
	}
	if takenBack {
		f.ReceiptID, f.Salt = consent.ID{}, ""
	}
	return nil
}

func (j *journal) append(ctx context.Context, entries ...spool.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := j.spool.Append(ctx, entries...); err != nil {
		return fmt.Errorf("append to spool: %w: %w", consent.ErrUnavailable, err)
	}
	return nil
}

// Count counts without waiting for the disk: the delta rides in the next frame,
// at the latest flushEvery from now.
func (j *journal) Count(c consent.Count) {
	n := c.N
	c.N = 0
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending[c] += n
}

// flush puts pending counts on disk every flushEvery and once more at the end.
func (j *journal) flush(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			j.flushOnce(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			j.flushOnce(ctx)
		}
	}
}

func (j *journal) flushOnce(ctx context.Context) {
	j.mu.Lock()
	idle := len(j.pending) == 0 && j.owed.size() == 0
	j.mu.Unlock()
	if idle {
		return
	}
	owed := j.takeOwed()
	if err := j.append(ctx, append(j.entries(owed), &tallyEntry{journal: j})...); err != nil {
		j.owe(owed)
		j.log.WarnContext(ctx, "counts and withdrawals wait for the spool", "withdrawals", owed.size(), "err", err)
	}
}

// start continues the chains from their heads; before the first append.
func (j *journal) start(head, forwards consent.Head) {
	j.chain = consent.NewChain(head)
	j.durable.Store(&head)
	j.forwards = collector.NewForwardChain(forwards)
	j.forwarded.Store(&forwards)
}

// head is the end of the chain on disk.
func (j *journal) head() consent.Head { return *j.durable.Load() }

// settled is called by the committer when a frame is on disk or has failed.
func (j *journal) settled(err error) {
	head := j.chain.Settled(err)
	j.durable.Store(&head)
	forwarded := j.forwards.Settled(err)
	j.forwarded.Store(&forwarded)
	if err != nil {
		for _, c := range j.framed {
			j.Count(c)
		}
	}
	j.framed = j.framed[:0]
	if err == nil {
		j.kept()
		for _, c := range j.meeting {
			j.index.Meet(*c)
		}
	}
	clear(j.meeting)
	j.meeting = j.meeting[:0]
	clear(j.keeping)
	j.keeping = j.keeping[:0]
}

// kept tells the balance of the frame's events.
func (j *journal) kept() {
	for first := 0; first < len(j.keeping); {
		b, end := j.keeping[first], first+1
		for end < len(j.keeping) && j.keeping[end] == b {
			end++
		}
		j.balance.Kept(b.Policy.Site.Domain, b.Received, end-first)
		first = end
	}
}

// eventEntry checks its event once more, after every withdrawal and duplicate
// that was committed before it.
type eventEntry struct {
	journal *journal
	batch   *collector.Batch
	i       int
}

func (e *eventEntry) Kind() spool.Kind { return spool.KindEvent }

func (e *eventEntry) Commit(dst []byte, _ uint64) ([]byte, bool) {
	admitted := &e.batch.Events[e.i]
	t := admitted.Token()
	if cut := e.journal.index.Cut(t.Consent); cut != nil {
		if reason := e.batch.Policy.Live(t, cut, consent.StatisticsUse, admitted.Time()); reason != consent.Live {
			return e.refuse(dst, reason)
		}
	}
	b, err := admitted.AppendBinary(dst)
	if err != nil {
		return e.refuse(dst, collector.Invalid)
	}
	e.journal.keeping = append(e.journal.keeping, e.batch)
	return b, true
}

func (e *eventEntry) refuse(dst []byte, reason consent.Reason) ([]byte, bool) {
	if e.batch.Late == nil {
		e.batch.Late = map[int]consent.Reason{}
	}
	e.batch.Late[e.i] = reason
	return dst, false
}

// receiptEntry gives its receipt the next place in the chain.
type receiptEntry struct {
	journal *journal
	receipt *consent.Receipt
}

func (e *receiptEntry) Kind() spool.Kind { return spool.KindReceipt }

func (e *receiptEntry) Commit(dst []byte, _ uint64) ([]byte, bool) {
	b, err := e.journal.chain.Link(e.receipt)
	if err != nil {
		e.journal.lost("receipt", err)
		return dst, false
	}
	return append(dst, b...), true
}

// tombstoneEntry puts an erasure in force at its place in the order.
type tombstoneEntry struct {
	journal   *journal
	tombstone *consent.Tombstone
}

func (e *tombstoneEntry) Kind() spool.Kind { return spool.KindTombstone }

func (e *tombstoneEntry) Commit(dst []byte, seq uint64) ([]byte, bool) {
	b, err := e.tombstone.AppendBinary(dst)
	if err != nil {
		e.journal.lost("tombstone", err)
		return dst, false
	}
	e.journal.index.Bury(e.tombstone.ConsentID, e.journal.spool.ID(), seq, e.tombstone.Expires)
	return b, true
}

// contactEntry tells the index of a contact once its frame is on disk: before
// that nobody may be written to, and a saved index must not lack it after.
type contactEntry struct {
	journal *journal
	contact *consent.Contact
}

func (e *contactEntry) Kind() spool.Kind { return spool.KindContact }

func (e *contactEntry) Commit(dst []byte, _ uint64) ([]byte, bool) {
	b, err := e.contact.AppendBinary(dst)
	if err != nil {
		e.journal.lost("contact", err)
		return dst, false
	}
	e.journal.meeting = append(e.journal.meeting, e.contact)
	return b, true
}

// recordEntry is a record whose bytes do not depend on its place.
type recordEntry struct {
	journal *journal
	kind    spool.Kind
	append  func([]byte) ([]byte, error)
}

func (e *recordEntry) Kind() spool.Kind { return e.kind }

func (e *recordEntry) Commit(dst []byte, _ uint64) ([]byte, bool) {
	b, err := e.append(dst)
	if err != nil {
		e.journal.lost("record", err)
		return dst, false
	}
	return b, true
}

// lost reports a value of ours that has no encoding: a bug, since every value
// here is made of strings, numbers and times.
func (j *journal) lost(what string, err error) {
	j.log.Error("record cannot be encoded and is left out", "record", what, "err", err)
}

// tallyEntry carries the counts of its batch, and all pending ones with them.
type tallyEntry struct {
	journal *journal
	batch   *collector.Batch // nil: pending counts alone
}

func (e *tallyEntry) Kind() spool.Kind { return spool.KindCounter }

func (e *tallyEntry) Commit(dst []byte, _ uint64) ([]byte, bool) {
	j := e.journal
	first := len(j.framed)
	j.mu.Lock()
	for c, n := range j.pending {
		c.N = n
		j.framed = append(j.framed, c)
	}
	clear(j.pending)
	j.mu.Unlock()
	pending := j.framed[first:]
	if e.batch == nil && len(pending) == 0 {
		return dst, false
	}
	counts := pending
	if e.batch != nil {
		counts = append(batchCounts(e.batch), pending...)
	}
	return consent.AppendCounts(dst, counts), true
}

// batchCounts counts what became of a batch. Its own refusals and acceptances
// are counted only if the frame is kept: what was not answered did not happen.
func batchCounts(b *collector.Batch) []consent.Count {
	count := func(kind consent.CountKind, key string, n int) consent.Count {
		c := consent.NewCount(b.Policy.Site.Domain, kind, key, b.Received)
		c.N = uint64(n)
		return c
	}
	var out []consent.Count
	if n := len(b.Events) - len(b.Late); n > 0 {
		out = append(out, count(consent.CountEvent, "accepted", n))
	}
	for reason, n := range b.Refused {
		out = append(out, count(consent.CountRefusal, string(reason), n))
	}
	for _, reason := range b.Late {
		out = append(out, count(consent.CountRefusal, string(reason), 1))
	}
	return out
}
