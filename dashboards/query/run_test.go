package query

import (
	"context"
	"errors"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/collector/store/storetest"
)

// away is a ClickHouse that answers with an error.
type away struct{ err error }

func (a away) Query(context.Context, string, ...any) (driver.Rows, error) { return nil, a.err }

// TestUnavailable tells what may pass from what is wrong with the question.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"nobody there", errors.New("dial unix: connection refused"), true},
		{"too long", &clickhouse.Exception{Code: timeoutExceeded}, true},
		{"too large", &clickhouse.Exception{Code: memoryLimitExceeded}, true},
		{"a mistake of ours", &clickhouse.Exception{Code: 47}, false},
	}
	q := Query{Site: "known.example", Metrics: metrics[:1], From: knownNow.AddDate(0, 0, -1), To: knownNow}
	for _, tt := range tests {
		_, err := Run(t.Context(), away{tt.err}, q)
		if !errors.Is(err, tt.err) || errors.Is(err, ErrUnavailable) != tt.want {
			t.Errorf("%s: got %v, ErrUnavailable: want %t", tt.name, err, tt.want)
		}
	}
}

// TestEngineException checks that an error of the real engine keeps its type.
func TestEngineException(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t).Conn()
	err := each(t.Context(), db, "SELECT no_such_column FROM events", nil, func(driver.Rows) error { return nil })
	var e *clickhouse.Exception
	if !errors.As(err, &e) || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want an exception that is not ErrUnavailable", err)
	}
	err = each(t.Context(), db, "SELECT sleepEachRow(0.1) FROM numbers(100) SETTINGS max_execution_time = 1, max_block_size = 1", nil, func(driver.Rows) error { return nil })
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("a query beyond its time: got %v, want ErrUnavailable", err)
	}
}
