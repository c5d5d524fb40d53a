package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"sluice/collector"
	"sluice/collector/store"
	"sluice/consent"
)

// runForwardsVerify checks every chain of outcomes link by link.
func runForwardsVerify(ctx context.Context, t terminal, args []string) (err error) {
	var path *string
	if _, err := flags(t, "forwards verify", args, 0, func(fs *flag.FlagSet) { path = configFlag(fs) }); err != nil {
		return err
	}
	s, err := openLedger(ctx, *path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var v collector.ForwardVerifier
	report := func() {
		if v.Rows > 0 {
			fmt.Fprintf(t.out, "chain %s is whole: %d outcomes up to number %d, %d gone (erased, expired, or reported again), head %s\n",
				v.Head.ChainID, v.Rows, v.Head.N, v.Gone, v.Head.Hash)
		}
	}
	chains := 0
	for f, err := range s.Forwards(ctx) {
		if err != nil {
			return err
		}
		if v.Rows == 0 || f.ChainID != v.Head.ChainID {
			report()
			v = collector.ForwardVerifier{}
			chains++
		}
		if err := v.Check(f); err != nil {
			return fmt.Errorf("chain %s is broken: %w", f.ChainID, err)
		}
	}
	report()
	if chains == 0 {
		fmt.Fprintln(t.out, "nothing was forwarded to anybody yet")
	}
	return nil
}

// shownForward is what `sluice forwards show` prints of one outcome.
type shownForward struct {
	Destination string                 `json:"destination"`
	State       collector.ForwardState `json:"state"`
	Reason      string                 `json:"reason,omitempty"`
	Attempts    int                    `json:"attempts"`
	Time        string                 `json:"ts"`
	PayloadHash string                 `json:"payload_hash,omitempty"` // SHA-256 of what the last request said
	Sent        string                 `json:"sent,omitempty"`         // what that request said, to the byte; secrets taken out
	SentCheck   string                 `json:"sent_check"`             // whether it has that hash, and else why not
	Event       *store.SubjectEvent    `json:"event"`                  // null: taken back since, or expired
	Receipt     json.RawMessage        `json:"receipt"`                // null: cut off by a withdrawal
	Chain       collector.Link         `json:"chain"`
}

// runForwardsShow prints what became of an event at every recipient: the event
// that was mapped, what was sent, under which receipt, and what came back. It
// fails where a row does not hold what was logged.
func runForwardsShow(ctx context.Context, t terminal, args []string) (err error) {
	var path *string
	fs, err := flags(t, "forwards show", args, 1, func(fs *flag.FlagSet) { path = configFlag(fs) })
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{"forwards show: name an event by its id, as the column event_id of events has it"}
	}
	s, err := openLedger(ctx, *path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	forwards, err := s.ForwardsOf(ctx, fs.Arg(0))
	if err != nil {
		return err
	}
	if len(forwards) == 0 {
		return fmt.Errorf("no outcome of event %s is stored: it was meant for nobody else, waits still, or was erased", fs.Arg(0))
	}
	out := make([]shownForward, len(forwards))
	var edited error
	for i, f := range forwards {
		if f.Sent, err = s.SentWith(ctx, f); err != nil {
			return err
		}
		if out[i], err = show(ctx, s, f); err != nil {
			return err
		}
		check, err := sentCheck(f)
		out[i].SentCheck, edited = check, errors.Join(edited, err)
	}
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return errors.Join(enc.Encode(out), edited)
}

// sentCheck says whether what an outcome says was sent is what was logged, and
// where nothing is kept, why. An error means that the row has been edited.
func sentCheck(f collector.Forward) (string, error) {
	if f.N > 0 {
		var alone collector.ForwardVerifier
		if err := alone.Check(f); err != nil {
			return "does not match what was logged: the row has been edited", err
		}
	}
	switch matches, known := f.SentMatches(); {
	case !matches:
		return "does not match the logged hash", fmt.Errorf("event %s to %s: what it says was sent does not match its payload_hash", f.EventID, f.Destination)
	case known:
		return "matches the logged hash", nil
	case f.PayloadHash == "":
		return "nothing was sent", nil
	case f.ReceiptID == (consent.ID{}):
		return "not kept: a withdrawal has emptied it", nil
	case f.State == collector.Cancelled:
		return "not kept: consent was gone when the outcome was recorded", nil
	}
	return "not kept: consent was taken back before the outcome was recorded, the event's retention has passed, or an earlier version recorded it", nil
}

func show(ctx context.Context, s *store.Store, f collector.Forward) (shownForward, error) {
	out := shownForward{
		Destination: f.Destination, State: f.State, Reason: f.Reason, Attempts: f.Attempts, PayloadHash: f.PayloadHash, Sent: f.Sent,
		Time: f.Time.UTC().Format("2006-01-02T15:04:05.000Z"), Chain: f.Link,
	}
	if f.ReceiptID == (consent.ID{}) {
		return out, nil
	}
	receipt, err := s.Receipt(ctx, f.ReceiptID)
	if err != nil && !errors.Is(err, store.ErrNoReceipt) {
		return out, err
	}
	if err == nil {
		out.Receipt = json.RawMessage(receipt.Body)
	}
	out.Event, err = s.EventOf(ctx, f)
	return out, err
}
