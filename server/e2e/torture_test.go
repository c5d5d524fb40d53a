package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/collector/ga4/standin"
	"sluice/collector/ga4/standin/standintest"
)

// The sites of the tests with processes. Withdrawals anonymise on the first,
// which forwards to Google, and erase on the second.
const (
	keepSite  = "keep.example"
	eraseSite = "erase.example"
)

// sitesFor configures them; google is where the first forwards to.
func sitesFor(google string) string {
	return fmt.Sprintf(`sites:
  - domain: %s
    services: [{preset: google-analytics, measurement_id: G-TEST123, api_secret: a-secret-of-the-test, endpoint: "%s/mp/collect"}]
  - {domain: %s, on_withdrawal: erase}
`, keepSite, google, eraseSite)
}

// google is the stand-in, which remembers when it was told of each page.
type google struct {
	*httptest.Server
	mu   sync.Mutex
	told map[string][]time.Time // by path
}

func newGoogle(t *testing.T) *google {
	g := &google{told: map[string][]time.Time{}}
	g.Server = httptest.NewServer(standintest.New(t, standin.Options{Keep: 1, OnHit: g.hit}))
	t.Cleanup(g.Close)
	return g
}

func (g *google) hit(h standin.Hit) {
	var body struct {
		Events []struct {
			Params struct {
				Page string `json:"page_location"`
			}
		}
	}
	if err := json.Unmarshal(h.Body, &body); err != nil {
		return // the verdict of the stand-in is another test's
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range body.Events {
		if u, err := url.Parse(e.Params.Page); err == nil {
			g.told[u.Path] = append(g.told[u.Path], h.At)
		}
	}
}

// tortureRounds is how often something is killed: 10, or SLUICE_TORTURE_ROUNDS.
func tortureRounds(t *testing.T) int {
	text := os.Getenv("SLUICE_TORTURE_ROUNDS")
	if text == "" {
		return 10
	}
	rounds, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("SLUICE_TORTURE_ROUNDS: ", err)
	}
	return rounds
}

// blow is one way to hurt a running Sluice. It leaves a server that runs.
type blow struct {
	name string
	fall func(p *process)
}

var blows = []blow{
	{"server killed", func(p *process) { p.kill(); p.begin() }},
	{"engine killed", func(p *process) { p.killEngine() }},
	{"both killed", func(p *process) { p.killEngine(); p.kill(); p.begin() }},
	{"server told to leave", func(p *process) { p.leave(); p.begin() }},
	{"server killed again while it starts", func(p *process) {
		p.kill()
		for range 2 {
			p.begin()
			select { // anywhere between its first instruction and open doors
			case <-p.ended:
				p.t.Errorf("serve ended at its start: %v", p.exit)
			case <-time.After(rand.N(400 * time.Millisecond)):
			}
			p.kill()
		}
		p.begin()
	}},
	{"engine held for a second", func(p *process) {
		if pid := p.engine(); pid != 0 && syscall.Kill(pid, syscall.SIGSTOP) == nil {
			time.AfterFunc(time.Second, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		}
	}},
}

// killEngine kills the engine, if there is one at this moment.
func (p *process) killEngine() {
	if pid := p.engine(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone by itself: as good
	}
}

// TestTorture has 64 visitors write to a real server while server and engine
// are killed at random moments, and holds what is stored in the end against
// what was promised: each event that a 202 accepted is there exactly once, and
// none that came after the answer to a withdrawal.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for a minute")
	}
	g := newGoogle(t)
	p := newProcess(t, "", sitesFor(g.URL))
	p.open()
	if p.within("the engine runs", p.engineRuns); p.engine() == 0 {
		t.Skip("this system does not tell which process is the engine")
	}
	l := startLoad(t, p, 64, 500, keepSite, keepSite, keepSite, eraseSite)
	counts := map[string]int{}
	var pauses []time.Duration // from a blow to the next event that is accepted
	for round := range tortureRounds(t) {
		l.awaitEvents(100 + rand.Int64N(700))
		b := blows[rand.IntN(len(blows))]
		if round < len(blows) {
			b = blows[round] // each at least once
		}
		counts[b.name]++
		struck := time.Now()
		b.fall(p)
		l.awaitEvents(1)
		pauses = append(pauses, time.Since(struck))
		t.Logf("round %d, at %d events: %s, accepting again after %v", round+1, l.book.events.Load(), b.name, pauses[round].Round(time.Millisecond))
	}
	l.awaitEvents(300)
	l.stop()
	tokens := l.stillWithdrawn()
	p.within("the server is ready", func() error { return answers(p.metrics + "/readyz") })
	p.drained()
	l.verify()
	l.verifyGoogle(g)
	t.Logf("left in %v", p.leave().Round(time.Millisecond))
	p.verifyLedger()
	wantNoTrace(t, p)
	t.Logf("%v; %d events promised, %d requests without an answer, %d tokens withdrawn; longest pause %v",
		counts, l.book.events.Load(), l.book.unsettle.Load(), tokens, slices.Max(pauses).Round(time.Millisecond))
}

func (p *process) engineRuns() error {
	if p.engine() == 0 {
		return fmt.Errorf("no engine yet")
	}
	return nil
}

// verify holds ClickHouse against the book.
func (l *load) verify() {
	l.t.Helper()
	b := l.book
	b.mu.Lock()
	defer b.mu.Unlock()
	stored, twice, missing := map[string]int{}, 0, 0
	for _, row := range l.p.sql("SELECT path, count(), any(event_id), any(receipt_id) = toUUID('00000000-0000-0000-0000-000000000000') FROM events GROUP BY path") {
		path, cut := row[0], row[3] == "1"
		n, err := strconv.Atoi(row[1])
		if err != nil {
			l.t.Fatal(err)
		}
		stored[path] = n
		g, kept := b.kept[path]
		switch {
		case n > 1:
			twice++
		case b.late[path]:
			l.t.Errorf("event %s is stored, but its consent was withdrawn before it was sent", path)
		case !kept && !b.unsure[path]:
			l.t.Errorf("event %s is stored, but nobody sent it", path)
		case kept && g.withdrawn.IsZero() && !g.asked && (cut || row[2] != path):
			l.t.Errorf("event %s is anonymised, but its consent is in force", path)
		case kept && !g.withdrawn.IsZero() && (!cut || row[2] == path):
			l.t.Errorf("event %s still names its visitor, but the consent was withdrawn", path)
		}
	}
	if twice > 0 {
		row := l.p.sql("SELECT count(), min(seq), max(seq) FROM (SELECT seq FROM events GROUP BY spool_id, seq HAVING count() > 1)")[0]
		l.t.Errorf("%d events are stored more than once; of %s records, between %s and %s, there is more than one row", twice, row[0], row[1], row[2])
	}
	for path, g := range b.kept {
		erased := g.site == eraseSite && g.asked
		switch {
		case stored[path] == 0 && !erased:
			missing++
		case stored[path] > 0 && erased && !g.withdrawn.IsZero():
			l.t.Errorf("event %s is stored, but its consent was withdrawn and erased", path)
		}
	}
	if missing > 0 {
		l.t.Errorf("%d of %d promised events are missing", missing, len(b.kept))
	}
	l.verifyCounts()
}

// verifyCounts holds the tables against each other and against the book.
// Receipts that were never answered may be there.
func (l *load) verifyCounts() {
	l.t.Helper()
	for _, c := range []struct{ name, query string }{
		{"accepted events and their counter", `SELECT count(), (SELECT sum(n) FROM counters WHERE kind = 'event' AND key = 'accepted' AND site = '` + keepSite + `') FROM events WHERE site = '` + keepSite + `'`},
		{"receipts and the counter of decisions", `SELECT count(), (SELECT sum(n) FROM counters WHERE kind = 'decision') FROM receipts`},
		{"receipts and their numbers", `SELECT count(), uniqExact(chain_id, n) FROM receipts`},
		{"receipts and the length of the chain", `SELECT count(), max(n) FROM receipts`},
		{"terminal outcomes at Google and events", `SELECT count(), uniqExact(event_id, receipt_id) FROM forwards FINAL WHERE receipt_id != toUUID('00000000-0000-0000-0000-000000000000')`},
		{"live events and those with an outcome at Google", `SELECT count(), countIf(event_id IN (SELECT event_id FROM forwards WHERE state = 'acknowledged')) FROM events WHERE site = '` + keepSite + `' AND receipt_id != toUUID('00000000-0000-0000-0000-000000000000')`},
	} {
		if row := l.p.sql(c.query)[0]; row[0] != row[1] {
			l.t.Errorf("%s: got %s and %s, want them equal", c.name, row[0], row[1])
		}
	}
	there := map[string]bool{}
	for _, row := range l.p.sql("SELECT receipt_id FROM receipts") {
		there[row[0]] = true
	}
	for id := range l.book.receipts {
		if !there[id] {
			l.t.Errorf("receipt %s was answered, but is not in the ledger", id)
		}
	}
}

// verifyGoogle makes sure that Google was told of nothing later than a second
// after the withdrawal was answered.
func (l *load) verifyGoogle(g *google) {
	l.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	twice := 0
	for path, times := range g.told {
		if len(times) > 1 {
			twice++
		}
		consent, kept := l.book.kept[path]
		switch {
		case l.book.late[path]:
			l.t.Errorf("Google was told of %s, which was sent after its consent was withdrawn", path)
		case kept && !consent.withdrawn.IsZero() && times[len(times)-1].After(consent.withdrawn.Add(time.Second)):
			l.t.Errorf("Google was told of %s %v after its consent was withdrawn", path, times[len(times)-1].Sub(consent.withdrawn))
		}
	}
	l.t.Logf("Google was told of %d events, of %d more than once", len(g.told), twice)
}

// wantNoTrace makes sure that a torture was no emergency: nothing was set
// aside, and nobody panicked or raced.
func wantNoTrace(t *testing.T, p *process) {
	t.Helper()
	for _, pattern := range []string{"data/dead/*.jsonl", "data/spool/quarantine/*.seg"} {
		if found, _ := filepath.Glob(filepath.Join(p.dir, pattern)); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
	for line := range strings.Lines(p.logs.String()) {
		bad := strings.Contains(line, "level=ERROR") && !strings.Contains(line, "engine ended; starting it again")
		if bad || strings.HasPrefix(line, "panic:") || strings.Contains(line, "DATA RACE") {
			t.Errorf("the log says: %s", line)
		}
	}
}
