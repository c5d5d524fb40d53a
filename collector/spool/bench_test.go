package spool

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// The ratios that matter: run with
//
//	go test -run '^$' -bench . -benchtime 2s
//
// "x plain" compares with plainCommit, the simplest group commit there can be,
// measured in the same benchmark on the same disk.

const benchRecord = 300

// plainCommit appends to a file and syncs it for all that wait: no checksums,
// segments, zeros or recovery.
type plainCommit struct {
	file  file
	mu    sync.Mutex
	wait  []chan error
	data  []byte
	wake  chan struct{}
	ended sync.WaitGroup
}

func newPlainCommit(tb testing.TB) *plainCommit {
	f, err := osDisk{tb.TempDir()}.create("plain")
	if err != nil {
		tb.Fatal(err)
	}
	p := &plainCommit{file: f, wake: make(chan struct{}, 1)}
	p.ended.Go(func() {
		off := int64(0)
		for range p.wake {
			p.mu.Lock()
			wait, data := p.wait, p.data
			p.wait, p.data = nil, nil
			p.mu.Unlock()
			_, err := p.file.WriteAt(data, off)
			off += int64(len(data))
			if err == nil {
				err = p.file.sync()
			}
			for _, done := range wait {
				done <- err
			}
		}
	})
	return p
}

func (p *plainCommit) append(b []byte, done chan error) error {
	p.mu.Lock()
	p.data = append(p.data, b...)
	p.wait = append(p.wait, done)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return <-done
}

func (p *plainCommit) close() {
	close(p.wake)
	p.ended.Wait()
	p.file.Close()
}

// hammer lets producers call work as fast as it returns, for about d, and
// returns calls per second and the latencies' median and 99th percentile.
func hammer(producers int, d time.Duration, work func(done chan error) error) (rate float64, p50, p99 time.Duration, err error) {
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	begin := time.Now()
	for range producers {
		wg.Go(func() {
			done := make(chan error, 1)
			var took []time.Duration
			var failed error
			for time.Since(begin) < d && failed == nil {
				start := time.Now()
				failed = work(done)
				took = append(took, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if failed != nil {
				err = failed
			}
		})
	}
	wg.Wait()
	rate = float64(len(all)) / time.Since(begin).Seconds()
	slices.Sort(all)
	return rate, all[len(all)/2], all[len(all)*99/100], err
}

// bareSync returns work that writes 4 KiB at the end of a file and syncs it:
// what the disk itself takes, with nobody else there.
func bareSync(tb testing.TB) func(chan error) error {
	f, err := osDisk{tb.TempDir()}.create("bare")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	page, off := make([]byte, 4096), int64(0)
	return func(chan error) error {
		if _, err := f.WriteAt(page, off); err != nil {
			return err
		}
		off += int64(len(page))
		return f.sync()
	}
}

// BenchmarkAppend measures Append with one delivering consumer attached, in
// turns with the plain loop and with the bare one.
func BenchmarkAppend(b *testing.B) {
	for _, bc := range []struct {
		name      string
		producers int
	}{{"1producer", 1}, {"8producers", 8}, {"64producers", 64}, {"256producers", 256}} {
		b.Run(bc.name, func(b *testing.B) {
			payload := []byte(stamped(1, benchRecord))
			entry := Entry(text(payload))
			s := mustOpen(b, b.TempDir(), Options{MaxBytes: 8 << 30})
			ctx, cancel := context.WithCancel(b.Context())
			var consumer sync.WaitGroup
			consumer.Go(func() {
				if err := s.Consume(ctx, "bench", sink(func(context.Context, Batch) error { return nil }), ConsumerOptions{}); err != nil {
					b.Error(err)
				}
			})
			plain := newPlainCommit(b)
			const turn = 250 * time.Millisecond
			var ours, theirs []float64
			var p50s, p99s, plainP99s, bareP99s []float64
			bare := bareSync(b)
			for b.Loop() {
				_, _, p99, err := hammer(1, turn, bare)
				if err != nil {
					b.Fatal(err)
				}
				bareP99s = append(bareP99s, float64(p99.Microseconds()))
				rate, _, p99, err := hammer(bc.producers, turn, func(done chan error) error { return plain.append(payload, done) })
				if err != nil {
					b.Fatal(err)
				}
				theirs, plainP99s = append(theirs, rate), append(plainP99s, float64(p99.Microseconds()))
				rate, p50, p99, err := hammer(bc.producers, turn, func(chan error) error { return s.Append(ctx, entry) })
				if err != nil {
					b.Fatal(err)
				}
				ours = append(ours, rate)
				p50s, p99s = append(p50s, float64(p50.Microseconds())), append(p99s, float64(p99.Microseconds()))
			}
			plain.close()
			cancel()
			consumer.Wait()
			mustClose(b, s)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ours), "records/s")
			b.ReportMetric(median(theirs), "plain/s")
			b.ReportMetric(median(ours)/median(theirs), "x-plain")
			b.ReportMetric(median(p50s), "p50-µs")
			b.ReportMetric(median(p99s), "p99-µs")
			b.ReportMetric(median(plainP99s), "plain-p99-µs")
			b.ReportMetric(median(bareP99s), "bare-p99-µs")
			b.ReportMetric(median(p99s)/median(bareP99s), "x-bare-p99")
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkSync is the disk's own limit: write 4 KiB and sync, at the end of a
// growing file and over zeros that are there already.
func BenchmarkSync(b *testing.B) {
	for _, zeroed := range []bool{false, true} {
		name := map[bool]string{false: "growing", true: "zeroed"}[zeroed]
		b.Run(name, func(b *testing.B) {
			f, err := osDisk{b.TempDir()}.create("file")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			const room = 64 << 20
			if zeroed {
				if _, err := f.WriteAt(make([]byte, room), 0); err != nil {
					b.Fatal(err)
				}
				if err := f.sync(); err != nil {
					b.Fatal(err)
				}
			}
			page := make([]byte, 4096)
			off := int64(0)
			var took []float64
			for b.Loop() {
				began := time.Now()
				if _, err := f.WriteAt(page, off); err != nil {
					b.Fatal(err)
				}
				if err := f.sync(); err != nil {
					b.Fatal(err)
				}
				took = append(took, float64(time.Since(began).Microseconds()))
				off = (off + 4096) % room
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)*99/100], "p99-µs")
		})
	}
}

// BenchmarkAllocs counts what one Append allocates, the entry's own aside.
func BenchmarkAllocs(b *testing.B) {
	s := mustOpen(b, "", Options{disk: newMemDisk(1), MaxBytes: 8 << 30})
	entry := Entry(stamped(1, benchRecord))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Append(b.Context(), entry); err != nil {
			b.Fatal(err)
		}
	}
	mustClose(b, s)
}

// BenchmarkOpen is recovery of 2 GiB that nobody has consumed, after a crash:
// until the spool takes its first record again.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := mustOpen(b, dir, Options{MaxBytes: 4 << 30})
	var entries []Entry
	for i := range 1000 {
		entries = append(entries, stamped(uint64(i), benchRecord))
	}
	for s.Stats().Bytes < 2<<30 {
		mustAppend(b, s, entries...)
	}
	crashed := crashCopy(b, dir)
	mustClose(b, s)
	for b.Loop() {
		s := mustOpen(b, crashed, Options{MaxBytes: 8 << 30})
		if err := s.Replay(1, func(Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
		mustAppend(b, s, text("first"))
		b.StopTimer()
		mustClose(b, s)
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/2GiB")
}
