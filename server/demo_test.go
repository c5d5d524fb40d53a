package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDemoLeavesOthersFilesAlone starts the demo in folders that are not its
// own: nothing in them changes.
func TestDemoLeavesOthersFilesAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, text string
		want       string // of the refusal; "": it starts
	}{
		"an owner's configuration":    {"sluice.yaml", "sites: [{domain: example.com}]\n", "sluice.yaml is not the demo's own"},
		"an empty configuration":      {"sluice.yaml", "", "sluice.yaml is not the demo's own"},
		"a server's spool":            {"spool/lock", "", "holds the data of a server (spool)"},
		"a server's keys":             {"keys/token.key", "k", "holds the data of a server (keys)"},
		"a server's consents":         {"consent.idx", "i", "holds the data of a server (consent.idx)"},
		"the demo's own":              {"sluice.yaml", demoHeading + "\nserver: {}\n", ""},
		"something of no consequence": {"notes.txt", "mine", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, tt.file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(tt.text), 0o600)); err != nil {
				t.Fatal(err)
			}
			d, err := newDemo("127.0.0.1:0", dir, io.Discard)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				d.hangUp()
				return
			}
			if err == nil {
				d.hangUp()
				t.Fatal("the demo has taken the folder")
			}
			if !strings.Contains(err.Error(), tt.want) || Report(io.Discard, err) != 2 {
				t.Errorf("refusal: %v, status %d; want %q, status 2", err, Report(io.Discard, err), tt.want)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != tt.text {
				t.Errorf("%s is now %q, %v", tt.file, got, err)
			}
		})
	}
}

// hangUp closes what newDemo has opened.
func (d *demoServers) hangUp() {
	for _, l := range []io.Closer{d.shop, d.google, d.mill} {
		l.Close()
	}
}

// TestDemoStartsTornHistoryOver interrupts the first start: the next one makes
// the whole year, and the one after it keeps it.
func TestDemoStartsTornHistoryOver(t *testing.T) {
	t.Parallel()
	out := &logs{}
	d, err := newDemo("127.0.0.1:0", t.TempDir(), out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.hangUp)
	open := func() *machine {
		t.Helper()
		m, err := d.open(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open()
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for !m.state.proven() && pause(ctx, time.Millisecond) {
		}
		interrupt()
	}()
	if err := d.history(ctx, m, 300_000); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted history: %v", err)
	}
	if err := m.abandon(); err != nil {
		t.Fatal(err)
	}
	if m = open(); m.state.proven() {
		t.Error("half a history is taken for a whole one")
	}
	if !strings.Contains(out.String(), "starting over") {
		t.Errorf("nothing is said of the interruption:\n%s", out)
	}
	if err := errors.Join(d.history(t.Context(), m, 500), m.abandon()); err != nil {
		t.Fatal(err)
	}
	if m = open(); !m.state.proven() {
		t.Error("a whole history is thrown away")
	}
	if err := m.abandon(); err != nil {
		t.Fatal(err)
	}
}

func TestDemoListen(t *testing.T) {
	t.Parallel()
	taken, err := listenNear("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d, err := newDemo(taken.Addr().String(), t.TempDir(), io.Discard)
	if err != nil || d.sluice == taken.Addr().String() {
		t.Fatalf("where the port is taken: %+v, %v", d, err)
	}
	d.hangUp()
	for address, want := range map[string]string{
		"127.0.0.1:99999": `"99999" is not a port`,
		"127.0.0.1:-1":    `"-1" is not a port`,
		"127.0.0.1:http":  `"http" is not a port`,
		"127.0.0.1":       "is not host:port",
	} {
		dir := filepath.Join(t.TempDir(), "demo")
		d, err := newDemo(address, dir, io.Discard)
		if err == nil {
			d.hangUp()
			t.Errorf("%s is taken for %s", address, d.sluice)
			continue
		}
		if !strings.Contains(err.Error(), want) || Report(io.Discard, err) != 2 {
			t.Errorf("%s: %v, want %q and status 2", address, err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the folder was made all the same", address)
		}
	}
}
