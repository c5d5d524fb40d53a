package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/collector/store/engine"
)

// Limits of one query of `sluice sql`.
const (
	sqlTime    = time.Minute
	sqlRows    = 1_000_000
	sqlBytes   = 256 << 20 // of the answer, which the engine holds as a whole
	sqlMemory  = 512 << 20
	sqlTimeout = sqlTime + 10*time.Second // with what lies around it
)

// sqlFormats maps the words of --format to ClickHouse's. CSV has no header
// line.
var sqlFormats = map[string]string{"table": "PrettyCompactMonoBlock", "csv": "CSV", "json": "JSON"}

// RefusedError is a query that is not run: it is not one statement that reads,
// or it reaches beyond the database.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "query refused: " + e.Reason }

// RunSQL runs one read-only query and writes its answer to w, in the format
// table, csv or json. With the embedded engine it asks the server's engine
// where one runs, and starts one otherwise. The error is a *RefusedError for a
// query that may not run.
func RunSQL(ctx context.Context, o Options, query, format string, w io.Writer) (err error) {
	as, ok := sqlFormats[format]
	if !ok {
		return fmt.Errorf("format %q: write table, csv or json", format)
	}
	s, err := OpenForReading(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, sqlTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"readonly":           1,
		"max_execution_time": int(sqlTime.Seconds()), "timeout_overflow_mode": "throw",
		"max_result_rows": sqlRows, "max_result_bytes": sqlBytes, "result_overflow_mode": "throw",
		"max_memory_usage": sqlMemory,
		// The terminal gets text, whatever the values hold.
		"output_format_pretty_color": 0, "output_format_pretty_max_rows": 10_000,
	}))
	if err := vet(ctx, s.conn, query); err != nil {
		return err
	}
	answer, err := s.conn.QueryFormat(ctx, as, query)
	if errors.Is(err, clickhouse.ErrFormatNativeUnsupported) {
		return errors.New("sluice sql speaks HTTP with a server: set clickhouse.url to http://…:8123 or https://…:8443")
	}
	if err != nil {
		return inItsWords(err)
	}
	_, err = io.Copy(w, answer)
	return errors.Join(err, answer.Close())
}

// inItsWords gives an error of the engine's as a sentence for the one who wrote
// the query: without the way it came, and without the list of every word that
// the parser would have taken.
func inItsWords(err error) error {
	var e *clickhouse.Exception
	if !errors.As(err, &e) {
		return fmt.Errorf("run the query: %w", err)
	}
	message, _, _ := strings.Cut(e.Message, ". Expected one of:")
	return fmt.Errorf("the query failed with code %d: %s", e.Code, message)
}

// OpenForReading connects to the database without touching its tables. With the
// embedded engine it asks the one of a server that runs, and starts one
// otherwise. The caller closes the store.
func OpenForReading(ctx context.Context, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	socket := engine.SocketPath(engineDir(o.DataDir))
	if o.URL == Embedded && !answers(ctx, socket) {
		if _, err := os.Stat(filepath.Join(engineDir(o.DataDir), "clickhouse")); err != nil {
			return nil, fmt.Errorf("%s holds no data yet: start `sluice serve` first (%w)", o.DataDir, err)
		}
		s, err := Open(o)
		if err != nil {
			return nil, err
		}
		if err := s.child.Ready(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	}
	opt, err := driverOptions(o.URL)
	if err != nil {
		return nil, err
	}
	if o.URL == Embedded {
		opt.DialContext = engine.DialFunc(socket)
	}
	conn, err := clickhouse.Open(opt)
	if err != nil {
		return nil, fmt.Errorf("open clickhouse: %w", err)
	}
	return &Store{o: o, log: o.Logger, conn: conn, database: opt.Auth.Database, dead: deadLettersOf(o.DataDir, o.Logger)}, nil
}

// answers reports whether an engine answers on the socket.
func answers(ctx context.Context, socket string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return engine.Alive(ctx, socket) == nil
}

var (
	// A line of EXPLAIN AST: the depth as spaces, the kind of node, its name.
	astNode = regexp.MustCompile(`^( *)(\S+)(?: (\S+))?`)
	// What a query may be, by the kind of its outermost node.
	readingNode = regexp.MustCompile(`^(SelectWithUnionQuery|SelectIntersectExceptQuery|SelectQuery|Show\w*|Describe\w*|Explain)$`)
)

// harmlessTableFunctions make rows out of nothing, or out of our own tables.
var harmlessTableFunctions = []string{
	"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "generaterandom",
	"values", "null", "view", "merge", "format", "primes",
}

// reachingFunctions read files or the network though they are no table
// functions; so do those with a prefix of reachingPrefixes.
var (
	reachingFunctions = []string{"file", "reversednsquery", "naivebayesclassifier", "catboostevaluate", "joinget", "joingetornull", "showcertificate"}
	reachingPrefixes  = []string{"dict", "ai", "zookeeper"}
)

// vet refuses what is not one statement that reads our tables or those of the
// engine about itself. It judges the engine's own parse of the query, never
// its text. readonly stands behind it: what vet lets pass by mistake still
// cannot write.
func vet(ctx context.Context, conn driver.Conn, query string) error {
	nodes, err := texts(ctx, conn, "EXPLAIN AST "+query)
	if err != nil {
		return inItsWords(err)
	}
	functions, err := texts(ctx, conn, "SELECT lower(name) FROM system.table_functions")
	if err != nil {
		return fmt.Errorf("list table functions: %w", err)
	}
	functions = slices.DeleteFunc(functions, func(name string) bool { return slices.Contains(harmlessTableFunctions, name) })
	return vetNodes(nodes, functions)
}

// vetNodes judges the lines of an EXPLAIN AST. reaching are the names, in
// lower case, of the table functions that are not allowed.
func vetNodes(lines, reaching []string) error {
	var parents []string // kinds of the nodes above, by depth
	for i, line := range lines {
		m := astNode.FindStringSubmatch(line)
		if m == nil {
			return &RefusedError{"the engine's parse of it is not understood"}
		}
		depth, kind, name := len(m[1]), m[2], m[3]
		if depth > len(parents) {
			return &RefusedError{"the engine's parse of it is not understood"}
		}
		parents = append(parents[:depth], kind)
		switch {
		case i == 0 && !readingNode.MatchString(kind):
			return &RefusedError{"it has to be one SELECT, WITH, SHOW, DESCRIBE or EXPLAIN"}
		case depth == 1 && parents[0] == "SelectWithUnionQuery" && kind == "Literal":
			return &RefusedError{"INTO OUTFILE writes a file; redirect the output instead"}
		case depth == 1 && parents[0] == "SelectWithUnionQuery" && kind == "Identifier":
			return &RefusedError{"FORMAT is chosen with --format"}
		case kind == "TableIdentifier":
			if err := vetTable(name); err != nil {
				return err
			}
		case kind == "Function":
			if err := vetFunction(name, depth > 0 && parents[depth-1] == "TableExpression", reaching); err != nil {
				return err
			}
		}
	}
	return nil
}

// vetTable refuses other databases: that of the engine's own, default, takes
// the names of files for tables.
func vetTable(name string) error {
	database, _, qualified := strings.Cut(name, ".")
	if qualified && !slices.Contains([]string{Database, "system", "information_schema"}, strings.ToLower(database)) {
		return &RefusedError{fmt.Sprintf("%s is in another database than %s and system", name, Database)}
	}
	return nil
}

func vetFunction(name string, asTable bool, reaching []string) error {
	lower := strings.ToLower(name)
	reaches := slices.Contains(reaching, lower) || slices.Contains(reachingFunctions, lower) ||
		slices.ContainsFunc(reachingPrefixes, func(prefix string) bool { return strings.HasPrefix(lower, prefix) })
	if reaches || asTable && !slices.Contains(harmlessTableFunctions, lower) {
		return &RefusedError{fmt.Sprintf("%s() reads files, the network, or what lies outside the tables", name)}
	}
	return nil
}

// texts runs a query of one text column.
func texts(ctx context.Context, conn driver.Conn, query string) (out []string, err error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, rows.Err()
}
