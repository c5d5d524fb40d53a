package server

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

// state is what a server has to know before its doors open: what was withdrawn
// and erased, where the chain of receipts ends, and what waits in the spool.
// None of it needs ClickHouse.
type state struct {
	journal *journal
	path    string // of consent.idx
	now     func() time.Time
	log     *slog.Logger
	keys    map[string]uint32 // of earlier saves, see consent.Position
	signer  string            // id of the key that signs now
	contact string            // which key contacts are kept under
}

// saveEvery is how often consent.idx is written while it changes; a large one
// less often, so that it takes no more than a part of the time. The spool's tail
// holds what came since, so this bounds the replay at start, not a loss.
const (
	saveEvery = 30 * time.Second
	savePart  = 50
)

// openState opens the spool and brings the index up to date from it. replay is
// handed every record that the spool still holds after the index's position.
func openState(dataDir string, maxBytes int64, now func() time.Time, log *slog.Logger, replay func(spool.Record) error) (*state, error) {
	s := &state{path: filepath.Join(dataDir, "consent.idx"), now: now, log: log.With("room", "state")}
	index, at, err := consent.LoadIndex(s.path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	if fresh {
		index, at = consent.NewIndex(), consent.Position{Keys: map[string]uint32{}}
	}
	s.keys, s.contact = at.Keys, at.Addresses
	j := &journal{index: index, chain: consent.NewChain(at.Head), log: log.With("room", "journal"), pending: map[consent.Count]uint64{}}
	s.journal = j
	j.spool, err = spool.Open(filepath.Join(dataDir, "spool"), spool.Options{
		MaxBytes: maxBytes, Settled: j.settled, Head: j.appendHead, Logger: log.With("room", "spool"), Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := s.catchUp(fresh, at, replay); err != nil {
		return nil, errors.Join(err, j.spool.Close())
	}
	return s, nil
}

// catchUp replays the spool's tail into index and chain.
func (s *state) catchUp(fresh bool, at consent.Position, replay func(spool.Record) error) error {
	j := s.journal
	head, forwards := at.Head, at.Forwards
	if b, _ := j.spool.Head(); len(b) > 0 {
		inSegment, err := decodeHead(b)
		if err != nil {
			return err
		}
		if inSegment.N > head.N {
			head = inSegment
		}
	}
	from := at.Seq + 1
	if at.Spool != j.spool.ID() {
		from = 1 // a spool of its own: none of it is accounted for
	}
	j.spool.Retain("consent.idx", from-1)
	err := j.spool.Replay(from, func(r spool.Record) error {
		if fresh && r.Seq > 1 && from == 1 {
			return fmt.Errorf("%s: %w", s.path, consent.ErrDamagedIndex)
		}
		from = r.Seq + 1
		if err := replayRecord(j.index, j.spool.ID(), &head, r); err != nil {
			return fmt.Errorf("replay record %d of the spool: %w", r.Seq, err)
		}
		if err := replayForward(&forwards, r); err != nil {
			return fmt.Errorf("replay record %d of the spool: %w", r.Seq, err)
		}
		return replay(r)
	})
	if err != nil {
		return err
	}
	if _, base := j.spool.Head(); fresh && from == 1 && base > 1 {
		return fmt.Errorf("%s: %w", s.path, consent.ErrDamagedIndex) // delivered and gone
	}
	if head.ChainID == uuid.Nil {
		head.ChainID = uuid.New()
	}
	if forwards.ChainID == uuid.Nil {
		forwards.ChainID = uuid.New()
	}
	j.start(head, forwards)
	return nil
}

// replayForward moves the head of the chain of outcomes to a record's.
func replayForward(head *consent.Head, r spool.Record) error {
	if r.Kind != spool.KindForward {
		return nil
	}
	f, err := collector.DecodeForward(r.Data)
	if err != nil {
		return err
	}
	if f.N > 0 && (f.ChainID != head.ChainID || f.N > head.N) {
		*head = consent.Head{ChainID: f.ChainID, N: f.N, Hash: f.Hash}
	}
	return nil
}

// replayRecord applies one record of a spool to the index and the chain's head.
func replayRecord(index *consent.Index, spoolID uuid.UUID, head *consent.Head, r spool.Record) error {
	switch r.Kind {
	case spool.KindReceipt:
		receipt, err := consent.DecodeReceipt(r.Data)
		if err != nil {
			return err
		}
		if receipt.ChainID != head.ChainID || receipt.N > head.N {
			*head = consent.Head{ChainID: receipt.ChainID, N: receipt.N, Hash: receipt.Hash}
		}
		index.Seen(receipt)
	case spool.KindWithdrawal:
		w, err := consent.DecodeWithdrawal(r.Data)
		if err != nil {
			return err
		}
		index.Apply(w.ConsentID, &w.Cut)
	case spool.KindTombstone:
		t, err := consent.DecodeTombstone(r.Data)
		if err != nil {
			return err
		}
		index.Bury(t.ConsentID, spoolID, r.Seq, t.Expires)
	case spool.KindContact:
		c, err := consent.DecodeContact(r.Data)
		if err != nil {
			return err
		}
		index.Meet(c)
	}
	return nil
}

// proven reports whether receipts exist, whose tokens need the key that signed
// them: of this chain, or of one before a restore.
func (s *state) proven() bool { return s.journal.head().N > 0 || len(s.keys) > 0 }

// signedBy checks that every key which may have signed a live token is here,
// and notes the one that signs from now on. lifetime is the longest consent of
// any site.
func (s *state) signedBy(keys *consent.Keys, lifetime time.Duration) error {
	for id, last := range s.keys {
		raw, err := hex.DecodeString(id)
		if err != nil || len(raw) != 4 {
			return fmt.Errorf("%s: key id %q: %w", s.path, id, consent.ErrDamagedIndex)
		}
		if keys.Holds([4]byte(raw)) {
			continue
		}
		until := time.Unix(int64(last), 0).Add(lifetime)
		if s.now().Before(until) {
			return fmt.Errorf("the token key %s is missing from keys.token, but tokens that it signed are live until %s: put it back (behind the first, which signs)",
				id, until.UTC().Format(time.DateOnly))
		}
		delete(s.keys, id)
	}
	signer := keys.SigningID()
	s.signer = hex.EncodeToString(signer[:])
	err := s.save()
	if errors.Is(err, syscall.ENOSPC) {
		// Nothing is accepted until there is room; what it lacks is in the spool.
		s.log.Error("consent index not saved; the spool keeps what it lacks", "err", err)
		return nil
	}
	return err
}

// save writes consent.idx. What the index knows beyond the position is applied
// again by the next start, which changes nothing.
func (s *state) save() error {
	committed := s.journal.spool.Stats().Next - 1
	if s.signer != "" && s.proven() {
		s.keys[s.signer] = uint32(s.now().Unix())
	}
	err := s.journal.index.Save(s.path, consent.Position{
		Spool: s.journal.spool.ID(), Seq: committed, Head: s.journal.head(), Forwards: *s.journal.forwarded.Load(), Keys: s.keys, Addresses: s.contact,
	})
	if err != nil {
		return err
	}
	s.journal.spool.Retain("consent.idx", committed)
	return nil
}

// keep saves the index every saveEvery or less often, and forgets what has
// expired, until ctx is done.
func (s *state) keep(ctx context.Context) {
	next := time.NewTimer(saveEvery)
	defer next.Stop()
	saved := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		begun := time.Now()
		s.journal.index.Sweep(s.now())
		if committed := s.journal.spool.Stats().Next - 1; committed != saved || s.journal.owing() > 0 {
			if err := s.save(); err == nil {
				saved = committed
			} else {
				s.log.ErrorContext(ctx, "consent index not saved; the spool keeps what it lacks", "err", err)
			}
		}
		next.Reset(max(saveEvery, savePart*time.Since(begun)))
	}
}

// close saves the index once more and closes the spool.
func (s *state) close() error {
	return errors.Join(s.save(), s.journal.spool.Close())
}

// encodedHead is the length of a chain head in a segment's header: chain id
// [16], number u64, hash [32].
const encodedHead = 16 + 8 + 32

// appendHead appends the chain's head for the header of a new segment.
func (j *journal) appendHead(dst []byte) []byte {
	h := j.head()
	dst = append(dst, h.ChainID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, h.N)
	sum, err := hex.DecodeString(h.Hash)
	if err != nil || len(sum) != 32 {
		sum = make([]byte, 32) // no receipt yet
	}
	return append(dst, sum...)
}

func decodeHead(b []byte) (consent.Head, error) {
	if len(b) != encodedHead {
		return consent.Head{}, fmt.Errorf("segment header holds a chain head of %d bytes, want %d", len(b), encodedHead)
	}
	h := consent.Head{ChainID: consent.ID(b[:16]), N: binary.BigEndian.Uint64(b[16:])}
	if h.N > 0 {
		h.Hash = hex.EncodeToString(b[24:])
	}
	return h, nil
}
