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
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// Shape of the load: so many connections, each waiting for its answer before
// it sends the next request, for so long, in so many rounds of each program.
const (
	connections = 64
	roundTime   = 4 * time.Second
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
	sluice, echoAddress, token, pid := startBoth(b, binary)
	var ours, base []result
	for range rounds {
		base = append(base, drive(b, echoAddress, eventBody("", events)))
		ours = append(ours, drive(b, sluice, eventBody(token, events)))
	}
	o, e := middle(ours), middle(base)
	b.ReportMetric(o.rate*float64(events), "events/s")
	b.ReportMetric(o.rate, "requests/s")
	b.ReportMetric(e.rate, "echo-requests/s")
	b.ReportMetric(o.rate/e.rate, "of-bare-echo")
	b.ReportMetric(float64(o.p50.Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(o.p99.Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(e.p99.Microseconds())/1000, "echo-p99-ms")
	b.ReportMetric(resident(b, pid), "server-MB")
	b.ReportMetric(0, "ns/op")
}

// startBoth runs the product and the baseline as processes of their own.
func startBoth(b *testing.B, binary string) (sluice, bare, token string, pid int) {
	dir := b.TempDir()
	sluice, bare = freeAddress(b), freeAddress(b)
	metrics := freeAddress(b)
	config := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf("server: {listen: %q, metrics_listen: %q}\ndata_dir: %q\nlimits: {per_prefix: 0, burst: 0, per_site: 0}\nsites:\n  - domain: example.com\n    services: [{preset: google-analytics, measurement_id: G-TEST123, api_secret: s, endpoint: \"http://127.0.0.1:9/mp/collect\"}]\n",
		sluice, metrics, filepath.Join(dir, "data"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	pid = background(b, exec.Command(binary, "serve", "--config", config))
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
	return sluice, bare, decide(b, sluice), pid
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

// eventBody returns the n-th request's body; ids are never repeated.
func eventBody(token string, events int) func(n int) []byte {
	prefix := strconv.FormatInt(time.Now().UnixNano(), 36)
	return func(n int) []byte {
		var out bytes.Buffer
		now := time.Now().UnixMilli()
		fmt.Fprintf(&out, `{"site":"example.com","token":%q,"sent":%d,"events":[`, token, now)
		for i := range events {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, `{"id":"%s-%d-%d","name":"pageview","url":"https://example.com/page/%d","title":"A page","referrer":"https://www.google.com/","ts":%d,"visitor":"v%d","session":"%d.s%d","screen":[1440,900],"props":{"plan":"pro","variant":"b"}}`,
				prefix, n, i, n%1000, now-50, n%50000, now/1000-60, n%50000)
		}
		out.WriteString("]}")
		return out.Bytes()
	}
}

type result struct {
	rate     float64
	p50, p99 time.Duration
}

// drive sends requests over keep-alive connections for roundTime. An answer
// that is not 202 ends the benchmark.
func drive(b *testing.B, address string, body func(int) []byte) result {
	var mu sync.Mutex
	var all []time.Duration
	var group sync.WaitGroup
	deadline := time.Now().Add(roundTime)
	for c := range connections {
		group.Go(func() {
			took, err := converse(address, body, c, deadline)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				b.Errorf("%s: %v", address, err)
			}
			all = append(all, took...)
		})
	}
	group.Wait()
	if b.Failed() || len(all) == 0 {
		b.FailNow()
	}
	slices.Sort(all)
	return result{float64(len(all)) / roundTime.Seconds(), all[len(all)/2], all[len(all)*99/100]}
}

func converse(address string, body func(int) []byte, c int, deadline time.Time) (took []time.Duration, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 4096)
	head := fmt.Sprintf("POST /_s/e HTTP/1.1\r\nHost: example.com\r\nOrigin: https://example.com\r\nContent-Type: application/json\r\n"+
		"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.%d Safari/537.36\r\nX-Forwarded-For: 81.2.%d.7\r\nContent-Length: ", c%6, c)
	var request []byte
	for n := c; time.Now().Before(deadline); n += connections {
		payload := body(n)
		request = append(request[:0], head...)
		request = strconv.AppendInt(request, int64(len(payload)), 10)
		request = append(append(request, "\r\n\r\n"...), payload...)
		start := time.Now()
		if _, err := conn.Write(request); err != nil {
			return took, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return took, err
		}
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			return took, err
		}
		took = append(took, time.Since(start))
		if resp.StatusCode != http.StatusAccepted || bytes.Contains(answer, []byte(`"reason"`)) {
			return took, fmt.Errorf("answer %s: %s", resp.Status, answer)
		}
	}
	return took, nil
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
