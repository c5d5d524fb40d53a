package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector/spool"
	"sluice/consent"
)

// taker accepts every record.
type taker struct{}

func (taker) Deliver(context.Context, spool.Batch) error { return nil }

// TestRefusedWithdrawalReachesTheDisk: a withdrawal that a full spool refuses
// is in force at once, and on disk with whatever is kept next.
func TestRefusedWithdrawalReachesTheDisk(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	open := func() *state {
		s, err := openState(dir, 64<<10, time.Now, log, func(spool.Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	filler := func() spool.Entry {
		return &recordEntry{journal: s.journal, kind: spool.KindCounter, append: func(dst []byte) ([]byte, error) {
			return consent.AppendCounts(append(dst, make([]byte, 0, 512)...), manyCounts(8)), nil
		}}
	}
	var full error
	for range 10_000 {
		if full = s.journal.append(t.Context(), filler()); full != nil {
			break
		}
	}
	if !errors.Is(full, spool.ErrFull) {
		t.Fatalf("filling the spool: got %v, want ErrFull", full)
	}
	m := &machine{state: s}
	if err := m.accepts(); !errors.Is(err, spool.ErrFull) {
		t.Errorf("readyz of a server whose spool refuses: %v, want ErrFull", err)
	}

	gone := uuid.New()
	now := time.Now()
	w := consent.Withdrawal{Site: "example.com", ConsentID: gone, ReceiptID: uuid.New(), Time: now,
		Cut: consent.Cut{Latest: uint32(now.Unix()), All: consent.Forever, Expires: uint32(now.Add(time.Hour).Unix())}}
	if err := s.journal.Record(t.Context(), consent.Commitment{Withdrawal: &w}); !errors.Is(err, consent.ErrUnavailable) {
		t.Fatalf("a withdrawal on a full spool: got %v, want ErrUnavailable", err)
	}

	contact := consent.Contact{Address: consent.AddressKey{1}, Site: "example.com", Channel: consent.WhatsApp, ReceiptID: uuid.New(), Time: now}
	refusal := consent.Commitment{Receipt: &consent.Receipt{ReceiptID: contact.ReceiptID, Site: "example.com", Time: now}, Contact: &contact}
	s.journal.index.Refuse(contact)
	grant := contact
	grant.Address, grant.Granted = consent.AddressKey{2}, true
	for _, c := range []consent.Commitment{refusal, {Contact: &grant}} {
		if err := s.journal.Record(t.Context(), c); !errors.Is(err, consent.ErrUnavailable) {
			t.Fatalf("a contact on a full spool: got %v, want ErrUnavailable", err)
		}
	}
	if !s.journal.index.Owed(contact.Address) || s.journal.index.Contact(grant.Address) != nil {
		t.Error("before there is room the refusal is on disk, or the grant is in force")
	}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.journal.spool.Consume(ctx, "a", taker{}, spool.ConsumerOptions{}) }()
	eventually(t, "there is room again", func() bool {
		s.journal.spool.Retain("consent.idx", s.journal.spool.Stats().Next-1) // only the order of records matters here
		return s.journal.Record(t.Context(), consent.Commitment{Counts: manyCounts(1)}) == nil
	})
	if err := m.accepts(); err != nil {
		t.Errorf("readyz once there is room: %v", err)
	}
	if n := s.journal.owing(); n != 0 {
		t.Errorf("%d are still owed", n)
	}
	if s.journal.index.Owed(contact.Address) {
		t.Error("the refusal is on disk, and the index does not know")
	}
	receipts := s.journal.head().N
	stop()
	<-ended
	if err := s.journal.spool.Close(); err != nil { // as after a kill: the index is not saved
		t.Fatal(err)
	}
	s = open()
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	if cut := s.journal.index.Cut(gone); cut == nil || cut.All != consent.Forever {
		t.Errorf("after a restart the consent has the cut %+v, want it withdrawn", cut)
	}
	if c := s.journal.index.Contact(contact.Address); c == nil || c.Granted || c.ReceiptID != contact.ReceiptID || s.journal.index.Owed(contact.Address) {
		t.Errorf("after a restart the contact is %+v", c)
	}
	if s.journal.index.Contact(grant.Address) != nil || receipts != 1 || s.journal.head().N != receipts {
		t.Errorf("a grant that was refused came back, or the ledger has %d and then %d receipts, want 1", receipts, s.journal.head().N)
	}
}

// TestContactOfAFailedFrame is in the index only where its frame is on disk, and
// of each frame its own alone.
func TestContactOfAFailedFrame(t *testing.T) {
	t.Parallel()
	s, err := openState(t.TempDir(), 64<<10, time.Now, slog.New(slog.DiscardHandler), func(spool.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	j := s.journal
	for n, failed := range []error{errors.New("the disk is gone"), nil} {
		c := consent.Contact{Address: consent.AddressKey{byte(n)}, ReceiptID: uuid.New(), Granted: true, Time: time.Now()}
		if _, ok := (&contactEntry{j, &c}).Commit(nil, 1); !ok {
			t.Fatal("a contact is left out")
		}
		j.settled(failed)
	}
	if j.index.Contact(consent.AddressKey{0}) != nil || j.index.Contact(consent.AddressKey{1}) == nil {
		t.Errorf("the frame that failed: %+v, the next: %+v", j.index.Contact(consent.AddressKey{0}), j.index.Contact(consent.AddressKey{1}))
	}
}

func manyCounts(n int) []consent.Count {
	out := make([]consent.Count, n)
	for i := range out {
		out[i] = consent.NewCount("example.com", consent.CountScript, "", time.Now())
		out[i].N = 1
	}
	return out
}
