package collector

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/consent"
)

// full returns an event with every field set.
func full() Event {
	e := Event{
		Test: true, SessionFirst: true, NoForward: true, NoAds: AdConsentDenied{true, true}, Time: noon.Add(123 * time.Millisecond), SessionStart: noon.Unix(),
		ScreenWidth: 1, ScreenHeight: math.MaxUint16, EngagementMS: math.MaxUint32,
		Props: []Prop{{"s", "ä"}, {"n", -0.5}, {"t", true}, {"f", false}, {"", ""}},
		Token: consent.Token{Consent: uuid.New(), Receipt: uuid.New(), Notice: 1, Purposes: 2, Denied: 3, Issued: 4},
	}
	for i, s := range e.stringFields() {
		*s = string(bytes.Repeat([]byte{byte('a' + i%26)}, i*i))
	}
	return e
}

func TestEventRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Event{"full": full(), "empty": {Time: time.Unix(0, 0).UTC()}} {
		got, err := DecodeEvent(want.appendTo(nil))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestDecodeOldVersions reads what earlier versions left in the spool: without
// the last strings.
func TestDecodeOldVersions(t *testing.T) {
	t.Parallel()
	for version, missing := range map[byte]int{1: 2, 2: 1} {
		want := full()
		want.ID, want.Site, want.Gtag, want.Props = "an id", "example.com", "", nil
		if version == 1 {
			want.GASessions = ""
		}
		old := want.appendTo(nil)
		old = append(old[:len(old)-missing-1], 0) // without the empty strings; no properties
		old[0] = version
		got, err := DecodeEvent(old)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
		if key, err := KeyOfRecord(old); err != nil || key != keyOf("example.com", want.Token.Consent, "an id") {
			t.Errorf("version %d has the key %x, %v", version, key, err)
		}
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	t.Parallel()
	e := full()
	good := e.appendTo(nil)
	for n := range good {
		if _, err := DecodeEvent(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for an event", n, len(good))
		}
	}
	other := bytes.Clone(good)
	other[0]++
	for name, b := range map[string][]byte{"a byte behind": append(bytes.Clone(good), 0), "another version": other} {
		if _, err := DecodeEvent(b); err == nil {
			t.Errorf("%s is taken for an event", name)
		}
	}
}

// What decodes must encode to what decodes to the same.
func FuzzDecodeEvent(f *testing.F) {
	e := full()
	f.Add(e.appendTo(nil))
	f.Add((&Event{}).appendTo(nil))
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEvent(b)
		if err != nil {
			return
		}
		first := e.appendTo(nil)
		again, err := DecodeEvent(first)
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if !bytes.Equal(again.appendTo(nil), first) {
			t.Errorf("%x changed on the second way", b)
		}
		head, err := DecodeEventHead(first)
		if err != nil || head.Site != e.Site || head.Token != e.Token || !head.Time.Equal(e.Time) || head.Test != e.Test || head.NoForward != e.NoForward {
			t.Errorf("head of %x is %+v, %v", b, head, err)
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	e := full()
	dst := make([]byte, 0, 1<<15)
	b.ReportAllocs()
	for b.Loop() {
		dst = e.appendTo(dst[:0])
	}
}
