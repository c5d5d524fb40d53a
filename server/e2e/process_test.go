package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/server"
)

// serveVariable marks a process of the test binary that is `sluice serve`.
const serveVariable = "SLUICE_E2E_SERVE"

// serveAsMain is main.go, in the test's binary.
func serveAsMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := server.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(server.Report(os.Stderr, err))
}

// process is `sluice serve` in a process of its own, started again and again
// on one data directory. It is SLUICE_BIN where that is set, as `make torture`
// does, else the test's own binary.
type process struct {
	*rig
	binary string
	env    []string // for the next start
	cmd    *exec.Cmd
	ended  chan struct{} // closed once cmd is gone and exit is set
	exit   error
	lives  []*os.File // one for each start: at its end once nothing of that start is left
}

// newProcess writes a configuration whose doors and data are the test's own;
// settings is YAML that follows: sites, clickhouse and the like.
func newProcess(t *testing.T, dataDir, settings string) *process {
	t.Helper()
	requireEngine(t)
	p := &process{rig: &rig{t: t, dir: t.TempDir(), logs: &logs{}}, binary: os.Getenv("SLUICE_BIN")}
	if p.binary == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		p.binary, p.env = self, []string{serveVariable + "=1"}
	}
	if dataDir == "" {
		dataDir = filepath.Join(p.dir, "data")
	}
	p.sluice, p.metrics = "http://"+freeAddress(t), "http://"+freeAddress(t)
	p.config = filepath.Join(p.dir, "sluice.yaml")
	text := fmt.Sprintf("server: {listen: %q, metrics_listen: %q}\ndata_dir: %q\ngeo: {database: %q}\nlimits: {per_prefix: 0, burst: 0, per_site: 0}\n%s",
		hostPort(p.sluice), hostPort(p.metrics), dataDir, countries(t), settings)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		p.gone()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", p.logs.tail(60))
		}
	})
	return p
}

// tail returns the last lines of a log that may be long.
func (l *logs) tail(lines int) string {
	all := strings.Split(strings.TrimRight(l.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// begin starts the server and does not wait for it.
func (p *process) begin() {
	p.t.Helper()
	cmd := exec.Command(p.binary, "serve", "--config", p.config)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = p.logs, p.logs
	life, held, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.lives = append(p.lives, life)
	cmd.ExtraFiles = []*os.File{held} // the server's children inherit it
	if err := errors.Join(cmd.Start(), held.Close()); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		p.exit = cmd.Wait()
		close(ended)
	}()
}

// running reports whether the server has been started and is not gone.
func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// open starts the server and waits until its doors are open.
func (p *process) open() {
	p.t.Helper()
	p.begin()
	p.eventually("the doors open", func() error {
		if !p.running() {
			p.t.Fatalf("serve ended early: %v\n%s", p.exit, p.logs.tail(40))
		}
		return answers(p.metrics + "/healthz")
	})
}

// signal sends the server a signal; one that has just gone is no error.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// kill ends the server as a power cut would, but for the disk's cache.
func (p *process) kill() {
	if !p.running() {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// gone waits for what the server started, too: an engine outlives a server that
// was killed until it has seen that, and writes into the test's folder.
func (p *process) gone() {
	for _, life := range p.lives {
		err := life.SetReadDeadline(time.Now().Add(patience))
		if err == nil {
			_, err = io.Copy(io.Discard, life)
		}
		if err = errors.Join(err, life.Close()); err != nil {
			p.t.Errorf("something that the server started is still there: %v", err)
		}
	}
}

// leave ends the server in order and returns how long that took.
func (p *process) leave() time.Duration {
	p.t.Helper()
	begun := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.t.Fatal("the server is still there 30 s after SIGTERM")
	}
	if p.exit != nil {
		p.t.Errorf("after SIGTERM the server ended with %v", p.exit)
	}
	return time.Since(begun)
}

// engine is the process id of the embedded engine, 0 where none runs.
func (p *process) engine() int {
	for _, pid := range children(p.cmd.Process.Pid) {
		return pid
	}
	return 0
}

// metric reads one figure from /metrics.
func (p *process) metric(name string) (float64, error) {
	values, err := readMetric(p.metrics, name)
	if err == nil && len(values) == 0 {
		err = fmt.Errorf("no metric %s", name)
	}
	return sum(values), err
}

// readMetric reads a figure, with one value for each set of labels that name
// leaves open, from the metrics at an address.
func readMetric(base, name string) (values []float64, err error) {
	resp, err := http.Get(base + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		series, text, _ := strings.Cut(lines.Text(), " ")
		if label, ok := strings.CutPrefix(series, name); !ok || label != "" && label[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// drained waits until every consumer has taken what the spool holds.
func (p *process) drained() {
	p.t.Helper()
	p.within("the spool is drained", func() error {
		waiting, err := p.metric("sluice_spool_waiting_records")
		if err == nil && waiting > 0 {
			err = fmt.Errorf("%v records wait", waiting)
		}
		return err
	})
}

// within tries until check succeeds, and fails the test where it never does.
func (p *process) within(what string, check func() error) {
	p.t.Helper()
	if err := try(check); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// ask posts JSON to a door, as a page of the site would.
func (p *process) ask(client *http.Client, method, door, site, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequest(method, p.sluice+door, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Origin", "https://"+site)
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

// newClient is an http.Client with connections of its own, which gives up on a
// server that hangs.
func newClient() *http.Client {
	return &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, MaxIdleConnsPerHost: 4},
	}
}
