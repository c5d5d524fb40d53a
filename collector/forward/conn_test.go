package forward

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"sluice/collector/ga4/standin"
)

// TestRefusalBehindAnAnswer: a request that may not begin breaks the
// connection that it got. It must not take along the answer to the one before,
// which has only just arrived.
func TestRefusalBehindAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		c := r.sink.client
		refuse := func(func() (int, error)) (int, error) { return 0, errConsentChanged }
		for range 3000 { // the two race, and rarely the wrong way
			var dials atomic.Int32
			r.mu.Lock()
			r.onDial = func() {
				if dials.Add(1) > 1 {
					time.Sleep(5 * time.Second) // the first connection is free sooner
				}
			}
			r.mu.Unlock()
			r.google.Fail(standin.Fault{Kind: standin.Slow, Delay: 2 * time.Second, Times: 1})
			second := make(chan answer)
			go func() {
				time.Sleep(time.Second)
				second <- c.post(t.Context(), empty, refuse)
			}()
			if a := c.post(t.Context(), empty, let); a.status != 204 {
				t.Fatalf("the first request: %+v, want its answer", a)
			}
			if a := <-second; !errors.Is(a.err, errConsentChanged) || a.begun {
				t.Fatalf("the second request: %+v, want it refused", a)
			}
			time.Sleep(10 * time.Second) // until nobody dials any more
			c.close()
		}
	})
}
