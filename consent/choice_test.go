package consent

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestChoiceCookie reads the fixtures that the script's tests read as well.
func TestChoiceCookie(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/choice.json")
	if err != nil {
		t.Fatal(err)
	}
	var fixtures []struct {
		Name, Cookie string
		Choice       *struct {
			Remembered
			Time int64
		}
	}
	if err := json.Unmarshal(content, &fixtures); err != nil {
		t.Fatal(err)
	}
	for _, f := range fixtures {
		got, err := ParseRemembered(f.Cookie)
		if f.Choice == nil {
			if err == nil {
				t.Errorf("%s: %q read as %v, want an error", f.Name, f.Cookie, got)
			}
			continue
		}
		want := f.Choice.Remembered
		want.Time = time.Unix(f.Choice.Time, 0).UTC()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", f.Name, err, diff)
		}
		if s := got.String(); s != f.Cookie {
			t.Errorf("%s: written as %q, want %q", f.Name, s, f.Cookie)
		}
	}
}

func FuzzParseRemembered(f *testing.F) {
	f.Add("1:2025-07:analytics+preference:statistics:1763934343")
	f.Add("1:%C3%A4:::1")
	f.Add("1:%E0%A4%A::x:1")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRemembered(s)
		if err != nil {
			return
		}
		again, err := ParseRemembered(r.String())
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Errorf("%q read, written and read again: %v, %s", s, err, diff)
		}
	})
}
