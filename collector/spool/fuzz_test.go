package spool

import (
	"bytes"
	"testing"
)

func FuzzParseFrame(f *testing.F) {
	one := append(make([]byte, frameHead), 0, 0, 0, 2, 1, 0, 0, 0, 'h', 'i')
	f.Add(sealFrame(one, 1, 7, 9))
	f.Add(footerAt(128, 3, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Most inputs fail the checksum, so also try them with a right one.
		for _, b := range [][]byte{b, resealed(b)} {
			fr, ok := parseFrame(b)
			if !ok || fr.footer() {
				continue
			}
			again := make([]byte, frameHead)
			rest, seq := fr.payload, fr.first
			for range fr.count {
				var rec Record
				rec, rest = takeRecord(rest, seq)
				start := len(again)
				again = append(appendRecordHead(again), rec.Data...)
				setRecordHead(again[start:], rec.Kind)
			}
			if len(rest) != 0 || !bytes.Equal(again[frameHead:], fr.payload) {
				t.Errorf("records do not make up the payload again")
			}
		}
	})
}

// resealed makes a frame of arbitrary bytes behind a valid head.
func resealed(b []byte) []byte {
	if len(b) < frameHead {
		return b
	}
	count := uint32(b[8])
	return sealFrame(bytes.Clone(b), count, 1, 1)
}

func FuzzDecodeCursor(f *testing.F) {
	id := [16]byte{1, 2, 3}
	for _, p := range []position{{generation: 2, next: 9}, {generation: 4, next: 9, first: 9, last: 12, attempt: 3, sum: 5}} {
		b := make([]byte, cursorBytes)
		copy(b[p.slot():], encodeSlot(id, p))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeCursor(b, id)
		if err != nil {
			return
		}
		if _, got, err := decodeSlot(encodeSlot(id, p)); err != nil || got != p {
			t.Errorf("got %+v, %v back from %+v", got, err, p)
		}
		if p.inFlight() && (p.first != p.next || p.last < p.first) {
			t.Errorf("impossible position %+v", p)
		}
	})
}
