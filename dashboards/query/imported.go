package query

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ImportedDay is what another tool counted on a day of a site's calendar.
type ImportedDay struct {
	Day                         string // 2006-01-02
	Tool                        string
	Visitors, Visits, Pageviews uint64
}

// ImportedDays reads the imports of a site that lie in a period, in order.
// Errors: ErrUnavailable.
func ImportedDays(ctx context.Context, db Querier, site string, p Period) ([]ImportedDay, error) {
	var out []ImportedDay
	args := []any{
		clickhouse.Named("site", site),
		clickhouse.Named("from", p.From.Format(time.DateOnly)), clickhouse.Named("to", p.To.Add(-time.Second).Format(time.DateOnly)),
	}
	err := each(ctx, db, statement("imported"), args, func(rows driver.Rows) error {
		var d ImportedDay
		if err := rows.Scan(&d.Day, &d.Tool, &d.Visitors, &d.Visits, &d.Pageviews); err != nil {
			return err
		}
		out = append(out, d)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query imports of %s: %w", site, err)
	}
	return out, nil
}

// KeyDraws reads in which hours of a period the key of the day was drawn anew.
// Errors: ErrUnavailable.
func KeyDraws(ctx context.Context, db Querier, site string, p Period) ([]time.Time, error) {
	var out []time.Time
	args := []any{
		clickhouse.Named("site", site),
		clickhouse.Named("from", p.From.Truncate(time.Hour)), clickhouse.Named("to", p.To.Truncate(time.Second)),
	}
	err := each(ctx, db, statement("key_draws"), args, func(rows driver.Rows) error {
		var hour time.Time
		if err := rows.Scan(&hour); err != nil {
			return err
		}
		out = append(out, hour)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query key draws of %s: %w", site, err)
	}
	return out, nil
}
