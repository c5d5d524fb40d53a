package consent

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// testChain returns the stored form of n linked receipts.
func testChain(t *testing.T, n int) [][]byte {
	t.Helper()
	chain := NewChain(Head{ChainID: uuid.MustParse("66666666-6666-4666-8666-666666666666")})
	var bodies [][]byte
	for i := range n {
		b, err := chain.Link(&Receipt{
			ReceiptID: uuid.New(), ConsentID: uuid.New(), Site: "example.com", Time: noon.Add(time.Duration(i) * time.Second),
			Method: AcceptAll, Purposes: map[Purpose]bool{Analytics: true, Media: false}, Language: "de",
		})
		if err != nil {
			t.Fatal(err)
		}
		chain.Settled(nil)
		bodies = append(bodies, b)
	}
	return bodies
}

// verify returns at which receipt a chain breaks; -1: nowhere.
func verify(bodies [][]byte) (int, error) {
	var v Verifier
	for i, b := range bodies {
		if _, err := v.Check(b); err != nil {
			return i, err
		}
	}
	return -1, nil
}

func TestChainHolds(t *testing.T) {
	t.Parallel()
	bodies := testChain(t, 5)
	if at, err := verify(bodies); at >= 0 {
		t.Errorf("receipt %d: %v", at, err)
	}
	r, err := DecodeReceipt(bodies[4])
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Canonical(); err != nil || !bytes.Equal(again, bodies[4]) {
		t.Errorf("decoded and encoded again: %s, %v; want %s", again, err, bodies[4])
	}
	if sum, err := r.Digest(); err != nil || sum != r.Hash {
		t.Errorf("digest %s, %v; want %s", sum, err, r.Hash)
	}
}

func TestChainBreaks(t *testing.T) {
	t.Parallel()
	bodies := testChain(t, 5)
	other := testChain(t, 5)
	replace := func(old, new string) func([][]byte) [][]byte {
		return func(b [][]byte) [][]byte {
			edited := bytes.Replace(b[2], []byte(old), []byte(new), 1)
			if bytes.Equal(edited, b[2]) {
				t.Fatalf("%q is not in a receipt", old)
			}
			b[2] = edited
			return b
		}
	}
	for name, tc := range map[string]struct {
		edit func([][]byte) [][]byte
		at   int
	}{
		"a grant edited":                 {replace(`"analytics":true`, `"analytics":false`), 2},
		"a time edited":                  {replace(`12:00:02`, `12:00:03`), 2},
		"the method edited":              {replace(`accept_all`, `reject_all`), 2},
		"a space added":                  {replace(`,"site"`, `, "site"`), 2},
		"a key in capitals":              {replace(`"site"`, `"Site"`), 2},
		"a field added":                  {replace(`,"site"`, `,"note":"x","site"`), 2},
		"a field said twice":             {replace(`,"site":"example.com"`, `,"site":"example.com","site":"example.com"`), 2},
		"an escape spelt otherwise":      {replace(`example.com`, `\u0065xample.com`), 2},
		"the hash taken out":             {replace(`"hash":"`, `"hash":"","was":"`), 2},
		"not JSON":                       {func(b [][]byte) [][]byte { b[2] = b[2][:len(b[2])-1]; return b }, 2},
		"bytes after it":                 {func(b [][]byte) [][]byte { b[2] = append(b[2], ' '); return b }, 2},
		"the first removed":              {func(b [][]byte) [][]byte { return b[1:] }, 0},
		"one removed":                    {func(b [][]byte) [][]byte { return slices.Delete(b, 2, 3) }, 2},
		"one doubled":                    {func(b [][]byte) [][]byte { return slices.Insert(b, 2, b[1]) }, 2},
		"one of another chain inserted":  {func(b [][]byte) [][]byte { return slices.Insert(b, 2, other[2]) }, 2},
		"one replaced by another's":      {func(b [][]byte) [][]byte { b[2] = other[2]; return b }, 2},
		"two swapped":                    {func(b [][]byte) [][]byte { b[1], b[2] = b[2], b[1]; return b }, 1},
		"edited and hashed again":        {func(b [][]byte) [][]byte { b[2] = rehashed(t, b[2]); return b }, 3},
		"the last one edited and hashed": {func(b [][]byte) [][]byte { b[4] = rehashed(t, b[4]); return b }, -1}, // only the head tells
	} {
		at, err := verify(tc.edit(slices.Clone(bodies)))
		if at != tc.at {
			t.Errorf("%s: breaks at %d (%v), want %d", name, at, err, tc.at)
		}
		if tc.at >= 0 && !errors.As(err, new(*ChainError)) {
			t.Errorf("%s: %v is no *ChainError", name, err)
		}
	}
}

// Every byte of a stored receipt counts.
func TestChainBreaksAtAnyByte(t *testing.T) {
	t.Parallel()
	body := testChain(t, 1)[0]
	for n := range body {
		changed := slices.Clone(body)
		changed[n] ^= 0x20
		if at, _ := verify([][]byte{changed}); at != 0 {
			t.Errorf("byte %d (%q to %q): not noticed", n, body[n], changed[n])
		}
	}
}

// The head that a server keeps is what a forged end of the chain differs from.
func TestVerifierHead(t *testing.T) {
	t.Parallel()
	bodies := testChain(t, 3)
	var v Verifier
	for _, b := range bodies {
		if _, err := v.Check(b); err != nil {
			t.Fatal(err)
		}
	}
	last, err := DecodeReceipt(bodies[2])
	if err != nil {
		t.Fatal(err)
	}
	if want := (Head{ChainID: last.ChainID, N: 3, Hash: last.Hash}); v.Head != want {
		t.Errorf("head %+v, want %+v", v.Head, want)
	}
	from := Verifier{Head: Head{ChainID: last.ChainID, N: 2, Hash: last.PrevHash}}
	if _, err := from.Check(bodies[2]); err != nil {
		t.Errorf("checking from a head in the middle: %v", err)
	}
}

// rehashed forges a receipt: another method, and a hash that fits it.
func rehashed(t *testing.T, body []byte) []byte {
	t.Helper()
	r, err := DecodeReceipt(body)
	if err != nil {
		t.Fatal(err)
	}
	r.Method = Custom
	if r.Hash, err = r.Digest(); err != nil {
		t.Fatal(err)
	}
	forged, err := r.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// A frame that never reached the disk leaves no gap in the chain.
func TestChainSettled(t *testing.T) {
	t.Parallel()
	chain := NewChain(Head{ChainID: uuid.New()})
	var kept [][]byte
	for i := range 9 {
		b, err := chain.Link(&Receipt{ReceiptID: uuid.New()})
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 1 {
			chain.Settled(errors.New("disk full"))
			continue
		}
		chain.Settled(nil)
		kept = append(kept, b)
	}
	if at, err := verify(kept); at >= 0 {
		t.Errorf("receipt %d: %v", at, err)
	}
}

func TestReceiptTimesAreUTCMilliseconds(t *testing.T) {
	t.Parallel()
	r := Receipt{Time: noon.Add(1_234_567).In(time.FixedZone("", 3600)), Expires: noon.Add(time.Second + 1)}
	b, err := r.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"ts":"2026-11-23T12:00:00.001Z"`, `"expires":"2026-11-23T12:00:01Z"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s has no %s", b, want)
		}
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	w := Withdrawal{Site: "example.com", ConsentID: uuid.New(), ReceiptID: uuid.New(), Time: noon, Cut: Cut{All: Forever, Latest: 3}, Events: Erase}
	b, err := w.AppendBinary([]byte("before "))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeWithdrawal(bytes.TrimPrefix(b, []byte("before "))); err != nil || fmt.Sprint(got) != fmt.Sprint(w) {
		t.Errorf("withdrawal: got %v, %v; want %v", got, err, w)
	}
	tomb := Tombstone{Site: "example.com", ConsentID: uuid.New(), Time: noon, Expires: noon.Add(time.Hour)}
	if b, err = tomb.AppendBinary(nil); err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeTombstone(b); err != nil || got != tomb {
		t.Errorf("tombstone: got %v, %v; want %v", got, err, tomb)
	}
	if _, err := DecodeTombstone([]byte("{")); err == nil {
		t.Error("half a record decoded")
	}
}
