package collector

import (
	"encoding/json"
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
	earlier, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range map[string][]byte{"binary": b, "JSON": earlier} {
		got, err := DecodeForward(encoded)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for n := range b {
		if f, err := DecodeForward(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are read as %+v", n, len(b), f)
		}
	}
	if f, err := DecodeForward(append(b, 0)); err == nil {
		t.Errorf("a byte too many is read as %+v", f)
	}
}
