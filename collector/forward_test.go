package collector

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForwardEncoding reads outcomes back, also those of earlier versions, and
// refuses what is cut off or longer than an outcome.
func TestForwardEncoding(t *testing.T) {
	t.Parallel()
	want := chained(t, 2)[1]
	want.Reason, want.Sent, want.Attempts = "withdrawn", `{"client_id":"1.2 \ü"}`, 3
	b, err := want.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	first := slices.Delete(slices.Clone(b), fixedForward1, fixedForward)
	first[0] = 1
	issued := want
	issued.Token.Issued = 1_780_000_000
	current, err := issued.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		encoded []byte
		want    Forward
	}{"binary": {current, issued}, "version 1": {first, want}, "JSON": {asJSON, want}} {
		want := c.want
		got, err := DecodeForward(c.encoded)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for n := range b {
		if f, err := DecodeForward(first[:min(n, len(first)-1)]); err == nil {
			t.Errorf("%d of %d bytes of version 1 are read as %+v", n, len(first), f)
		}
		if f, err := DecodeForward(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are read as %+v", n, len(b), f)
		}
	}
	if f, err := DecodeForward(append(b, 0)); err == nil {
		t.Errorf("a byte too many is read as %+v", f)
	}
}
