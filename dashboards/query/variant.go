package query

import (
	"context"
	"fmt"
	"math"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/consent"
)

// OptIn is how often a purpose was granted: grants ÷ decisions.
type OptIn struct{ Grants, Decisions uint64 }

// z95 is the quantile of the normal distribution for an interval of 95 %.
const z95 = 1.959963984540054

// Interval is Wilson's score interval of the rate at 95 %, 0 to 1 (E. B.
// Wilson, "Probable inference, the law of succession, and statistical
// inference", 1927): unlike the usual one it holds for few decisions and for
// rates near 0 and 1. Without decisions it is all there is, 0 to 1.
func (o OptIn) Interval() (low, high float64) {
	if o.Decisions == 0 {
		return 0, 1
	}
	n := float64(o.Decisions)
	p := float64(o.Grants) / n
	middle := p + z95*z95/(2*n)
	spread := z95 * math.Sqrt(p*(1-p)/n+z95*z95/(4*n*n))
	scale := 1 + z95*z95/n
	return max(0, (middle-spread)/scale), min(1, (middle+spread)/scale)
}

// Variants reads what visitors answered to each variant of a site's banner in a
// period: by variant and purpose.
func Variants(ctx context.Context, db Querier, site string, p Period) (map[string]map[consent.Purpose]OptIn, error) {
	out := map[string]map[consent.Purpose]OptIn{}
	args := []any{
		clickhouse.Named("site", site),
		clickhouse.DateNamed("from", p.From, clickhouse.MilliSeconds), clickhouse.DateNamed("to", p.To, clickhouse.MilliSeconds),
	}
	err := each(ctx, db, statement("variants"), args, func(rows driver.Rows) error {
		var variant, purpose string
		var o OptIn
		if err := rows.Scan(&variant, &purpose, &o.Decisions, &o.Grants); err != nil {
			return err
		}
		if out[variant] == nil {
			out[variant] = map[consent.Purpose]OptIn{}
		}
		out[variant][consent.Purpose(purpose)] = o
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query variants of %s: %w", site, err)
	}
	return out, nil
}
