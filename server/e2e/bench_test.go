package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	roundTime   = "8s"
	rounds      = 3
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

// underLoad is where the product and the baseline listen.
type underLoad struct {
	sluice, metrics, bare string
	token                 string
	pid                   int // of sluice
}

// startBoth runs the product and the baseline as processes of their own.
func startBoth(b *testing.B, binary string) underLoad {
	dir := b.TempDir()
	sluice, bare, metrics := freeAddress(b), freeAddress(b), freeAddress(b)
	config := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf("server: {listen: %q, metrics_listen: %q}\ndata_dir: %q\nlimits: {per_prefix: 0, burst: 0, per_site: 0}\nsites:\n  - domain: example.com\n    services: [{preset: google-analytics, measurement_id: G-TEST123, api_secret: s, endpoint: \"http://127.0.0.1:9/mp/collect\"}]\n",
		sluice, metrics, filepath.Join(dir, "data"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	pid := background(b, exec.Command(binary, "serve", "--config", config))
	self := exec.Command(os.Args[0])
	self.Env = append(os.Environ(), bareEchoVariable+"="+bare)
	background(b, self)
	await(b, func() error { return answers("http://" + metrics + "/readyz") })
	await(b, func() error {
		c, err := net.Dial("tcp", bare)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	b.Logf("at rest: server %.0f MB", resident(b, pid))
	for _, child := range children(pid) {
		b.Logf("at rest: engine child %.0f MB", resident(b, child))
	}
	return underLoad{sluice, metrics, bare, decide(b, sluice), pid}
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
	if err := try(30*time.Second, check); err != nil {
		b.Fatal(err)
	}
}

// decide grants everything but Google, whose address leads nowhere here.
func decide(b *testing.B, address string) (token string) {
	body := `{"site":"example.com","purposes":{"analytics":true},"services":{"google-analytics":false},"method":"custom","notice":"1"}`
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
	requests int
}

// drive has wrk send requests for roundTime. An answer that is no success ends
// the benchmark.
func drive(b *testing.B, address, token string, events int) result {
	b.Helper()
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	out, err := exec.Command("wrk", "-t2", "-c", connections, "-d", roundTime, "--latency", "--timeout", "10s",
		"-s", "testdata/load.lua", "http://"+address+"/_s/e", "--", token, strconv.Itoa(events), run).CombinedOutput()
	if err != nil {
		b.Fatalf("wrk (installed by `make bench`): %v\n%s", err, out)
	}
	var r result
	var seconds float64
	var failed int
	report := out[max(0, bytes.LastIndex(out, []byte("requests="))):]
	if _, err := fmt.Sscanf(string(report), "requests=%d seconds=%f p50=%fms p99=%fms failed=%d", &r.requests, &seconds, &r.p50, &r.p99, &failed); err != nil || failed > 0 {
		b.Fatalf("%s: %v\n%s", address, err, out)
	}
	r.rate = float64(r.requests) / seconds
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
