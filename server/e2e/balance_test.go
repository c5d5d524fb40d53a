package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// figures are samples of /metrics: name, then labels as Prometheus writes them.
type figures map[string]float64

func (p *process) figures() (figures, error) {
	r, err := http.Get(p.metrics + "/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	out := figures{}
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			out[name] = n
		}
	}
	return out, nil
}

func (f figures) of(name, site string) float64 {
	return f[fmt.Sprintf("sluice_events_%s{site=%q}", name, site)]
}

// refused adds up every reason.
func (f figures) refused(site string) (sum float64) {
	for name, n := range f {
		if strings.HasPrefix(name, "sluice_events_refused_total{") && strings.Contains(name, fmt.Sprintf("site=%q", site)) {
			sum += n
		}
	}
	return sum
}

// TestNothingIsUnaccountedFor puts a server under load: of what it received
// nothing is neither stored, nor refused with a reason, nor in the spool, and
// what it says is stored is in the table. Killed under load it begins a new
// account, which comes out even as well, whatever it finds in its spool.
func TestNothingIsUnaccountedFor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	p := newProcess(t, "", sitesFor(newGoogle(t).URL))
	load := func(end func()) {
		l := startLoad(t, p, 24, 400, keepSite, eraseSite)
		l.awaitEvents(500)
		end()
		l.stop()
	}
	p.open()
	load(func() {})
	f := p.even()
	p.wantRows("SELECT count() FROM events WHERE site = '"+keepSite+"'", fmt.Sprint(f.of("stored_total", keepSite)))
	load(p.kill)
	p.open()
	load(func() {})
	p.even()
}

// even waits until the accounts of both sites are settled, and come out even.
func (p *process) even() (f figures) {
	p.t.Helper()
	p.within("everything received is accounted for", func() (err error) {
		if f, err = p.figures(); err != nil {
			return err
		}
		for _, site := range []string{keepSite, eraseSite} {
			received, refused, stored := f.of("received_total", site), f.refused(site), f.of("stored_total", site)
			switch waiting, off := f.of("waiting", site), f.of("unaccounted", site); {
			case waiting != 0:
				return fmt.Errorf("%s: %v events wait in the spool", site, waiting)
			case off != 0 || received != refused+stored+f.of("dead_total", site):
				return fmt.Errorf("%s: received %v, refused %v, stored %v: %v are unaccounted for", site, received, refused, stored, off)
			case received == 0 || refused == 0:
				return fmt.Errorf("%s: received %v, refused %v: the load was to bring both", site, received, refused)
			}
		}
		return nil
	})
	return f
}
