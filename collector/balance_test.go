package collector

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

// TestBalance follows events of two sites through the places that count them.
func TestBalance(t *testing.T) {
	t.Parallel()
	at := func(minute, second int) time.Time { return time.Date(2026, 11, 25, 10, minute, second, 0, time.UTC) }
	b := NewBalance(at(0, 0))
	b.Carried("a", 5) // an earlier run left them
	b.Request("a", at(0, 10), 4, map[consent.Reason]int{consent.NoConsent: 1})
	b.Kept("a", at(0, 10), 3)
	b.Request("b", at(0, 20), 2, nil)
	b.Kept("b", at(0, 20), 2)
	b.Request("a", at(1, 5), 10, map[consent.Reason]int{"bot": 2, Unavailable: 3})
	b.Kept("a", at(1, 5), 5)
	b.Settled("a", 7, 0) // five from before, two of the first minute
	b.Settled("a", 3, 1) // one of the first, three of the second

	total, minutes, carried := b.Of("a")
	want := Account{Received: 14, Kept: 8, Stored: 5, Dead: 1, Refused: map[consent.Reason]uint64{consent.NoConsent: 1, "bot": 2, Unavailable: 3}}
	if diff := cmp.Diff(want, total); diff != "" {
		t.Errorf("account of a (-want +got):\n%s", diff)
	}
	wantMinutes := []Minute{
		{at(0, 0), Account{Received: 4, Kept: 3, Stored: 3, Refused: map[consent.Reason]uint64{consent.NoConsent: 1}}},
		{at(1, 0), Account{Received: 10, Kept: 5, Stored: 2, Dead: 1, Refused: map[consent.Reason]uint64{"bot": 2, Unavailable: 3}}},
	}
	if diff := cmp.Diff(wantMinutes, minutes); diff != "" {
		t.Errorf("minutes of a (-want +got):\n%s", diff)
	}
	if carried != 0 || total.Waiting() != 2 || total.Unaccounted() != 0 {
		t.Errorf("carried %d, waiting %d, unaccounted %d; want 0, 2 and 0", carried, total.Waiting(), total.Unaccounted())
	}
	b.Request("b", at(2, 0), 1, nil) // kept nowhere, refused by nobody
	if total, _, _ := b.Of("b"); total.Unaccounted() != 1 || total.Waiting() != 2 {
		t.Errorf("a lost event: unaccounted %d, waiting %d; want 1 and 2", total.Unaccounted(), total.Waiting())
	}
}

// TestBalanceAddsUp draws traffic of two days with a writer that is behind, away
// at times and far behind at others: whatever happens, the minutes and what was
// folded away come to the total, and nothing is unaccounted for.
func TestBalanceAddsUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
		b := NewBalance(now)
		before := r.IntN(50)
		b.Carried("a", before)
		waiting, stored := before, 0
		for range 3000 {
			now = now.Add(time.Duration(r.IntN(90)) * time.Second)
			n := r.IntN(5)
			refused := r.IntN(n + 1)
			b.Request("a", now, n, map[consent.Reason]int{"bot": refused})
			b.Kept("a", now, n-refused)
			waiting += n - refused
			if r.IntN(4) == 0 {
				done := r.IntN(waiting + 1)
				dead := r.IntN(done + 1)
				b.Settled("a", done-dead, dead)
				waiting -= done
				stored += done
			}
		}
		total, minutes, carried := b.Of("a")
		if total.Unaccounted() != 0 {
			t.Fatalf("seed %d: %d unaccounted for", seed, total.Unaccounted())
		}
		if got := int(total.Waiting() + carried); got != waiting {
			t.Fatalf("seed %d: %d wait, want %d", seed, got, waiting)
		}
		var inMinutes uint64
		for _, m := range minutes {
			if m.Unaccounted() != 0 {
				t.Fatalf("seed %d: %d unaccounted for at %s", seed, m.Unaccounted(), m.Start)
			}
			inMinutes += m.Waiting()
		}
		if inMinutes > uint64(waiting) {
			t.Fatalf("seed %d: %d wait by the minute, %d in all", seed, inMinutes, waiting)
		}
		b.Settled("a", waiting, 0)
		if total, _, carried := b.Of("a"); total.Waiting() != 0 || carried != 0 {
			t.Fatalf("seed %d: %d and %d wait after everything is stored", seed, total.Waiting(), carried)
		}
	}
}
