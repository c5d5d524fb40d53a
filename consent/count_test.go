package consent

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCountsRoundTrip(t *testing.T) {
	t.Parallel()
	want := []Count{
		NewCount("example.com", CountScript, "", noon.Add(59*time.Minute)),
		{Site: "exämple.org", Hour: noon, Kind: CountDecision, Key: "accept_all", Notice: "2025-07", Language: "de", Country: "DE", N: 1 << 40},
	}
	encoded := AppendCounts(nil, want)
	got, err := DecodeCounts(encoded)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if !want[0].Hour.Equal(noon) {
		t.Errorf("hour %s, want %s", want[0].Hour, noon)
	}
	first := len(AppendCounts(nil, want[:1])) // a record may end after any count
	for n := range encoded {
		if _, err := DecodeCounts(encoded[:n]); !errors.Is(err, ErrCountEncoding) && n != 1 && n != first {
			t.Errorf("cut to %d bytes: %v, want ErrCountEncoding", n, err)
		}
	}
}

func FuzzDecodeCounts(f *testing.F) {
	f.Add(AppendCounts(nil, []Count{NewCount("example.com", CountView, "", noon)}))
	f.Add([]byte{countVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		counts, err := DecodeCounts(b)
		if err != nil {
			return
		}
		if again := AppendCounts(nil, counts); string(again) != string(b) {
			t.Errorf("%x decoded and encoded again: %x", b, again)
		}
	})
}
