package forward

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/ga4/standin/standintest"
	"sluice/collector/spool"
	"sluice/consent"
)

// entry is a record as the server appends it.
type entry struct {
	kind spool.Kind
	data []byte
}

func (e entry) Kind() spool.Kind { return e.kind }
func (e entry) Commit(dst []byte, _ uint64) (out []byte, ok bool) {
	return append(dst, e.data...), true
}

// journal is [Outcomes] over a spool, as the server has it.
type journal struct{ *spool.Spool }

func (j journal) Record(ctx context.Context, outcomes []collector.Forward) error {
	var entries []spool.Entry
	for _, f := range outcomes {
		data, err := f.AppendBinary(nil)
		if err != nil {
			return err
		}
		entries = append(entries, entry{spool.KindForward, data})
	}
	return j.Append(ctx, entries...)
}

// TestOverSpool runs the sink behind a real spool and a real network, stops it
// in the middle and starts it again: every event reaches Google once.
func TestOverSpool(t *testing.T) {
	t.Parallel()
	const visitors, each = 60, 5
	heard := standintest.New(t, standin.Options{})
	web := httptest.NewServer(heard)
	t.Cleanup(web.Close)
	heard.Fail(standin.Fault{Kind: standin.Slow, Delay: 2 * time.Millisecond})

	r := &rig{t: t, policy: policy(t), index: consent.NewIndex()}
	dir := t.TempDir()
	total := 0
	run := func(fill bool, until func() bool) {
		sp, err := spool.Open(dir, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := sp.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := sp.Register("reader"); err != nil { // keeps the outcomes, which the sink leaves behind
			t.Fatal(err)
		}
		for v := range visitors {
			if !fill {
				break
			}
			token := consent.Token{Consent: uuid.New(), Receipt: uuid.New(), Notice: r.policy.Current.Fingerprint, Purposes: analytics, Issued: uint32(time.Now().Unix()) - 60}
			for i := range each {
				rec := r.record(token, r.event(fmt.Sprintf("e%d", v*each+i), func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", v+1) }))
				if err := sp.Append(t.Context(), entry{rec.Kind, rec.Data}); err != nil {
					t.Fatal(err)
				}
			}
		}
		sink, err := New(Options{
			Policy: r.policy, Service: "google-analytics", Destination: google(t, web.URL+"/mp/collect"),
			Gate: r.index, Outcomes: journal{sp}, Parallel: 2,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := sp.Replay(0, sink.Replay); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- sink.Run(ctx, sp)
		}()
		for tick := time.NewTicker(time.Millisecond); !until(); <-tick.C {
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got := sink.Stats()
		total += int(got.Acknowledged)
		if got.Cancelled+got.Dead != 0 {
			t.Errorf("stats = %+v", got)
		}
	}
	run(true, func() bool { return len(heard.Hits()) >= visitors/3 })
	half := total
	run(false, func() bool { return len(heard.Hits()) >= visitors })
	if half == 0 || half == visitors*each || total != visitors*each {
		t.Errorf("%d acknowledged before the stop, %d in all, want some and %d", half, total, visitors*each)
	}

	seen := map[string]int{}
	for _, h := range heard.Hits() {
		for _, m := range eventPath.FindAllSubmatch(h.Body, -1) {
			seen[string(m[1])]++
		}
	}
	for i := range visitors * each {
		if n := seen[fmt.Sprintf("e%d", i)]; n != 1 {
			t.Errorf("e%d reached Google %d times", i, n)
		}
	}
	if n := forwards(t, dir); n != visitors*each {
		t.Errorf("%d outcomes in the spool, want %d", n, visitors*each)
	}
}

// forwards counts the outcomes in a spool.
func forwards(t *testing.T, dir string) int {
	t.Helper()
	sp, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = sp.Replay(0, func(r spool.Record) error {
		if r.Kind == spool.KindForward {
			n++
		}
		return nil
	})
	if err := errors.Join(err, sp.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}
