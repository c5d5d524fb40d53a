package collector

import (
	"fmt"
	"math"
	"testing"
	"time"

	"sluice/collector/jsonreader"
)

func TestEventTime(t *testing.T) {
	t.Parallel()
	ms := func(d time.Duration) jsonreader.Optional {
		return jsonreader.Optional{Value: float64(noon.Add(d).UnixMilli()), Set: true}
	}
	num := func(v float64) jsonreader.Optional { return jsonreader.Optional{Value: v, Set: true} }
	var none jsonreader.Optional
	const week = 7 * 24 * time.Hour
	tests := []struct {
		name     string
		ts, sent jsonreader.Optional
		want     time.Duration // from noon, when it was received
		ok       bool
	}{
		{"nothing sent", none, none, 0, true},
		{"sent alone", none, ms(-week), 0, true},
		{"a minute ago", ms(-time.Minute), none, -time.Minute, true},
		{"in the future", ms(time.Hour), none, 0, true},
		{"24 hours ago", ms(-24 * time.Hour), none, -24 * time.Hour, true},
		{"older", ms(-24*time.Hour - time.Millisecond), none, 0, false},
		{"a clock a week slow", ms(-week - time.Minute), ms(-week), -time.Minute, true},
		{"a clock a week fast", ms(week - time.Minute), ms(week), -time.Minute, true},
		{"a clock a week slow without sent", ms(-week), none, 0, false},
		{"held back for two days", ms(-48 * time.Hour), ms(0), 0, false},
		{"happened after it was sent", ms(time.Minute), ms(0), 0, true},
		{"a fraction", num(float64(noon.UnixMilli()) - 0.4), none, 0, true},
		{"1970", num(0), none, 0, false},
		{"the end of numbers", num(math.MaxFloat64), num(-math.MaxFloat64), 0, true},
		{"the start of numbers", num(-math.MaxFloat64), num(math.MaxFloat64), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := eventTime(noon, tt.ts, tt.sent)
			if ok != tt.ok {
				t.Fatalf("ok = %v, want %v", ok, tt.ok)
			}
			if ok && !got.Equal(noon.Add(tt.want)) {
				t.Errorf("event time is %s from now, want %s", got.Sub(noon), tt.want)
			}
		})
	}
}

// A week of clock skew changes nothing where sent is there.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-7 * 24 * time.Hour, 0, 7 * 24 * time.Hour} {
		h := newHouse(t)
		token := h.sign(h.grant())
		h.pass(time.Hour)
		client := h.clock().Add(skew)
		h.post(fmt.Sprintf(`{"site":"example.com","token":"%s","sent":%d,"events":[{"name":"x","url":"https://example.com/","ts":%d}]}`,
			token, client.UnixMilli(), client.Add(-5*time.Second).UnixMilli()))
		if got, want := h.only().Time, h.clock().Add(-5*time.Second); !got.Equal(want) {
			t.Errorf("with a clock off by %s: %s, want %s", skew, got, want)
		}
	}
}

// The pageview that led to the choice is stamped with the choice.
func TestEarlyEventTakesTheTimeOfTheGrant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.grant()
	h.pass(time.Second)
	h.post(envelopeOf(h.sign(token), fmt.Sprintf(`{"name":"x","url":"https://example.com/","ts":%d}`, noon.Add(-30*time.Second).UnixMilli())))
	if got := h.only().Time; !got.Equal(noon) {
		t.Errorf("event time %s, want the grant's %s", got, noon)
	}
}
