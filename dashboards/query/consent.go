package query

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/consent"
)

// Counts are what happened on a site, by kind and key: the anonymous counters.
type Counts map[consent.CountKind]map[string]uint64

// Total adds up a kind.
func (c Counts) Total(kind consent.CountKind) uint64 {
	var n uint64
	for _, v := range c[kind] {
		n += v
	}
	return n
}

// OptInRate is the share of decisions that granted a purpose, 0 to 1: grants of
// the purpose ÷ decisions of every kind, withdrawals among them. A visitor who
// never decided is in neither; one who decided twice is there twice. false
// where nothing was decided. The formula is Sluice's own: the counters know no
// visitor.
func (c Counts) OptInRate(purpose consent.Purpose) (float64, bool) {
	decisions := c.Total(consent.CountDecision)
	if decisions == 0 {
		return 0, false
	}
	return float64(c[consent.CountGrant][string(purpose)]) / float64(decisions), true
}

// DecisionRate is the share of banners shown that were answered: decisions ÷
// banner views. It can pass 1, since a choice can be changed without a banner.
// false where no banner was shown.
func (c Counts) DecisionRate() (float64, bool) {
	views := c.Total(consent.CountView)
	if views == 0 {
		return 0, false
	}
	return float64(c.Total(consent.CountDecision)) / float64(views), true
}

// CountsIn reads a site's counters of a period. They are kept by the hour UTC:
// where the zone is half an hour off, so are the bounds.
func CountsIn(ctx context.Context, db Querier, site string, p Period) (Counts, error) {
	out := Counts{}
	args := []any{
		clickhouse.Named("site", site),
		clickhouse.Named("from", p.From.Truncate(time.Second)), clickhouse.Named("to", p.To.Truncate(time.Second)),
	}
	err := each(ctx, db, statement("counters"), args, func(rows driver.Rows) error {
		var kind, key string
		var n uint64
		if err := rows.Scan(&kind, &key, &n); err != nil {
			return err
		}
		k := consent.CountKind(kind)
		if out[k] == nil {
			out[k] = map[string]uint64{}
		}
		out[k][key] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query counters of %s: %w", site, err)
	}
	return out, nil
}

// Outcome says how often the way of an event to a destination ended like this.
type Outcome struct {
	Destination string
	State       string // acknowledged, cancelled, dead
	Reason      string // of cancelled and dead
	N           uint64
}

// Outcomes reads how forwarding ended in a period, by destination and state.
func Outcomes(ctx context.Context, db Querier, site string, p Period) ([]Outcome, error) {
	var out []Outcome
	args := []any{
		clickhouse.Named("site", site),
		clickhouse.DateNamed("from", p.From, clickhouse.MilliSeconds), clickhouse.DateNamed("to", p.To, clickhouse.MilliSeconds),
	}
	err := each(ctx, db, statement("forwards"), args, func(rows driver.Rows) error {
		var o Outcome
		if err := rows.Scan(&o.Destination, &o.State, &o.Reason, &o.N); err != nil {
			return err
		}
		out = append(out, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query forwards of %s: %w", site, err)
	}
	return out, nil
}
