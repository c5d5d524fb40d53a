package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/server/config"
)

// withdrawalLimit is what is promised of a withdrawal: from the click to the
// first event that is refused, for 99 of 100.
const withdrawalLimit = 200 * time.Millisecond

// BenchmarkWithdrawal measures it over HTTP, on the disk, while eight other
// visitors send events and each withdrawing one goes on sending them, beside
// an event's own round trip in the same run.
func BenchmarkWithdrawal(b *testing.B) {
	d := newWithdrawals(b)
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 8 {
		token := d.grant()
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					d.event(token)
				}
			}
		})
	}
	var withdrawals, events []time.Duration
	for b.Loop() {
		token := d.grant()
		begun := time.Now()
		if !d.event(token) {
			b.Fatal("an event was refused before the withdrawal")
		}
		events = append(events, time.Since(begun))

		begun = time.Now()
		clicked := make(chan string, 1)
		go func() { clicked <- d.decide(`"method":"withdraw"`, token) }()
		for d.event(token) {
		}
		withdrawals = append(withdrawals, time.Since(begun))
		if answer := <-clicked; !strings.Contains(answer, `"token":""`) {
			b.Fatalf("withdrawal answered %s", answer)
		}
		if d.event(token) {
			b.Fatal("an event was accepted after the withdrawal had returned")
		}
	}
	close(stop)
	others.Wait()
	p99 := quantile(withdrawals, 0.99)
	b.ReportMetric(milliseconds(quantile(withdrawals, 0.5)), "p50-ms")
	b.ReportMetric(milliseconds(p99), "p99-ms")
	b.ReportMetric(float64(p99)/float64(quantile(events, 0.99)), "×event-p99")
	if p99 > withdrawalLimit {
		b.Logf("p99 %v is above %v, on a disk that takes %v for an event", p99, withdrawalLimit, quantile(events, 0.5))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile of at least one duration.
func quantile(of []time.Duration, q float64) time.Duration {
	slices.Sort(of)
	return of[int(q*float64(len(of)-1))]
}

// withdrawals is a machine behind a listener, whose ClickHouse is nowhere.
type withdrawals struct {
	b      *testing.B
	server *httptest.Server
}

func newWithdrawals(b *testing.B) *withdrawals {
	b.Helper()
	dir := b.TempDir()
	c, err := config.Parse(fmt.Appendf(nil, `
server: {metrics_listen: ""}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
limits: {per_prefix: 0}
sites: [{domain: example.com}]
`, dir), dir)
	if err != nil {
		b.Fatal(err)
	}
	m, err := assemble(c, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	d := &withdrawals{b, httptest.NewServer(m.handler)}
	d.server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 16
	b.Cleanup(func() {
		d.server.Close()
		if err := m.abandon(); err != nil {
			b.Error(err)
		}
	})
	return d
}

func (d *withdrawals) post(door, body string) string {
	r, err := http.NewRequestWithContext(d.b.Context(), http.MethodPost, d.server.URL+door, strings.NewReader(body))
	if err != nil {
		d.b.Error(err)
		return ""
	}
	r.Header.Set("Origin", "https://example.com")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	answer, err := d.server.Client().Do(r)
	if err != nil {
		d.b.Error(err)
		return ""
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		d.b.Error(err)
	}
	return string(content)
}

// event reports whether an event was accepted.
func (d *withdrawals) event(token string) bool {
	return strings.HasPrefix(d.post("/_s/e", fmt.Sprintf(`{"site":"example.com","token":%q,"events":[{"name":"pageview","url":"https://example.com/"}]}`, token)), `{"accepted":1`)
}

func (d *withdrawals) decide(what, token string) string {
	return d.post("/_s/d", fmt.Sprintf(`{"site":"example.com","notice":"1","token":%q,%s}`, token, what))
}

func (d *withdrawals) grant() string {
	answer := d.decide(`"method":"accept_all","purposes":{"analytics":true}`, "")
	_, rest, _ := strings.Cut(answer, `"token":"`)
	token, _, ok := strings.Cut(rest, `"`)
	if !ok || token == "" {
		d.b.Fatalf("grant answered %s", answer)
	}
	return token
}
