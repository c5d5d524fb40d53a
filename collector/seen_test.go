package collector

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/consent"
)

func TestKeyOfRecord(t *testing.T) {
	t.Parallel()
	e := full()
	e.ID, e.Site = "an id", "example.com"
	b := e.appendTo(nil)
	got, err := KeyOfRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if want := keyOf("example.com", e.Token.Consent, "an id"); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
	for _, n := range []int{0, 1, fixedEvent - 1, fixedEvent, fixedEvent + 3} {
		if _, err := KeyOfRecord(b[:n]); err == nil {
			t.Errorf("the first %d bytes have a key", n)
		}
	}
}

// key is the n-th of a test.
func key(n byte) EventKey { return EventKey{n, 15: n} }

// TestSeenLog follows keys over hours, restarts and damage.
func TestSeenLog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "seen")
	open := func() *SeenLog {
		l, err := OpenSeenLog(dir)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	appended := func(l *SeenLog, at time.Time, keys ...EventKey) {
		if err := l.Append(keys, at); err != nil {
			t.Fatal(err)
		}
	}
	l := open()
	appended(l, noon, key(1), key(2))
	appended(l, noon.Add(time.Minute), key(3))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A kill in the middle of a write leaves part of a key.
	torn, err := os.OpenFile(l.path(hourOf(noon)), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.Write([]byte{9, 9, 9}); err != nil {
		t.Fatal(err)
	}
	if err := torn.Close(); err != nil {
		t.Fatal(err)
	}
	l = open()
	appended(l, noon.Add(2*time.Minute), key(4))
	appended(l, noon.Add(5*time.Hour), key(5))
	appended(l, noon.Add(23*time.Hour))
	appended(l, noon.Add(24*time.Hour), key(6))

	load := func(at time.Time) map[EventKey]time.Duration {
		got := map[EventKey]time.Duration{}
		err := open().Load(at, func(keys []EventKey, hour time.Time) {
			for _, k := range keys {
				got[k] = hour.Sub(noon)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := map[EventKey]time.Duration{key(1): 0, key(2): 0, key(3): 0, key(4): 0, key(5): 5 * time.Hour, key(6): 24 * time.Hour}
	if diff := cmp.Diff(want, load(noon.Add(24*time.Hour))); diff != "" {
		t.Errorf("after a day (-want +got)\n%s", diff)
	}
	want = map[EventKey]time.Duration{key(5): 5 * time.Hour, key(6): 24 * time.Hour}
	if diff := cmp.Diff(want, load(noon.Add(25*time.Hour))); diff != "" {
		t.Errorf("an hour later (-want +got)\n%s", diff)
	}
	if _, err := os.Stat(l.path(hourOf(noon))); err == nil {
		t.Error("what is forgotten is still on the disk")
	}
}

// TestSeenLogIsBounded: no more is kept than memory holds, and the hour in
// which the limit was passed.
func TestSeenLogIsBounded(t *testing.T) {
	t.Parallel()
	l, err := OpenSeenLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		at := noon.Add(time.Duration(i) * time.Hour)
		if err := os.WriteFile(l.path(hourOf(at)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(l.path(hourOf(at)), maxRemembered*16); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Append([]EventKey{key(1)}, noon.Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	hours, err := l.hours()
	if err != nil {
		t.Fatal(err)
	}
	if want := []int64{hourOf(noon) + 3, hourOf(noon) + 2}; !cmp.Equal(hours, want) {
		t.Errorf("hours kept: got %v, want %v", hours, want)
	}
}

// TestRememberedEventIsADuplicate: what an earlier run has accepted is not
// accepted again.
func TestRememberedEventIsADuplicate(t *testing.T) {
	t.Parallel()
	first := newHouse(t)
	token := first.grant()
	event := `{"id":"a-1","name":"pageview","url":"https://example.com/"}`
	first.post(envelopeOf(first.sign(token), event))
	if len(first.disk.raw) != 1 {
		t.Fatalf("%d records, want 1", len(first.disk.raw))
	}
	k, err := KeyOfRecord(first.disk.raw[0])
	if err != nil {
		t.Fatal(err)
	}
	next := newHouse(t)
	next.handler.Remember([]EventKey{k}, noon)
	if a := next.post(envelopeOf(next.sign(token), event)); a.reasons() != string(Duplicate) {
		t.Errorf("the same event after a restart: got %+v, want it dropped as duplicate", a)
	}
	other := token
	other.Consent = consent.ID{1}
	if a := next.post(envelopeOf(next.sign(other), event)); a.Accepted != 1 {
		t.Errorf("another visitor's event of the same id: got %+v, want it accepted", a)
	}
}
