package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
)

// commandLine runs commands on a data directory.
type commandLine struct {
	t      *testing.T
	data   string
	config string
}

func newCommandLine(t *testing.T) commandLine {
	t.Helper()
	dir := t.TempDir()
	c := commandLine{t, filepath.Join(dir, "data"), filepath.Join(dir, "sluice.yaml")}
	if err := os.WriteFile(c.config, []byte("data_dir: data\nsites: [{domain: example.com}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// run returns what a command prints and its exit status. What it prints on
// standard error is appended.
func (c commandLine) run(words string, args ...string) (string, int) {
	c.t.Helper()
	var out bytes.Buffer
	line := append(append(strings.Fields(words), "--config", c.config), args...)
	status := Report(&out, Run(context.Background(), line, strings.NewReader(""), &out, &out))
	return out.String(), status
}

// want checks a command's exit status and that its words appear in order.
func (c commandLine) want(status int, words string, args []string, inOrder ...string) {
	c.t.Helper()
	out, got := c.run(words, args...)
	rest := out
	for _, text := range inOrder {
		_, after, found := strings.Cut(rest, text)
		if !found {
			c.t.Errorf("sluice %s %v lacks %q:\n%s", words, args, text, out)
		}
		rest = after
	}
	if got != status {
		c.t.Errorf("sluice %s %v: status %d, want %d:\n%s", words, args, got, status, out)
	}
}

// entry is a record whose bytes are known.
type entry string

func (entry) Kind() spool.Kind { return spool.KindEvent }

func (e entry) Commit(dst []byte, _ uint64) ([]byte, bool) { return append(dst, e...), true }

func TestSpoolStatus(t *testing.T) {
	t.Parallel()
	c := newCommandLine(t)
	c.want(1, "spool status", nil, "holds no spool yet")
	c.want(2, "spool status", []string{"x"}, "one argument too many")

	dir := filepath.Join(c.data, "spool")
	sp, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{store.WriterName, store.TakeBackName} {
		if err := sp.Register(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"first", "second", "third"} {
		if err := sp.Append(t.Context(), entry(text)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = sp.Consume(ctx, store.TakeBackName, sinkFunc(func(context.Context, spool.Batch) error { cancel(); return nil }),
		spool.ConsumerOptions{MaxWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	healthy := []string{
		sp.ID().String(), "3 in all, kept from 1 on", "MiB of 2 GiB in 1 segments",
		"torn", "nothing", "lost", "nothing", "dead", "0", "clickhouse  1     3", "takeback    4     0",
	}
	c.want(0, "spool status", nil, healthy...) // while somebody writes
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	c.want(0, "spool status", nil, healthy...)

	// A bit turns in the second record, and one in a cursor.
	turn := func(name, where string) {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(b, []byte(where))
		if i < 0 {
			t.Fatalf("%s does not hold %q", name, where)
		}
		b[i] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	turn("00000000000000000001.seg", "second")
	turn("clickhouse.cur", "SLCU")
	if err := os.WriteFile(filepath.Join(dir, "quarantine", "1-x-1.torn"), make([]byte, 120), 0o600); err != nil {
		t.Fatal(err)
	}
	c.want(0, "spool status", nil, "3 in all", "torn", "120 bytes", "lost", "2–2", "clickhouse  ?     cannot run", "takeback    4     0")
}

type sinkFunc func(context.Context, spool.Batch) error

func (f sinkFunc) Deliver(ctx context.Context, b spool.Batch) error { return f(ctx, b) }

// TestDeadLetterCommands buries forwards that the table refuses, and puts them
// back beside the running engine and without it.
func TestDeadLetterCommands(t *testing.T) {
	t.Setenv("SLUICE_LIBCHDB", storetest.Library(t))
	c := newCommandLine(t)
	c.want(0, "spool dead", nil, "There are no dead letters.")
	c.want(0, "spool replay", []string{"--all"}, "There are no dead letters.")

	s := storetest.OpenWith(t, store.Options{DataDir: c.data})
	exec := func(statement string) {
		t.Helper()
		if err := s.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("ALTER TABLE forwards ADD CONSTRAINT taste CHECK event_id NOT LIKE 'bad%'")
	b := spool.Batch{Spool: uuid.New(), First: 41, Last: 45, Attempt: 1}
	for i, id := range []string{"good", "bad-mary", "bad-grace", "bad-joan"} {
		data, err := collector.Forward{
			Site: "example.com", EventID: id, EventSeq: uint64(i + 1), ReceiptID: uuid.New(),
			Destination: "google-analytics", State: collector.Acknowledged, Time: time.Now().UTC(),
		}.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		b.Records = append(b.Records, spool.Record{Seq: 41 + uint64(i), Kind: spool.KindForward, Data: data})
	}
	b.Records = append(b.Records, spool.Record{Seq: 45, Kind: 77, Data: []byte("of a newer version, about mary")})
	if err := s.Deliver(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	id := func(seq uint64) string { return fmt.Sprintf("%s-%d", b.Spool.String()[:8], seq) }

	out, _ := c.run("spool dead")
	if strings.Contains(out, "mary") || strings.Contains(out, "grace") {
		t.Errorf("the list shows what is in the letters:\n%s", out)
	}
	c.want(0, "spool dead", nil, "ID", id(42), "forward", "code 469", "taste", id(43), id(44), id(45), "kind 77", "unknown to this version")

	c.want(2, "spool replay", nil, "name the letters")
	c.want(2, "spool replay", []string{"--all", id(42)}, "name the letters")
	c.want(1, "spool replay", []string{id(42), id(41)}, "no dead letter "+id(41))
	c.want(1, "spool replay", []string{id(42)}, "0 put back, 1 refused again", id(42), "code 469")

	exec("ALTER TABLE forwards DROP CONSTRAINT taste")
	c.want(0, "spool replay", []string{id(42), id(44)}, "2 put back, 0 refused again")
	c.want(0, "sql", []string{"--format", "csv", "SELECT arrayStringConcat(arraySort(groupArray(concat(event_id, ' ', toString(seq)))), ', ') FROM forwards"},
		"bad-joan 44, bad-mary 42, good 41")

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.want(1, "spool replay", []string{"--all"}, "1 put back, 1 refused again", id(45))
	c.want(0, "sql", []string{"--format", "csv", "SELECT count(), uniqExact(seq) FROM forwards"}, "4,4")
	c.want(0, "spool dead", nil, id(45))
}
