package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"sluice/collector/spool"
)

// rejected is a row that its table does not take.
type rejected struct {
	row row
	err error // why
}

// manyRows is from how many rows on a batch goes in as two halves, side by side:
// while ClickHouse takes one, the other is prepared. A backlog drains sooner; what
// arrives within a second is less.
const manyRows = 12_000

// insertAll writes the rows of one table and returns those it cannot hold. The
// same batch is always divided in the same way, each part under tokens of its
// own.
func (s *Store) insertAll(ctx context.Context, b *spool.Batch, t table) ([]rejected, error) {
	token := fmt.Sprintf("sluice-%s-%s-%d-%d", b.Spool, t.name, b.First, b.Last)
	if len(t.rows) < s.halve {
		return s.insert(ctx, b, t, token)
	}
	var bad [2][]rejected
	var both errgroup.Group // one that fails leaves the other its time
	for i, rows := range [][]row{t.rows[:len(t.rows)/2], t.rows[len(t.rows)/2:]} {
		half := t
		half.rows = rows
		both.Go(func() (err error) {
			bad[i], err = s.insert(ctx, b, half, fmt.Sprintf("%s-%d", token, i))
			return err
		})
	}
	if err := both.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(bad[:]...), nil
}

// insert writes rows of one table and returns those it cannot hold.
//
// A first attempt goes straight in, under the token, which is made of the batch's bounds.
// Any later one first reads back what is there: on a single node ClickHouse
// commits rows and token in two steps, and a kill between them makes the token
// lie in either direction. What is missing goes in under the same token all
// the same, because the insert of an earlier attempt may still be under way,
// in ClickHouse or in the network, also where its sender is long dead: whoever
// comes second is dropped. Then it looks again, and only what the token kept
// out goes in under another one.
func (s *Store) insert(ctx context.Context, b *spool.Batch, t table, token string) ([]rejected, error) {
	if len(t.rows) == 0 {
		return nil, nil
	}
	if b.Attempt <= 1 && !b.Recovered {
		return s.send(ctx, t, t.rows, token)
	}
	var bad []rejected
	// Every attempt goes through the same tokens, but for the last, which has
	// no past that could be in its way.
	for _, token := range []string{token, token + "-again", "sluice-" + rand.Text()} {
		missing, err := s.missing(ctx, b, t, bad)
		if err != nil || len(missing) == 0 {
			return bad, err
		}
		worse, err := s.send(ctx, t, missing, token)
		if err != nil {
			return nil, err
		}
		bad = append(bad, worse...)
	}
	missing, err := s.missing(ctx, b, t, bad)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%d rows are not there after they were inserted", len(missing))
	}
	return bad, err
}

// missing returns the rows that the table does not hold, those given up aside.
func (s *Store) missing(ctx context.Context, b *spool.Batch, t table, bad []rejected) ([]row, error) {
	var stored []identity
	if s.o.Cluster != "" {
		ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"select_sequential_consistency": 1}))
	}
	query := "SELECT seq, " + t.identity + " AS of FROM " + t.name + " WHERE spool_id = {spool:UUID} AND seq BETWEEN {first:UInt64} AND {last:UInt64}"
	err := s.conn.Select(ctx, &stored, query,
		clickhouse.Named("spool", b.Spool), clickhouse.Named("first", b.First), clickhouse.Named("last", b.Last))
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	there := make(map[identity]bool, len(stored))
	for _, id := range stored {
		there[id] = true
	}
	for _, r := range bad {
		there[r.row.identity()] = true
	}
	return slices.DeleteFunc(slices.Clone(t.rows), func(r row) bool { return there[r.identity()] }), nil
}

// send inserts rows as one block. Where ClickHouse refuses the data itself it
// halves them until the rows at fault are alone.
func (s *Store) send(ctx context.Context, t table, rows []row, token string) ([]rejected, error) {
	bad, err := s.sendBlock(ctx, t, rows, token)
	if err == nil || !refusesData(err) {
		return bad, err
	}
	if len(rows) == 1 {
		return []rejected{{rows[0], err}}, nil
	}
	for i, half := range [][]row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		worse, err := s.send(ctx, t, half, fmt.Sprintf("%s.%d", token, i))
		if err != nil {
			return nil, err
		}
		bad = append(bad, worse...)
	}
	return bad, nil
}

// sendBlock inserts rows as one block, without those that the driver cannot
// put into the columns' types.
func (s *Store) sendBlock(ctx context.Context, t table, rows []row, token string) (bad []rejected, err error) {
	settings := clickhouse.Settings{"insert_deduplication_token": token, "insert_deduplicate": 1, "async_insert": 0}
	if s.o.Cluster != "" {
		settings["distributed_foreground_insert"] = 1
		settings["insert_quorum"] = "auto"
		settings["insert_quorum_parallel"] = 0
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings))
	statement := "INSERT INTO " + t.name + " (" + strings.Join(columns(t.row), ", ") + ")"
	whole := true // no row is known to be unfit
	for {
		batch, err := s.conn.PrepareBatch(ctx, statement)
		if err != nil {
			return nil, fmt.Errorf("prepare insert: %w", err)
		}
		unfit := -1
		var unmade []rejected
		if whole {
			unmade, err = appendColumns(batch, rows)
			whole = err == nil
		} else {
			unmade, unfit, err = appendRows(batch, rows)
		}
		if err == nil {
			if err := batch.Send(); err != nil {
				return nil, fmt.Errorf("insert %d rows: %w", len(rows), err)
			}
			return append(bad, unmade...), nil
		}
		// The driver has taken part of the rows: begin again, first to see which
		// one is at fault, then without it.
		if err := batch.Close(); err != nil {
			return nil, fmt.Errorf("give up an insert: %w", err)
		}
		if unfit >= 0 {
			bad = append(bad, rejected{rows[unfit], err})
			rows = slices.Delete(slices.Clone(rows), unfit, unfit+1)
		}
	}
}

// appendRows puts rows into the batch one by one. unmade are those of which
// there is no row, unfit is the one that the driver does not take.
func appendRows(batch driver.Batch, rows []row) (unmade []rejected, unfit int, err error) {
	var room eventRow
	for i, r := range rows {
		v, err := r.made(&room)
		if err != nil {
			unmade = append(unmade, rejected{r, err})
			continue
		}
		if err := batch.AppendStruct(v); err != nil {
			return nil, i, fmt.Errorf("put row into its columns: %w", err)
		}
	}
	return unmade, -1, nil
}

// rowsAtOnce is how many rows are looked at again for each column, so few that
// the processor's cache still has them.
const rowsAtOnce = 256

// appendColumns puts rows into the batch column by column, at half the cost of
// doing it row by row. unmade are those of which there is no row.
func appendColumns(batch driver.Batch, rows []row) (unmade []rejected, err error) {
	var columns []columnInput
	room := make([]eventRow, min(len(rows), rowsAtOnce))
	made := make([]reflect.Value, 0, len(room))
	for piece := range slices.Chunk(rows, rowsAtOnce) {
		made = made[:0]
		for i, r := range piece {
			v, err := r.made(&room[i])
			if err != nil {
				unmade = append(unmade, rejected{r, err})
				continue
			}
			made = append(made, reflect.ValueOf(v).Elem())
		}
		if len(made) == 0 {
			continue
		}
		if columns == nil {
			if columns, err = newColumns(batch, made[0].Type()); err != nil {
				return nil, err
			}
		}
		for i := range columns {
			if err := batch.Column(i).Append(columns[i].of(made)); err != nil {
				return nil, fmt.Errorf("append column %s: %w", batch.Columns()[i].Name(), err)
			}
		}
		runtime.Gosched() // whoever waits at a door goes first
	}
	return unmade, nil
}

// newColumns prepares to fill a batch's columns from structs of a type.
func newColumns(batch driver.Batch, of reflect.Type) ([]columnInput, error) {
	columns := make([]columnInput, len(batch.Columns()))
	for i, c := range batch.Columns() {
		field, ok := fieldOf(of, c.Name())
		if !ok {
			return nil, fmt.Errorf("no field of %s is column %s", of, c.Name())
		}
		columns[i] = newColumnInput(field, strings.HasPrefix(string(c.Type()), "LowCardinality("))
	}
	return columns, nil
}

// columnInput is what one column of a batch is filled from.
type columnInput struct {
	field  []int
	values reflect.Value  // a slice, used for one piece of rows after the other
	seen   map[string]any // texts of a column that has few, each made an interface once; nil for others
}

func newColumnInput(field reflect.StructField, few bool) columnInput {
	c := columnInput{field: field.Index}
	elem := field.Type
	if few && elem.Kind() == reflect.String {
		c.seen, elem = map[string]any{}, reflect.TypeFor[any]()
	}
	c.values = reflect.MakeSlice(reflect.SliceOf(elem), rowsAtOnce, rowsAtOnce)
	return c
}

// of returns the column's values in the rows of a piece, until it is called
// again.
func (c *columnInput) of(piece []reflect.Value) any {
	values := c.values.Slice(0, len(piece))
	switch out := values.Interface().(type) {
	case []string:
		for i, r := range piece {
			out[i] = r.FieldByIndex(c.field).String()
		}
	case []any:
		for i, r := range piece {
			out[i] = c.shared(r.FieldByIndex(c.field).String())
		}
	default:
		for i, r := range piece {
			values.Index(i).Set(r.FieldByIndex(c.field))
		}
	}
	return values.Interface()
}

// shared returns one interface for all texts that are equal. The driver takes
// nil for the empty text, and has not to look it up.
func (c *columnInput) shared(text string) any {
	if text == "" {
		return nil
	}
	value, ok := c.seen[text]
	if !ok {
		value = text
		c.seen[text] = value
	}
	return value
}

// fieldOf finds the field of a row type whose ch tag names a column.
func fieldOf(t reflect.Type, column string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous && f.Tag.Get("ch") == column {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// dataErrors are the codes with which ClickHouse says that a value is wrong,
// rather than that it cannot answer: of parsing, conversion, range and
// constraints (src/Common/ErrorCodes.cpp).
var dataErrors = []int32{
	6,   // CANNOT_PARSE_TEXT
	25,  // CANNOT_PARSE_ESCAPE_SEQUENCE
	26,  // CANNOT_PARSE_QUOTED_STRING
	27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	32,  // ATTEMPT_TO_READ_AFTER_EOF
	33,  // CANNOT_READ_ALL_DATA
	38,  // CANNOT_PARSE_DATE
	41,  // CANNOT_PARSE_DATETIME
	53,  // TYPE_MISMATCH
	69,  // ARGUMENT_OUT_OF_BOUND
	70,  // CANNOT_CONVERT_TYPE
	72,  // CANNOT_PARSE_NUMBER
	117, // INCORRECT_DATA
	131, // TOO_LARGE_STRING_SIZE
	252, // TOO_MANY_PARTS, which also means: too many partitions in one block
	321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	376, // CANNOT_PARSE_UUID
	407, // DECIMAL_OVERFLOW
	469, // VIOLATED_CONSTRAINT
	691, // UNKNOWN_ELEMENT_OF_ENUM
}

// refusesData tells a row at fault from a server in trouble.
func refusesData(err error) bool {
	var e *clickhouse.Exception
	if !errors.As(err, &e) {
		return false
	}
	if e.Code == 252 {
		return strings.Contains(e.Message, "partitions")
	}
	return slices.Contains(dataErrors, e.Code)
}
