package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// Shape of the load: so many connections, each waiting for its answer before
// it sends the next request, for so long, in so many rounds of each program.
// wrk takes so little of the machine that the programs have the rest of it.
const (
	connections = "64"
	roundTime   = "10s" // twice as long as the forwarder gathers
	rounds      = 3
	turns       = 5 // of what is compared with itself
)

// bareEchoVariable marks the process that serves the baseline.
const bareEchoVariable = "SLUICE_BENCH_ECHO"

// bareEcho is the baseline: Echo decodes the same JSON and answers the same,
// and does nothing else.
func bareEcho(address string) {
	e := echo.New()
	e.POST("/_s/e", func(c echo.Context) error {
		var in struct {
			Site, Token string
			Sent        int64
			Events      []struct {
				ID, Name, URL, Title, Referrer string
				TS                             int64
				Props                          map[string]any
				Screen                         []int
			}
		}
		if err := c.Bind(&in); err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, map[string]any{"accepted": len(in.Events), "dropped": []any{}})
	})
	if err := e.Start(address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// BenchmarkEventDoor measures accepted events per second through the whole
// path (HTTP, gate, enrichment, fsync) beside bare Echo on the same machine in
// the same minute, with one event per request and with ten.
func BenchmarkEventDoor(b *testing.B) {
	binary := os.Getenv("SLUICE_BIN")
	if binary == "" {
		b.Skip("SLUICE_BIN names no sluice; run `make bench`")
	}
	for _, events := range []int{1, 10} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			for b.Loop() {
				compare(b, binary, events)
			}
		})
	}
}

func compare(b *testing.B, binary string, events int) {
	at := startBoth(b, binary)
	var ours, base []result
	sent := 0
	for range rounds {
		base = append(base, drive(b, at.bare, "", events))
		r := drive(b, at.sluice, at.token, events)
		ours, sent = append(ours, r), sent+r.requests*events
	}
	received, err := readMetric("http://"+at.metrics, "sluice_events_received_total")
	if err != nil || int(sum(received)) < sent {
		b.Errorf("%v events were received (%v), want %d", sum(received), err, sent)
	}
	refused, err := readMetric("http://"+at.metrics, "sluice_events_refused_total")
	if err != nil || sum(refused) > 0 {
		b.Errorf("%v events were refused (%v), want none", sum(refused), err)
	}
	o, e := middle(ours), middle(base)
	b.ReportMetric(o.rate*float64(events), "events/s")
	b.ReportMetric(o.rate, "requests/s")
	b.ReportMetric(e.rate, "echo-requests/s")
	b.ReportMetric(o.rate/e.rate, "of-bare-echo")
	b.ReportMetric(o.p50, "p50-ms")
	b.ReportMetric(o.p99, "p99-ms")
	b.ReportMetric(e.p99, "echo-p99-ms")
	b.ReportMetric(resident(b, at.pid), "server-MB")
	for _, child := range children(at.pid) {
		b.ReportMetric(resident(b, child), "engine-MB")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkForwardBeside measures what the event door loses where every seventh
// visitor agreed to Google Analytics, an endpoint that answers after 20 ms, in
// turns with the same load where none did. Events are gathered before they are
// forwarded, so each round is the second of two: what is sent then is as much as
// what comes. What is compared is compared within a turn: both had the same
// neighbours.
func BenchmarkForwardBeside(b *testing.B) {
	binary := os.Getenv("SLUICE_BIN")
	if binary == "" {
		b.Skip("SLUICE_BIN names no sluice; run `make bench`")
	}
	google := distant(b, 20*time.Millisecond)
	for b.Loop() {
		at := start(b, binary, "http://"+google+"/mp/collect")
		agreed := decide(b, at.sluice, true)
		var alone, beside []result
		var ratios []float64
		for range turns {
			drive(b, at.sluice, at.token, 1)
			a := drive(b, at.sluice, at.token, 1)
			drive(b, at.sluice, at.token, 1, agreed, "7")
			before := at.acknowledged(b)
			r := drive(b, at.sluice, at.token, 1, agreed, "7")
			r.hits = (at.acknowledged(b) - before) / r.seconds
			alone, beside, ratios = append(alone, a), append(beside, r), append(ratios, r.rate/a.rate)
			await(b, at.forwarded)
		}
		slices.Sort(ratios)
		with, without := middle(beside), middle(alone)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(without.rate, "events/s")
		b.ReportMetric(with.rate, "beside-events/s")
		b.ReportMetric(ratios[len(ratios)/2], "of-alone")
		b.ReportMetric(with.hits, "hits/s")
	}
}

// distant answers every request after a while, and takes as little of the
// machine as wrk does: what Google spends is no part of the figure.
func distant(b *testing.B, after time.Duration) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		var err error
		for in := bufio.NewReader(c); ; {
			length := 0
			for line := []byte("POST"); len(line) > len("\r\n"); {
				if line, err = in.ReadSlice('\n'); err != nil {
					return
				}
				if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
					length, _ = strconv.Atoi(string(bytes.TrimSpace(n)))
				}
			}
			_, _ = in.Discard(length)
			time.Sleep(after)
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// forwarded reports what has not been forwarded yet.
func (u underLoad) forwarded() error {
	for _, left := range []string{"sluice_forwards_unread_records", "sluice_forwards_waiting"} {
		values, err := readMetric("http://"+u.metrics, left)
		if err != nil {
			return err
		}
		if sum(values) > 0 {
			return fmt.Errorf("%s: %v, want none", left, values)
		}
	}
	return nil
}

// acknowledged counts the events that Google has taken.
func (u underLoad) acknowledged(b *testing.B) float64 {
	values, err := readMetric("http://"+u.metrics, `sluice_forwards_total{service="google-analytics",site="example.com",state="acknowledged"}`)
	if err != nil || len(values) != 1 {
		b.Fatalf("acknowledged events: %v, %v", values, err)
	}
	return values[0]
}

// underLoad is where the product and the baseline listen.
type underLoad struct {
	sluice, metrics, bare string
	token                 string
	pid                   int // of sluice
}

// startBoth runs the product and the baseline as processes of their own.
func startBoth(b *testing.B, binary string) underLoad {
	at := start(b, binary, "http://127.0.0.1:9/mp/collect")
	at.bare = freeAddress(b)
	self := exec.Command(os.Args[0])
	self.Env = append(os.Environ(), bareEchoVariable+"="+at.bare)
	background(b, self)
	await(b, func() error {
		c, err := net.Dial("tcp", at.bare)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	return at
}

// start runs the product, with a visitor who agreed to all but Google.
func start(b *testing.B, binary, google string) underLoad {
	dir := b.TempDir()
	at := underLoad{sluice: freeAddress(b), metrics: freeAddress(b)}
	config := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf("server: {listen: %q, metrics_listen: %q}\ndata_dir: %q\nlimits: {per_prefix: 0, burst: 0, per_site: 0}\nsites:\n  - domain: example.com\n    services: [{preset: google-analytics, measurement_id: G-TEST123, api_secret: s, endpoint: %q}]\n",
		at.sluice, at.metrics, filepath.Join(dir, "data"), google)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	at.pid = background(b, exec.Command(binary, "serve", "--config", config))
	await(b, func() error { return answers("http://" + at.metrics + "/readyz") })
	b.Logf("at rest: server %.0f MB", resident(b, at.pid))
	for _, child := range children(at.pid) {
		b.Logf("at rest: engine child %.0f MB", resident(b, child))
	}
	at.token = decide(b, at.sluice, false)
	return at
}

func background(b *testing.B, cmd *exec.Cmd) (pid int) {
	cmd.Stderr, cmd.Stdout = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func await(b *testing.B, check func() error) {
	b.Helper()
	if err := try(check); err != nil {
		b.Fatal(err)
	}
}

// decide agrees to statistics, and to Google or not.
func decide(b *testing.B, address string, google bool) (token string) {
	body := fmt.Sprintf(`{"site":"example.com","purposes":{"analytics":true},"services":{"google-analytics":%v},"method":"custom","notice":"1"}`, google)
	req, _ := http.NewRequest(http.MethodPost, "http://"+address+"/_s/d", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "https://example.com")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.Token == "" {
		b.Fatalf("decision: %s %v", resp.Status, err)
	}
	return out.Token
}

type result struct {
	rate     float64 // requests a second
	p50, p99 float64 // ms
	hits     float64 // a second, acknowledged by Google
	requests int
	seconds  float64
}

// drive has wrk send requests for roundTime; more are further arguments of its
// script. An answer that is no success ends the benchmark.
func drive(b *testing.B, address, token string, events int, more ...string) result {
	b.Helper()
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	args := append([]string{"-t2", "-c", connections, "-d", roundTime, "--latency", "--timeout", "10s",
		"-s", "testdata/load.lua", "http://" + address + "/_s/e", "--", token, strconv.Itoa(events), run}, more...)
	out, err := exec.Command("wrk", args...).CombinedOutput()
	if err != nil {
		b.Fatalf("wrk (installed by `make bench`): %v\n%s", err, out)
	}
	var r result
	var failed int
	report := out[max(0, bytes.LastIndex(out, []byte("requests="))):]
	if _, err := fmt.Sscanf(string(report), "requests=%d seconds=%f p50=%fms p99=%fms failed=%d", &r.requests, &r.seconds, &r.p50, &r.p99, &failed); err != nil || failed > 0 {
		b.Fatalf("%s: %v\n%s", address, err, out)
	}
	r.rate = float64(r.requests) / r.seconds
	return r
}

// middle returns the result with the median rate.
func middle(all []result) result {
	slices.SortFunc(all, func(a, b result) int { return int(a.rate - b.rate) })
	return all[len(all)/2]
}

// resident is a process's resident memory in megabytes, from /proc.
func resident(b testing.TB, pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Logf("resident memory: %v", err)
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1000
		}
	}
	return 0
}

// children lists the processes that pid started.
func children(pid int) (out []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}
