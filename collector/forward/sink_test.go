package forward

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/collector"
	"sluice/collector/ga4/standin"
	"sluice/collector/spool"
	"sluice/consent"
)

// bubble runs a test against a rig under a fake clock.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t)) })
}

// names lists the events of each request that arrived.
func names(t *testing.T, hits []standin.Hit) [][]string {
	t.Helper()
	var out [][]string
	for _, h := range hits {
		var body struct {
			Events []struct {
				Name   string
				Params map[string]any
			}
		}
		if err := json.Unmarshal(h.Body, &body); err != nil {
			t.Fatal(err)
		}
		var events []string
		for _, e := range body.Events {
			events = append(events, fmt.Sprint(e.Name, " ", strings.TrimPrefix(fmt.Sprint(e.Params["page_location"]), "https://example.com/")))
		}
		out = append(out, events)
	}
	return out
}

func TestAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		one := r.token(analytics)
		r.deliver(r.record(one, r.event("a")), r.record(one, r.event("b")))
		hits := r.google.Hits()
		if diff := cmp.Diff([][]string{{"page_view a", "page_view b"}}, names(t, hits)); diff != "" {
			t.Fatalf("requests (-want +got):\n%s", diff)
		}
		if !hits[0].Verdict.Clean() {
			t.Errorf("the judge complains: %+v", hits[0].Verdict)
		}
		if q := hits[0].Query; q.Get("measurement_id") != "G-TEST" || q.Get("api_secret") != secret {
			t.Error("the query lacks measurement_id or api_secret")
		}
		sum := sha256.Sum256(hits[0].Body)
		want := []collector.Forward{}
		for i, id := range []string{"a", "b"} {
			want = append(want, collector.Forward{
				Site: "example.com", EventID: id, EventSeq: uint64(i + 1), ReceiptID: one.Receipt, Destination: "google-analytics",
				State: collector.Acknowledged, Attempts: 1, PayloadHash: hex.EncodeToString(sum[:]), Time: time.Now().UTC(), Token: one,
			})
		}
		want[0].Sent = string(hits[0].Body)
		if diff := cmp.Diff(want, r.recorded); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if got := r.sink.Stats(); got.Acknowledged != 2 || got.Requests != 1 || got.Retried != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

// TestCancelled holds what the gate finds at send time. Not one byte leaves.
func TestCancelled(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// between runs after the event was admitted and before it is sent.
		between func(r *rig, token *consent.Token)
		want    consent.Reason
	}{
		{"withdrawn", func(r *rig, token *consent.Token) { r.index.Apply(token.Consent, &consent.Cut{All: consent.Forever}) }, consent.Withdrawn},
		{"service taken back", func(r *rig, token *consent.Token) {
			r.index.Apply(token.Consent, &consent.Cut{Services: map[string]uint32{"google-analytics": token.Issued + 1}})
		}, consent.Withdrawn},
		{"expired", func(*rig, *consent.Token) { time.Sleep(180 * 24 * time.Hour) }, ""}, // too old comes first
		{"notice superseded", func(r *rig, _ *consent.Token) { r.supersede() }, consent.StaleNotice},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				token := r.token(analytics)
				ev := r.event("a")
				rec := r.record(token, ev)
				tt.between(r, &token)
				r.deliver(rec)
				want := outcome{"a", collector.Cancelled, string(tt.want), 0}
				if tt.want == "" {
					want = outcome{"a", collector.Dead, TooOld, 0}
				}
				if diff := cmp.Diff([]outcome{want}, r.outcomes()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				if r.wrote() != 0 {
					t.Errorf("%d bytes were sent", r.wrote())
				}
			})
		})
	}
}

// TestAheadOfTheClock forwards what was granted a moment ago by a consent that
// changed twice within a second: its token's issue is yet to come.
func TestAheadOfTheClock(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		token.Issued = uint32(time.Now().Unix()) + 2
		r.deliver(r.record(token, r.event("a")))
		if diff := cmp.Diff([]outcome{{"a", collector.Acknowledged, "", 1}}, r.outcomes()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// TestNeverMeant sends nothing, and keeps nothing, where the visitor said yes
// to the site's own statistics and no to Google.
func TestNeverMeant(t *testing.T) {
	for name, refuse := range map[string]func(*rig, *consent.Token, *collector.Event){
		"Google refused":            func(_ *rig, token *consent.Token, _ *collector.Event) { token.Denied = googleBit },
		"signal without a decision": func(_ *rig, _ *consent.Token, ev *collector.Event) { ev.NoForward = true },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				token, ev := r.token(analytics), r.event("a")
				refuse(r, &token, &ev)
				r.deliver(r.record(token, ev))
				rec := r.record(token, ev)
				r.supersede() // what is asked now says nothing about that no
				r.deliver(rec)
				if got := r.outcomes(); len(got) > 0 {
					t.Errorf("outcomes: %v, want none: the event was never queued", got)
				}
				if r.wrote() != 0 {
					t.Errorf("%d bytes were sent", r.wrote())
				}
			})
		})
	}
}

// TestExpiredWhileWaiting lets a consent run out between two tries.
func TestExpiredWhileWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		token.Issued = uint32(time.Now().Add(-180*24*time.Hour + time.Hour).Unix())
		r.google.Fail(standin.Fault{Kind: standin.Answer, Status: 500})
		r.deliver(r.record(token, r.event("a")))
		got := r.outcomes()
		if len(got) != 1 || got[0].State != collector.Cancelled || got[0].Reason != "expired" || got[0].Attempts < 8 {
			t.Errorf("outcomes = %+v, want cancelled as expired after many attempts", got)
		}
	})
}

// TestWithdrawnAtTheLastMoment withdraws after the payload was built, while
// the connection is being opened.
func TestWithdrawnAtTheLastMoment(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		r.onDial = func() { r.index.Apply(token.Consent, &consent.Cut{All: consent.Forever}) }
		r.deliver(r.record(token, r.event("a")))
		if diff := cmp.Diff([]outcome{{"a", collector.Cancelled, "withdrawn", 0}}, r.outcomes()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if r.wrote() != 0 || len(r.google.Hits()) != 0 {
			t.Errorf("%d bytes were sent", r.wrote())
		}
	})
}

// TestWithdrawnBetweenTries withdraws after a first try has failed.
func TestWithdrawnBetweenTries(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		r.google.Fail(standin.Fault{Kind: standin.Answer, Status: 500})
		rec := r.record(token, r.event("a"))
		go func() {
			time.Sleep(100 * time.Millisecond)
			r.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
			r.google.Fail(standin.Fault{})
		}()
		r.deliver(rec)
		if diff := cmp.Diff([]outcome{{"a", collector.Cancelled, "withdrawn", 1}}, r.outcomes()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if n := len(r.google.Hits()); n != 1 {
			t.Errorf("%d requests, want the first one alone", n)
		}
	})
}

// TestAdConsent says GRANTED only under a live grant of an advertising service,
// at the moment of the first byte.
func TestAdConsent(t *testing.T) {
	t.Parallel()
	const no, yes = `"consent":{"ad_user_data":"DENIED","ad_personalization":"DENIED"}`, `"consent":{"ad_user_data":"GRANTED","ad_personalization":"GRANTED"}`
	for _, tt := range []struct {
		name     string
		purposes uint16
		taken    bool // marketing is taken back while the connection is opened
		want     string
	}{
		{"analytics alone", analytics, false, no},
		{"marketing too", analytics | marketing, false, yes},
		{"marketing taken back", analytics | marketing, true, no},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				token := r.token(tt.purposes)
				if tt.taken {
					r.onDial = func() {
						r.index.Apply(token.Consent, &consent.Cut{Purposes: map[consent.Purpose]uint32{consent.Marketing: token.Issued + 1}})
					}
				}
				r.deliver(r.record(token, r.event("a")))
				hits := r.google.Hits()
				if len(hits) != 1 || !strings.Contains(string(hits[0].Body), tt.want) {
					t.Errorf("got %d requests, body %s; want one with %s", len(hits), hits[0].Body, tt.want)
				}
				if diff := cmp.Diff([]outcome{{"a", collector.Acknowledged, "", 1}}, r.outcomes()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestGroups shares requests among events of one client and consent, in order.
func TestGroups(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.sink.o.Parallel = 1
		one, two := r.token(analytics), r.token(analytics)
		first := func(ev *collector.Event) { ev.SessionFirst, ev.UTMSource = true, "mail" }
		records := []spool.Record{r.record(one, r.event("0", first))}
		for i := 1; i < 30; i++ {
			records = append(records, r.record(one, r.event(fmt.Sprint(i))))
		}
		records = append(records, r.record(two, r.event("x")), r.record(one, r.event("y")))
		r.deliver(records...)
		got := names(t, r.google.Hits())
		var counts []int
		for _, events := range got {
			counts = append(counts, len(events))
		}
		if diff := cmp.Diff([]int{25, 6, 1, 1}, counts); diff != "" {
			t.Fatalf("events a request (-want +got):\n%s", diff)
		}
		if got[0][0] != "campaign_details <nil>" || got[0][1] != "page_view 0" || got[0][24] != "page_view 23" || got[1][0] != "page_view 24" {
			t.Errorf("order is wrong: %v", got)
		}
		if n := len(r.outcomes()); n != 32 {
			t.Errorf("%d outcomes, want one for each of 32 events", n)
		}
	})
}

// TestNotOurs passes over what is none of the sink's business.
func TestNotOurs(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		r.deliver(
			r.record(token, r.event("other", func(ev *collector.Event) { ev.Site = "example.org" })),
			r.record(token, r.event("test", func(ev *collector.Event) { ev.Test = true })),
			spool.Record{Seq: 8, Kind: spool.KindReceipt, Data: []byte("{}")},
			spool.Record{Seq: 9, Kind: spool.KindEvent, Data: []byte("rot")},
		)
		if len(r.outcomes()) != 0 || r.wrote() != 0 {
			t.Errorf("outcomes %v, %d bytes sent; want none", r.outcomes(), r.wrote())
		}
		if got := r.sink.Stats().Unreadable; got != 1 {
			t.Errorf("%d unreadable records counted, want 1", got)
		}
	})
}

// TestInvalid ends what Google would not keep, and sends the rest.
func TestInvalid(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.sink.o.Parallel = 1
		token := r.token(analytics)
		r.deliver(
			r.record(token, r.event("no client", func(ev *collector.Event) { ev.GAClientID = "" })),
			r.record(token, r.event("a uuid", func(ev *collector.Event) { ev.GAClientID = "3f2b" })),
			r.record(token, r.event("good")),
		)
		got := map[string]outcome{}
		for _, o := range r.outcomes() {
			got[o.Event] = o
		}
		want := map[string]outcome{
			"no client": {"no client", collector.Dead, Invalid, 0},
			"a uuid":    {"a uuid", collector.Dead, Invalid, 0},
			"good":      {"good", collector.Acknowledged, "", 1},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// TestExplain says beforehand what becomes of an event, and sends nothing.
func TestExplain(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*rig, *collector.Event)
		want   Explanation
	}{
		"queued":         {func(*rig, *collector.Event) {}, Explanation{}},
		"changed":        {func(_ *rig, ev *collector.Event) { ev.Name = "my event" }, Explanation{Changed: map[string]int{"renamed": 1}}},
		"a test host":    {func(_ *rig, ev *collector.Event) { ev.Test = true }, Explanation{Refused: "test"}},
		"a signal":       {func(_ *rig, ev *collector.Event) { ev.NoForward = true }, Explanation{Refused: "signal"}},
		"Google refused": {func(_ *rig, ev *collector.Event) { ev.Token.Denied = googleBit }, Explanation{Refused: "no_consent"}},
		"withdrawn": {func(r *rig, ev *collector.Event) {
			r.index.Apply(ev.Token.Consent, &consent.Cut{All: consent.Forever})
		}, Explanation{Refused: "withdrawn"}},
		"unfit": {func(_ *rig, ev *collector.Event) { ev.GAClientID = "" }, Explanation{Refused: "invalid: rule 6 VALUE_REQUIRED"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				ev := r.event("a", func(ev *collector.Event) { ev.Token, ev.Time = r.token(analytics), time.Now() })
				tt.change(r, &ev)
				tt.want.Destination = "google-analytics"
				if diff := cmp.Diff(tt.want, r.sink.Explain(&ev), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("explanation (-want +got):\n%s", diff)
				}
				if r.wrote() != 0 || len(r.outcomes()) > 0 {
					t.Errorf("%d bytes were sent, outcomes %v", r.wrote(), r.outcomes())
				}
			})
		})
	}
}

// TestTriage records together what is no longer to be forwarded.
func TestTriage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		r.index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
		var records []spool.Record
		for i := range 2*maxRecordedBytes/sizeOf(collector.Forward{}) + 1 {
			records = append(records, r.record(token, r.event(fmt.Sprint(i), func(ev *collector.Event) { ev.GAClientID = fmt.Sprint("1.", i+1) })))
		}
		r.deliver(records...)
		if n := len(r.outcomes()); n != len(records) || r.records != 3 {
			t.Errorf("%d outcomes in %d appends, want %d in 3", n, r.records, len(records))
		}
	})
}

// TestRecordFails records again, and does not send again.
func TestRecordFails(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.refuse = 3
		r.deliver(r.record(r.token(analytics), r.event("a")))
		if diff := cmp.Diff([]outcome{{"a", collector.Acknowledged, "", 1}}, r.outcomes()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if n := len(r.google.Hits()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestForgets(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		token := r.token(analytics)
		r.deliver(r.record(token, r.event("a")))
		r.deliver(r.record(token, r.event("b")))
		if len(r.sink.settled) != 1 {
			t.Errorf("%d outcomes remembered, want the last batch's alone", len(r.sink.settled))
		}
	})
}

func TestReplayUnreadable(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		if err := r.sink.Replay(spool.Record{Kind: spool.KindForward, Data: []byte("rot")}); err == nil {
			t.Error("no error")
		}
	})
}

// TestParts: parts of a large batch hold every record once, those of a person
// together and in order, and none is much larger than it should be; where one
// person has done more than that, it is the order that is kept.
func TestParts(t *testing.T) {
	t.Parallel()
	r := &rig{t: t, policy: policy(t), index: consent.NewIndex()}
	sink, err := New(Options{
		Policy: r.policy, Service: "google-analytics", Destination: google(t, "http://127.0.0.1:1/mp/collect"),
		Gate: r.index, Outcomes: r,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.client.close()
	token := r.token(analytics)
	for name, of := range map[string]func(i int) int{
		"many persons": func(i int) int { return i % 700 },
		"one of them does most": func(i int) int {
			if i%5 < 3 {
				return 0
			}
			return i % 700
		},
	} {
		const events = 7000
		var records []spool.Record
		persons := map[uint64]int{} // by seq
		for i := range events {
			rec := r.record(token, r.event(fmt.Sprint(i), func(ev *collector.Event) { ev.GAClientID = fmt.Sprintf("1.%d", 1+of(i)) }))
			records, persons[rec.Seq] = append(records, rec), of(i)
		}
		whole := batch(records...)
		last, partOf := map[int]uint64{}, map[int]int{}
		parts, seen, cut := 0, 0, 0
		for part := range sink.parts(whole) {
			parts++
			seen += len(part.Records)
			if n := len(part.Records); n > 2*maxPart || part.First != whole.First || part.Last != whole.Last {
				t.Errorf("%s: a part of %d records, %d to %d; want %d at most, and the batch's bounds", name, n, part.First, part.Last, 2*maxPart)
			}
			for _, rec := range part.Records {
				person := persons[rec.Seq]
				if rec.Seq <= last[person] {
					t.Fatalf("%s: record %d comes behind %d of the same person", name, rec.Seq, last[person])
				}
				if in, ok := partOf[person]; ok && in != parts {
					cut++
				}
				last[person], partOf[person] = rec.Seq, parts
			}
		}
		if seen != events || parts < events/(2*maxPart) || name == "many persons" && cut > 0 {
			t.Errorf("%s: %d of %d records in %d parts, and persons cut %d times", name, seen, events, parts, cut)
		}
	}
}
