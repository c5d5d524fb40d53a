package store_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

// resident returns the memory of a process in MB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if n, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil && n == 1 {
			return kb / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// BenchmarkStart is the time from nothing to tables, with the engine's memory.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := store.Open(store.Options{DataDir: b.TempDir(), Library: storetest.Library(b)})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Prepare(b.Context()); err != nil {
			b.Fatal(err)
		}
		pid, _ := s.Engine()
		b.ReportMetric(resident(b, pid), "MB-engine")
		b.ReportMetric(resident(b, os.Getpid()), "MB-self")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// events makes n distinct event records of a few hundred visitors.
func events(b *testing.B, r record, n int) []spool.Record {
	b.Helper()
	consents, receipts := make([]uuid.UUID, 500), make([]uuid.UUID, 500)
	for i := range consents {
		consents[i], receipts[i] = uuid.New(), uuid.New()
	}
	out := make([]spool.Record, n)
	for i := range out {
		v := i % len(consents)
		out[i] = spool.Record{Kind: spool.KindEvent, Data: r.event(consents[v], receipts[v], func(e *collector.Event) {
			e.Visitor, e.Session, e.Path = fmt.Sprint("v", v), fmt.Sprint("s", i/7), fmt.Sprint("/page/", i%300)
		})}
	}
	return out
}

func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, records := storetest.Open(b), events(b, newRecord(b), n)
			for b.Loop() {
				deliver(b, s, batch(uuid.New(), 1, records...))
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			pid, _ := s.Engine()
			b.ReportMetric(resident(b, pid), "MB-engine")
		})
	}
}

// backlog is how many events wait in BenchmarkDrain.
const backlog = 5_000_000

// stored is a record of the spool as it is.
type stored struct{ spool.Record }

func (r stored) Kind() spool.Kind { return r.Record.Kind }
func (r stored) Commit(dst []byte, _ uint64) ([]byte, bool) {
	return append(dst, r.Data...), true
}

// BenchmarkDrain is the writer at work on what an outage has left in the spool.
func BenchmarkDrain(b *testing.B) {
	s := storetest.Open(b)
	sp, err := spool.Open(b.TempDir(), spool.Options{MaxBytes: 8 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := sp.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := sp.Register(store.WriterName); err != nil {
		b.Fatal(err)
	}
	var entries []spool.Entry
	for _, r := range events(b, newRecord(b), 1000) {
		entries = append(entries, stored{r})
	}
	begun := time.Now()
	for range backlog / len(entries) {
		if err := sp.Append(b.Context(), entries...); err != nil {
			b.Fatal(err)
		}
	}
	arrived := backlog / time.Since(begun).Seconds()
	var rate float64
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		begun = time.Now()
		sink := until{s, backlog, cancel}
		if err := sp.Consume(ctx, store.WriterName, &sink, spool.ConsumerOptions{}); err != nil {
			b.Fatal(err)
		}
		rate = backlog / time.Since(begun).Seconds()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate, "rows/s")
	b.ReportMetric(arrived, "appended/s")
	if n := value[uint64](b, s, "SELECT count() FROM events"); n != backlog {
		b.Errorf("%d rows, want %d", n, backlog)
	}
}

// until ends a consumer once the record last was delivered.
type until struct {
	spool.Sink
	last uint64
	done func()
}

func (u *until) Deliver(ctx context.Context, b spool.Batch) error {
	err := u.Sink.Deliver(ctx, b)
	if err == nil && b.Last >= u.last {
		u.done()
	}
	return err
}

// BenchmarkCount is the smallest query, through the driver and the child.
func BenchmarkCount(b *testing.B) {
	s := storetest.Open(b)
	deliver(b, s, batch(uuid.New(), 1, events(b, newRecord(b), 100_000)...))
	for b.Loop() {
		value[uint64](b, s, "SELECT count() FROM events")
	}
}

// BenchmarkWithdrawal anonymises one consent among a million events.
func BenchmarkWithdrawal(b *testing.B) {
	s, r := storetest.Open(b), newRecord(b)
	records := events(b, r, 100_000)
	for range 10 {
		deliver(b, s, batch(uuid.New(), 1, records...))
	}
	exec(b, s, "OPTIMIZE TABLE events FINAL") // a mutation waits for merges
	chain := consent.NewChain(consent.Head{ChainID: uuid.New()})
	for b.Loop() {
		consentID, receiptID := uuid.New(), uuid.New()
		deliver(b, s, batch(uuid.New(), 1,
			spool.Record{Kind: spool.KindReceipt, Data: r.receipt(consentID, receiptID, chain)},
			spool.Record{Kind: spool.KindEvent, Data: r.event(consentID, receiptID, nil)},
			spool.Record{Kind: spool.KindWithdrawal, Data: r.encode(consent.Withdrawal{
				Site: "example.com", ConsentID: consentID, Time: time.Now(), Events: consent.Anonymise,
			})},
		))
	}
}
