package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/collector/store"
	"sluice/collector/store/storetest"
	"sluice/consent"
)

// TestRowsLeave keeps one site's events for ten days and another's for three
// months: what is older is gone after a merge, also the rows of test hosts after
// their seven days, and whole months lie in partitions of their own.
func TestRowsLeave(t *testing.T) {
	t.Parallel()
	s := storetest.OpenWith(t, store.Options{Retention: func(site string) store.Retention {
		if site == "short.example" {
			return store.Retention{Events: store.Period{Days: 10}}
		}
		return store.Retention{Events: store.Period{Months: 3}}
	}})
	r, now := newRecord(t), time.Now()
	var records []spool.Record
	for _, site := range []string{"short.example", "long.example"} {
		for _, age := range []int{1, 9, 12, 80, 100} {
			for _, test := range []bool{false, true} {
				at := now.AddDate(0, 0, -age)
				token := consent.Token{Consent: uuid.New(), Receipt: uuid.New(), Notice: r.site.Current.Fingerprint, Purposes: 3, Issued: uint32(at.Unix())}
				permit, reason := collector.Gate(r.site, token, nil, at)
				if reason != consent.Live {
					t.Fatalf("the gate refuses the fixture: %s", reason)
				}
				e := collector.Event{ID: uuid.NewString(), Site: site, Name: "pageview", Visitor: "ada", Session: "s1", Test: test, Path: fmt.Sprint("/", age)}
				records = append(records, spool.Record{Kind: spool.KindEvent, Data: r.admitted(permit, e)})
			}
		}
	}
	deliver(t, s, batch(uuid.New(), 1, records...))
	exec(t, s, "OPTIMIZE TABLE events FINAL")
	for _, tt := range []struct{ site, test, want string }{
		{"short.example", "false", "/1 /9"},
		{"long.example", "false", "/1 /12 /80 /9"},
		{"short.example", "true", "/1"},
		{"long.example", "true", "/1"},
	} {
		got := value[string](t, s, "SELECT arrayStringConcat(arraySort(groupArray(path)), ' ') FROM events WHERE site = '"+tt.site+"' AND test = "+tt.test)
		if got != tt.want {
			t.Errorf("%s, test rows %s: left are %q, want %q", tt.site, tt.test, got, tt.want)
		}
	}
	if months := value[uint64](t, s, "SELECT uniqExact(partition) FROM system.parts WHERE table = 'events' AND active AND rows > 0"); months < 2 {
		t.Errorf("80 days lie in %d partitions, want one for each month", months)
	}
	if later := value[uint64](t, s, "SELECT count() FROM events WHERE keep_until > addMonths(toDate(ts), 36) + 1"); later > 0 {
		t.Errorf("%d rows are kept for more than 36 months", later)
	}
}
