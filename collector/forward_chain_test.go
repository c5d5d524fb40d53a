package collector

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/consent"
)

// chained are n outcomes in a chain, as they come back from the disk.
func chained(t *testing.T, n int) []Forward {
	t.Helper()
	c := NewForwardChain(consent.Head{ChainID: uuid.New()})
	var out []Forward
	for i := range n {
		f := Forward{
			Site: "example.com", EventID: fmt.Sprint(i), EventSeq: uint64(i), ReceiptID: uuid.New(), Destination: "google-analytics",
			State: Acknowledged, Attempts: 1, PayloadHash: fmt.Sprintf("%x", sha256.Sum256([]byte("said"))), Sent: "said", Time: noon.Add(time.Duration(i) * time.Second),
		}
		if err := c.Link(&f); err != nil {
			t.Fatal(err)
		}
		b, err := f.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if f, err = DecodeForward(b); err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// TestForwardChain finds what was done to stored outcomes, and takes what a
// withdrawal or an erasure does.
func TestForwardChain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(f []Forward) []Forward
		at     uint64 // number at which it breaks; 0: it holds
		gone   uint64
	}{
		{"untouched", func(f []Forward) []Forward { return f }, 0, 0},
		{"state edited", func(f []Forward) []Forward { f[2].State = Cancelled; return f }, 3, 0},
		{"payload edited", func(f []Forward) []Forward { f[2].PayloadHash = "dead"; return f }, 3, 0},
		{"what was sent edited", func(f []Forward) []Forward { f[2].Sent = "{}"; return f }, 3, 0},
		{"what was sent taken out", func(f []Forward) []Forward { f[1].Sent = ""; return f }, 0, 0},
		{"time edited", func(f []Forward) []Forward { f[2].Time = f[2].Time.Add(time.Millisecond); return f }, 3, 0},
		{"below the millisecond", func(f []Forward) []Forward { f[2].Time = f[2].Time.Add(time.Microsecond); return f }, 0, 0},
		{"another receipt", func(f []Forward) []Forward { f[2].ReceiptID = uuid.New(); return f }, 3, 0},
		{"cut off by a withdrawal", func(f []Forward) []Forward { f[2].ReceiptID, f[2].Salt = uuid.Nil, ""; return f }, 0, 0},
		{"receipt taken out, salt left", func(f []Forward) []Forward { f[2].ReceiptID = uuid.Nil; return f }, 3, 0},
		{"erased", func(f []Forward) []Forward { return append(f[:2:2], f[3:]...) }, 0, 1},
		{"the first two expired", func(f []Forward) []Forward { return f[2:] }, 0, 2},
		{"order changed", func(f []Forward) []Forward { f[2], f[3] = f[3], f[2]; return f }, 3, 1},
		{"rewritten with a hash of its own", func(f []Forward) []Forward {
			f[2].State = Dead
			f[2].Hash, _ = f[2].digest()
			return f
		}, 4, 0},
		{"twice", func(f []Forward) []Forward { return append(f, f[4]) }, 5, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var v ForwardVerifier
			for _, f := range tt.change(chained(t, 5)) {
				if err := v.Check(f); err != nil {
					var broken *ForwardChainError
					if !errors.As(err, &broken) || broken.N != tt.at {
						t.Errorf("breaks: %v, want at %d", err, tt.at)
					}
					return
				}
			}
			if tt.at != 0 || v.Gone != tt.gone {
				t.Errorf("holds with %d gone; want it to break at %d, %d gone", v.Gone, tt.at, tt.gone)
			}
		})
	}
}

// TestForwardChainSettled gives the places of a frame that failed to the next.
func TestForwardChainSettled(t *testing.T) {
	t.Parallel()
	c := NewForwardChain(consent.Head{ChainID: uuid.New()})
	link := func() Forward {
		f := Forward{EventID: "x"}
		if err := c.Link(&f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	link()
	if head := c.Settled(errors.New("disk")); head.N != 0 {
		t.Errorf("head %d after a failed frame", head.N)
	}
	f := link()
	if head := c.Settled(nil); f.N != 1 || f.PrevHash != "" || head.N != 1 || head.Hash != f.Hash {
		t.Errorf("number %d, head %+v", f.N, head)
	}
}
