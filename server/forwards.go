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
	PayloadHash string                 `json:"payload_hash,omitempty"` // SHA-256 of the last request's body
	Event       *store.SubjectEvent    `json:"event"`                  // null: taken back since, or expired
	Receipt     json.RawMessage        `json:"receipt"`                // null: cut off by a withdrawal
	Chain       collector.Link         `json:"chain"`
}

// runForwardsShow prints what became of an event at every recipient: the event
// that was mapped, under which receipt, and what came back.
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
	for i, f := range forwards {
		if out[i], err = show(ctx, s, f); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func show(ctx context.Context, s *store.Store, f collector.Forward) (shownForward, error) {
	out := shownForward{
		Destination: f.Destination, State: f.State, Reason: f.Reason, Attempts: f.Attempts, PayloadHash: f.PayloadHash,
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
