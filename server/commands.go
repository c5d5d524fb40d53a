package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	_ "time/tzdata" // sites name time zones; a bare container has no database of them

	"golang.org/x/sys/unix"

	"sluice/server/config"
)

// command is one word of the command line.
type command struct {
	name, arguments, summary string // no summary: hidden
	run                      func(ctx context.Context, t terminal, args []string) error
}

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// commands lists every command, in the order of the help.
func commands() []command {
	return []command{
		{"serve", "--config F", "the server", runServe},
		{"demo", "[--listen 127.0.0.1:8080] [--data-dir DIR] [--events N]", "a small shop with the script embedded, history for the dashboards, a local stand-in for Google Analytics", runDemo},
		{"check", "--config F", "every configuration problem at once, with line, path and remedy", runCheck},
		{"snippet", "TARGET [--config F] [--site DOMAIN] [--upstream URL] [--strip] [--only PART]", "what to paste on nginx, caddy, apache, next, wordpress or static pages: the proxy, the script tag, the link", runSnippet},
		{"doctor", "URL [--config F] [--json]", "what is wrong with an installation, each with the line that mends it; exit status 1", runDoctor},
		{"user hash", "", "password from terminal or standard input → argon2id hash for users[].password_hash", runUserHash},
		{"ledger verify", "[--config F]", "checks the chain of consent receipts", runLedgerVerify},
		{"ledger proof", "[--config F] RECEIPT_ID", "one receipt's proof", runLedgerProof},
		{"backup", "DIR|s3://BUCKET/PREFIX [--config F] [--no-keys]", "one archive of everything, while the server runs too", runBackup},
		{"restore", "FILE|DIR|s3://… --data-dir EMPTY [--config F] [--identity F] [--consent-index F] [--new-keys]", "an archive, or the newest of a place, into an empty folder", runRestore},
		{"sql", "[--config F] [--format table|csv|json] QUERY", "one read-only query, while the server runs too", runSQL},
		{"import list", "[--config F]", "what was imported, with the id of each", runImportList},
		{"import remove", "[--config F] IMPORT", "takes an import back", runImportRemove},
		{"import", "ga4|bigquery|plausible|umami|goatcounter|log FILE… --site DOMAIN [--from DATE] [--to DATE] [--config F]", "what another tool has counted, as sums by day, while the server runs too", runImport},
		{"spool status", "[--config F]", "how far the spool's consumers are, what it holds, what is damaged", runSpoolStatus},
		{"spool dead", "[--config F]", "the records that ClickHouse refuses, each with its reason", runSpoolDead},
		{"spool replay", "[--config F] ID… | --all", "puts them back, while the server runs too", runSpoolReplay},
		{"forwards verify", "[--config F]", "checks the chain of what was sent to others", runForwardsVerify},
		{"forwards show", "[--config F] EVENT_ID", "what became of one event at each recipient, under which consent, and what came back", runForwardsShow},
		{"ga validate", "[--relaxed] [--json] FILE|-", "what Google Analytics would make of the body of a Measurement Protocol request, without asking Google", runGAValidate},
		{"version", "", "version, commit, engine version", runVersion},
		{"engine", "", "", runEngine},
	}
}

// usageError is a command line that cannot be understood; exit status 2.
type usageError struct{ problem string }

func (e *usageError) Error() string { return e.problem }

// Run runs the command that args name. It returns when the command has ended;
// a server ends when ctx is done.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	out := &checkedWriter{w: stdout}
	err := dispatch(ctx, args, terminal{stdin, out, stderr})
	if err != nil {
		return err
	}
	return out.failed()
}

// dispatch finds the command.
func dispatch(ctx context.Context, args []string, t terminal) error {
	if len(args) == 0 {
		help(t.err)
		return &usageError{"a command is needed"}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		help(t.out)
		return nil
	}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c.run(ctx, t, args[len(words):])
		}
	}
	help(t.err)
	return &usageError{fmt.Sprintf("there is no command %q", strings.Join(args, " "))}
}

// checkedWriter keeps the first error of what it writes to, so that no command
// has to look at each line that it prints: a snippet or a password's hash that
// did not reach its file is no success.
type checkedWriter struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.w.Write(p)
	if c.err == nil {
		c.err = err
	}
	return n, err
}

func (c *checkedWriter) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return fmt.Errorf("not everything was printed: %w", c.err)
	}
	return nil
}

func help(w io.Writer) {
	fmt.Fprintln(w, "Sluice: cookie consent and analytics in one place. Nothing flows until the visitor says so.")
	fmt.Fprintln(w, "\nUsage:")
	for _, c := range commands() {
		if c.summary != "" {
			fmt.Fprintf(w, "  sluice %s\n        %s\n", strings.TrimSpace(c.name+" "+c.arguments), c.summary)
		}
	}
	fmt.Fprintln(w, "\n--config falls back to $SLUICE_CONFIG, then to ./sluice.yaml.")
}

// Report prints what a run ended with and returns the exit status: 0 for
// success, 2 for a command line or configuration that cannot be used, else 1.
func Report(stderr io.Writer, err error) int {
	var usage *usageError
	var problems *config.Problems
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &problems):
		fmt.Fprintln(stderr, problems)
		return 2
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "sluice:", usage.problem)
		return 2
	}
	fmt.Fprintln(stderr, "sluice:", err)
	return 1
}

// flags parses a command's own flags. Positional arguments beyond at most are
// an error.
func flags(t terminal, name string, args []string, most int, define func(*flag.FlagSet)) (*flag.FlagSet, error) {
	fs := flag.NewFlagSet("sluice "+name, flag.ContinueOnError)
	fs.SetOutput(t.err)
	if define != nil {
		define(fs)
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, &usageError{name + ": " + err.Error()}
	}
	if fs.NArg() > most && strings.HasPrefix(fs.Arg(most), "-") {
		return nil, &usageError{fmt.Sprintf("%s: %s comes too late; options stand before everything else", name, fs.Arg(most))}
	}
	if fs.NArg() > most {
		return nil, &usageError{fmt.Sprintf("%s: %q is one argument too many", name, fs.Arg(most))}
	}
	return fs, nil
}

// configFlag defines --config. Its value is "" until the flag is given.
func configFlag(fs *flag.FlagSet) *string {
	return fs.String("config", "", "the configuration `file`; falls back to $SLUICE_CONFIG, then ./sluice.yaml")
}

// configPath is the file that --config, the environment or the folder names.
func configPath(flag string) string {
	if flag != "" {
		return flag
	}
	if env := os.Getenv("SLUICE_CONFIG"); env != "" {
		return env
	}
	return "sluice.yaml"
}

// loadConfig reads the configuration that --config names. Whatever keeps it
// from being read is an error of the command line: exit status 2.
func loadConfig(flag string) (*config.Config, error) {
	path := configPath(flag)
	c, err := config.Load(path)
	var problems *config.Problems
	switch {
	case err == nil || errors.As(err, &problems):
		return c, err
	case errors.Is(err, fs.ErrNotExist):
		problem := fmt.Sprintf("there is no %s; name the configuration with --config, or write one:\n\n  sites:\n    - domain: example.com\n", path)
		return nil, errors.Join(&usageError{problem}, fs.ErrNotExist)
	case errors.Is(err, unix.EISDIR):
		return nil, &usageError{fmt.Sprintf("%s is a folder; --config names a file, such as %s", path, filepath.Join(path, "sluice.yaml"))}
	}
	return nil, &usageError{err.Error()}
}

// unconfigured reports whether loadConfig found nothing where nobody named a
// file: some commands can do without.
func unconfigured(flag string, err error) bool {
	return flag == "" && os.Getenv("SLUICE_CONFIG") == "" && errors.Is(err, fs.ErrNotExist)
}

func runCheck(_ context.Context, t terminal, args []string) error {
	var path *string
	if _, err := flags(t, "check", args, 0, func(fs *flag.FlagSet) { path = configFlag(fs) }); err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	notices := c.Notices()
	for _, n := range notices {
		fmt.Fprintf(t.out, "%s:%s\n", configPath(*path), n)
	}
	if len(notices) > 0 {
		fmt.Fprintf(t.out, "%s can be used; the lines above (%d) are for your notice\n", configPath(*path), len(notices))
		return nil
	}
	fmt.Fprintf(t.out, "%s is fine\n", configPath(*path))
	return nil
}
