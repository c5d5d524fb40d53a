package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/consent"
)

// Querier reads from ClickHouse; driver.Conn is one.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (driver.Rows, error)
}

// Row is one line of an answer: a value for each dimension, as people see it,
// and a number for each metric of the query.
type Row struct {
	Dimensions []string
	Metrics    []float64
}

// Result answers a query. Without dimensions it has exactly one row.
type Result struct {
	Rows  []Row
	Total int // rows of all pages
}

// Run answers q. Errors: ErrUnavailable; *consent.FieldError, about filters, for
// a pattern that ClickHouse cannot compile.
func Run(ctx context.Context, db Querier, q Query) (Result, error) {
	text, args := q.compile()
	var out Result
	err := each(ctx, db, text, args, func(rows driver.Rows) error {
		row := Row{Dimensions: make([]string, len(q.Dimensions)), Metrics: make([]float64, len(q.Metrics))}
		var total uint64
		into := make([]any, 0, len(q.Dimensions)+len(q.Metrics)+1)
		for i := range row.Dimensions {
			into = append(into, &row.Dimensions[i])
		}
		for i := range row.Metrics {
			into = append(into, &row.Metrics[i])
		}
		if err := rows.Scan(append(into, &total)...); err != nil {
			return err
		}
		for i, d := range q.Dimensions {
			row.Dimensions[i] = q.shown(d, row.Dimensions[i])
		}
		out.Rows, out.Total = append(out.Rows, row), int(total)
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("query statistics of %s: %w", q.Site, err)
	}
	if len(out.Rows) == 0 && q.Offset > 0 { // the total comes with a row
		q.Limit, q.Offset = 1, 0
		first, err := Run(ctx, db, q)
		return Result{Total: first.Total}, err
	}
	return out, nil
}

// shown turns what the engine answers into what people read: an hour comes as
// Unix seconds, so that the two hours of one name, when clocks go back, stay
// two. Where clocks change within an hour, its full hour is none on the clock
// from before: its rest begins with the change.
func (q Query) shown(d Dimension, value string) string {
	if d.Name != "time:hour" {
		return d.Shown(value)
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return value
	}
	t := time.Unix(seconds, 0).In(q.zone())
	if _, change := t.ZoneBounds(); t.Minute() != 0 && !change.IsZero() {
		t = change
	}
	return t.Format(time.DateTime)
}

func (q Query) zone() *time.Location {
	if q.Zone == nil {
		return time.UTC
	}
	return q.Zone
}

// FirstEvent returns when the statistics of a site begin, the zero time where
// there are none.
func FirstEvent(ctx context.Context, db Querier, site string, test bool) (time.Time, error) {
	var first time.Time
	args := []any{clickhouse.Named("site", site), clickhouse.Named("test", test)}
	err := each(ctx, db, statement("first_event"), args, func(rows driver.Rows) error { return rows.Scan(&first) })
	if err != nil {
		return time.Time{}, fmt.Errorf("query first event of %s: %w", site, err)
	}
	if first.Unix() <= 0 {
		return time.Time{}, nil
	}
	return first, nil
}

// ErrUnavailable means that there is no answer now: ClickHouse cannot be
// reached, or gives the question no more time or memory.
var ErrUnavailable = errors.New("statistics cannot be read now")

// Codes of ClickHouse's exceptions that say so.
const (
	timeoutExceeded     = 159
	tooManyQueries      = 202
	memoryLimitExceeded = 241
)

// cannotCompile is the code of ClickHouse's exception about a pattern that RE2
// gives no memory, though Go compiles it.
const cannotCompile = 427

// judged says of an error of the driver what was wrong: the question's pattern
// (*consent.FieldError), nothing that lasts (ErrUnavailable), or else a mistake
// of ours, which stays as it is.
func judged(err error) error {
	var e *clickhouse.Exception
	if errors.As(err, &e) && e.Code == cannotCompile {
		var bad consent.FieldError
		bad.Add("filters", "a regular expression is more than ClickHouse (RE2) compiles: make it shorter, or repeat less in it")
		return &bad
	}
	if errors.As(err, &e) && e.Code != timeoutExceeded && e.Code != tooManyQueries && e.Code != memoryLimitExceeded {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// each runs a query and calls fn for every row of its answer. Errors:
// ErrUnavailable, *consent.FieldError.
func each(ctx context.Context, db Querier, text string, args []any, fn func(driver.Rows) error) error {
	rows, err := db.Query(ctx, text, args...)
	if err != nil {
		return judged(err)
	}
	for rows.Next() {
		if err := fn(rows); err != nil {
			_ = rows.Close() // the scan's error is the one to tell
			return err
		}
	}
	if err := rows.Err(); err != nil {
		_ = rows.Close()
		return judged(err)
	}
	return rows.Close()
}
