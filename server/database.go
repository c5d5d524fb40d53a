package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sluice/collector/store"
	"sluice/consent"
	"sluice/server/config"
)

// storeOptions are what the store needs of the configuration.
func storeOptions(c *config.Config, log *slog.Logger) store.Options {
	keep := make(map[string]store.Retention, len(c.Sites))
	for i := range c.Sites {
		r := c.RetentionOf(c.Sites[i].Domain)
		keep[c.Sites[i].Domain] = retention(r)
	}
	others := retention(c.Retention) // sites that are configured no more
	return store.Options{
		URL: c.ClickHouse.URL.Reveal(), Cluster: c.ClickHouse.Cluster, DataDir: c.DataDir,
		MaxMemory: int64(c.ClickHouse.MaxMemory),
		Retention: func(site string) store.Retention {
			if r, ok := keep[site]; ok {
				return r
			}
			return others
		},
		BeforeMigration: func(ctx context.Context, s *store.Store, migration string) error {
			return backUpBefore(ctx, c, s, migration, log)
		},
		Logger: log.With("room", "store"),
	}
}

func retention(r config.Retention) store.Retention {
	return store.Retention{
		Events: store.Period(r.Events), Receipts: store.Period(r.Receipts), Forwards: store.Period(r.Forwards), Counters: store.Period(r.Counters),
	}
}

// verifyChains checks every receipt of the store, link by link. seen is told
// each one that holds.
func verifyChains(ctx context.Context, s *store.Store, seen func(r consent.Receipt, body string)) (heads []consent.Head, err error) {
	var v consent.Verifier
	for stored, err := range s.Receipts(ctx) {
		if err != nil {
			return nil, err
		}
		if v.Head.N > 0 && stored.ChainID != v.Head.ChainID {
			heads = append(heads, v.Head)
			v = consent.Verifier{}
		}
		r, err := v.Check([]byte(stored.Body))
		var broken *consent.ChainError
		if errors.As(err, &broken) {
			return nil, fmt.Errorf("chain %s is broken: %w", stored.ChainID, err)
		}
		if err != nil {
			return nil, fmt.Errorf("receipt %d of chain %s: %w", stored.N, stored.ChainID, err)
		}
		if r.ChainID != stored.ChainID || r.N != stored.N {
			return nil, fmt.Errorf("chain %s is broken: the row of number %d holds receipt %d of chain %s", stored.ChainID, stored.N, r.N, r.ChainID)
		}
		seen(r, stored.Body)
	}
	if v.Head.N > 0 {
		heads = append(heads, v.Head)
	}
	return heads, nil
}
