// Package standintest starts the stand-in for Google in tests, and holds what
// every one of them promises: no request that reaches a recipient names a
// visitor's address, an e-mail address or a cookie, nor has a header that tells
// where it came from. Each request is looked through as it arrives, whatever
// becomes of it, and the test fails that caused it.
//
// What it looks for is found without package judge, which decides what is sent.
package standintest

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"sluice/collector/ga4/standin"
)

// New is [standin.New] for a test.
func New(t testing.TB, o standin.Options) *standin.Server {
	t.Helper()
	o.OnRequest = newWatch(t, o.OwnHosts).look
	return standin.New(o)
}

// Watch puts the same watch before a recipient of another kind. A literal
// address among ownHosts is a site's, and may be named.
func Watch(t testing.TB, next http.HandlerFunc, ownHosts ...string) http.Handler {
	t.Helper()
	w := newWatch(t, ownHosts)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("a request's body did not arrive whole: %v", err)
		}
		w.look(r, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		next(rw, r)
	})
}

// watch collects what must not have been sent.
type watch struct {
	ownHosts []string
	mu       sync.Mutex
	found    []string
}

// newWatch tells t at its end what was found: a server's goroutines may not
// outlive a test that they report to.
func newWatch(t testing.TB, ownHosts []string) *watch {
	w := &watch{ownHosts: ownHosts}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, what := range w.found {
			t.Errorf("a recipient was told what must not leave: %s", what)
		}
	})
	return w
}

// look scans one request; body is nil where it was not read.
func (w *watch) look(r *http.Request, body []byte) {
	found := Scan(r, body, w.ownHosts...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range found {
		if !slices.Contains(w.found, what) {
			w.found = append(w.found, what)
		}
	}
}
