package store

import (
	"testing"
	"time"

	"sluice/collector"
	"sluice/consent"
)

// TestSentUntil: what was sent tells of an event, and goes when that does, with
// the receipt, or with its row, whichever goes first.
func TestSentUntil(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	decided := uint32(at.AddDate(0, -10, 0).Unix())
	for _, c := range []struct {
		name                       string
		events, receipts, forwards Period
		issued                     uint32
		want                       string
	}{
		{"events go first", Period{Days: 30}, Period{Months: 36}, Period{Months: 13}, decided, "2026-04-01"},
		{"outcomes go first", Period{Months: 25}, Period{Months: 36}, Period{Months: 13}, decided, "2027-04-02"},
		{"receipts go first", Period{Months: 25}, Period{Months: 12}, Period{Months: 13}, decided, "2026-05-02"},
		{"of an earlier version", Period{Months: 25}, Period{Months: 12}, Period{Months: 13}, 0, "2027-04-02"},
	} {
		f := collector.Forward{Time: at, Sent: "x", Token: consent.Token{Issued: c.issued}}
		row := newForwardRow(&f, origin{}, Retention{Events: c.events, Receipts: c.receipts, Forwards: c.forwards})
		if got := row.SentUntil.Format(time.DateOnly); got != c.want || row.SentUntil.After(row.KeepUntil) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestEventGoesWithItsReceipt: under a long consent an event may come a year after
// the decision; it is not kept for longer than the proof of it.
func TestEventGoesWithItsReceipt(t *testing.T) {
	t.Parallel()
	decided := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keep := Retention{Events: Period{Months: 25}, Receipts: Period{Months: 36}}
	for _, c := range []struct {
		name  string
		after int // months
		test  bool
		want  string
	}{
		{"at once", 0, false, "2028-04-02"},
		{"a year later", 12, false, "2029-03-02"},
		{"a year later, on a test host", 12, true, "2027-03-09"},
	} {
		var row eventRow
		e := collector.Event{Time: decided.AddDate(0, c.after, 0), Test: c.test, Token: consent.Token{Issued: uint32(decided.Unix())}}
		if err := row.fill(&e, origin{}, keep); err != nil {
			t.Fatal(err)
		}
		if got := row.KeepUntil.Format(time.DateOnly); got != c.want {
			t.Errorf("%s: until %s, want %s", c.name, got, c.want)
		}
	}
}

func TestKeepUntil(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // 1 February in UTC
	for _, c := range []struct {
		name string
		keep Period
		want string
	}{
		{"nothing said", Period{}, "2029-02-02"},
		{"months", Period{Months: 25}, "2028-03-02"},
		{"days", Period{Days: 7}, "2026-02-09"},
		{"the ceiling", Period{Months: 36}, "2029-02-02"},
		{"beyond the ceiling", Period{Months: 48}, "2029-02-02"},
	} {
		if got := keepUntil(at, c.keep).Format(time.DateOnly); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
