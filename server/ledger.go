package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"sluice/collector/store"
	"sluice/consent"
)

// runLedgerVerify checks every chain of receipts link by link.
func runLedgerVerify(ctx context.Context, t terminal, args []string) (err error) {
	var path *string
	if _, err := flags(t, "ledger verify", args, 0, func(fs *flag.FlagSet) { path = configFlag(fs) }); err != nil {
		return err
	}
	s, err := openLedger(ctx, *path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	heads, err := verifyChains(ctx, s, func(consent.Receipt, string) {})
	if err != nil {
		return err
	}
	if len(heads) == 0 {
		return consent.ErrNoReceipts
	}
	for _, h := range heads {
		fmt.Fprintf(t.out, "chain %s is whole: %d receipts, head %s\n", h.ChainID, h.N, h.Hash)
	}
	return nil
}

// proof is what `sluice ledger proof` prints: the receipt, canonical as it was
// hashed, and where its chain ended when all of it was checked. Whoever keeps
// an earlier head can tell that nothing before it has changed.
type proof struct {
	Receipt json.RawMessage `json:"receipt"`
	Chain   consent.Head    `json:"chain"`
}

// runLedgerProof prints one receipt, after checking that its chain holds from
// its beginning to its end.
func runLedgerProof(ctx context.Context, t terminal, args []string) (err error) {
	var path *string
	fs, err := flags(t, "ledger proof", args, 1, func(fs *flag.FlagSet) { path = configFlag(fs) })
	if err != nil {
		return err
	}
	id, err := uuid.Parse(fs.Arg(0))
	if err != nil {
		return &usageError{fmt.Sprintf("ledger proof: %q is not a receipt id; it is a UUID, as the visitor's page shows it", fs.Arg(0))}
	}
	s, err := openLedger(ctx, *path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var out proof
	heads, err := verifyChains(ctx, s, func(r consent.Receipt, body string) {
		if r.ReceiptID == id {
			out.Receipt, out.Chain.ChainID = json.RawMessage(body), r.ChainID
		}
	})
	if err != nil {
		return err
	}
	if out.Receipt == nil {
		return fmt.Errorf("there is no receipt %s in ClickHouse (one of the last seconds may still be on its way): %w", id, store.ErrNoReceipt)
	}
	for _, h := range heads {
		if h.ChainID == out.Chain.ChainID {
			out.Chain = h
		}
	}
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false) // the receipt's bytes are what its hash is of
	return enc.Encode(out)
}

func openLedger(ctx context.Context, configFlag string) (*store.Store, error) {
	c, err := loadConfig(configFlag)
	if err != nil {
		return nil, err
	}
	return store.OpenForReading(ctx, storeOptions(c, slog.New(slog.DiscardHandler)))
}
