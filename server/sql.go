package server

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"sluice/collector/store"
)

// sqlFormats are the words of --format.
var sqlFormats = []string{"table", "csv", "json"}

// runSQL runs one read-only query, while the server runs too.
func runSQL(ctx context.Context, t terminal, args []string) error {
	var path, format *string
	fs, err := flags(t, "sql", args, 1, func(fs *flag.FlagSet) {
		path = configFlag(fs)
		format = fs.String("format", "table", "`table`, csv (without a header line) or json")
	})
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{"sql: a query is needed: sluice sql 'SELECT count() FROM events'"}
	}
	if !slices.Contains(sqlFormats, *format) {
		return &usageError{fmt.Sprintf("sql: --format %q is not one of %s", *format, strings.Join(sqlFormats, ", "))}
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	return store.RunSQL(ctx, storeOptions(c, slog.New(slog.DiscardHandler)), fs.Arg(0), *format, t.out)
}
